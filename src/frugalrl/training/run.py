"""What a training run is made of, and how it is put together from a recipe."""

import dataclasses
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frugalrl.algorithms.advantages import PRESETS, AdvantageRule
from frugalrl.algorithms.entropy import EntropyRule, EntropyState, active_coefficient, after_step
from frugalrl.algorithms.losses import LossRule
from frugalrl.algorithms.off_policy import Mismatch
from frugalrl.config.algorithm_schema import AdvantageSettings, LossSettings
from frugalrl.config.schema import ProblemSource, TrainRecipe
from frugalrl.data.prompts import build_prompts
from frugalrl.data.sampler import take
from frugalrl.data.sources import load_problems
from frugalrl.errors import DataError, ModelError
from frugalrl.reporting.run_log import RunLog
from frugalrl.rewards.rubric import Rubric, build_rubric
from frugalrl.rollout.engine import RolloutEngine
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.training.checkpoint import TrainingState, checkpoint_name, load_training_state
from frugalrl.training.optimizer import MasterOptimizer
from frugalrl.training.policy import Policy, load_policy
from frugalrl.training.reference import copy_weights, load_reference, load_reference_tensors, reference_tensors
from frugalrl.training.update import UpdateSettings
from frugalrl.types import Prompt

Show = Callable[[str], None]
"""Takes a line for people."""


@dataclass(frozen=True)
class ProblemSets:
    """Prompts by split; no training problem has the text of a held-out one."""

    train: list[Prompt]
    validation: list[Prompt]
    test: list[Prompt]


@dataclass
class TrainingRun:
    """What a run is made of. Only what has a default, and the weights, move while it runs."""

    recipe: TrainRecipe
    folder: Path
    policy: Policy
    reference: Policy | None
    engine: RolloutEngine
    evaluation_engine: RolloutEngine
    optimizer: MasterOptimizer
    rubric: Rubric
    problems: ProblemSets
    log: RunLog
    show: Show
    step: int = 0
    """Steps that are complete."""
    position: int = 0
    """Problems taken from the data: the whole state of the sampler."""
    entropy: EntropyState = field(default_factory=EntropyState)
    """Of the entropy bonus."""
    reference_step: int = 0
    """The step after which the reference was last reset; 0: it is the base."""
    clock: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds by phase, those before a resume included."""
    step_seconds: list[float] = field(default_factory=list)
    """Of each step of this process: what the ETA is made of."""

    @property
    def policy_version(self) -> int:
        """Optimizer updates the weights have seen."""
        return self.step * self.recipe.algorithm.updates_per_batch

    @property
    def final_split(self) -> str:
        """The split on which base and final model are compared."""
        return "test" if self.problems.test else "validation"

    @property
    def state(self) -> TrainingState:
        """What a checkpoint keeps beside the weights."""
        values = {
            "step": self.step,
            "position": self.position,
            "entropy": dataclasses.asdict(self.entropy),
            "reference_step": self.reference_step,
            "wall_seconds": dict(self.clock),
        }
        tensors = self.optimizer.state_tensors()
        if self.reference is not None and self.reference_step > 0:
            tensors |= reference_tensors(self.reference)
        return TrainingState(values, tensors)

    def restore(self, state: TrainingState) -> None:
        """The inverse of `state`, for a run whose policy has the checkpoint's weights."""
        self.optimizer.load_state_tensors(state.tensors)
        self.step = int(state.values["step"])
        self.position = int(state.values["position"])
        self.entropy = EntropyState(**state.values["entropy"])
        self.reference_step = int(state.values["reference_step"])
        if self.reference is not None and self.reference_step > 0:
            load_reference_tensors(self.reference, state.tensors)
        self.clock.update(state.values["wall_seconds"])

    def next_prompts(self, count: int) -> list[Prompt]:
        """The next `count` training problems, which are then taken."""
        indices = take(len(self.problems.train), self.position, count, self.recipe.seed)
        self.position += count
        return [self.problems.train[index] for index in indices]

    def problems_of(self, split: str) -> list[Prompt]:
        """The prompts of ``validation`` or ``test``; empty if the recipe has none."""
        return self.problems.validation if split == "validation" else self.problems.test

    def evaluation_file(self, split: str, step: int) -> Path:
        """Where the records of a split after a step are kept."""
        return self.folder / "evaluations" / f"{split}-{checkpoint_name(step)}.jsonl"

    def publish_weights(self) -> None:
        """Make both engines sample from the policy as it is now."""
        for engine in (self.engine, self.evaluation_engine):
            engine.load_weights(self.policy.model, self.policy_version)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time spent inside to a phase."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.clock[phase] += time.monotonic() - started


def prepare_run(recipe: TrainRecipe, folder: Path, resume_from: Path | None, log: RunLog, show: Show) -> TrainingRun:
    """Load all that a run needs, and check that it fits together. Raises UserError."""
    started = time.monotonic()
    rubric = build_rubric(recipe.rewards, recipe.rollout.max_completion_tokens)
    path = recipe.model.path if resume_from is None else str(resume_from)
    policy = load_policy(recipe.model.model_copy(update={"path": path}))
    check_context(recipe, policy.context_tokens)
    problems = load_problem_sets(recipe, policy.tokenizer, show)
    optimizer = MasterOptimizer(policy.model, recipe.optimizer)
    engine, evaluation_engine = _engines(recipe, policy)
    run = TrainingRun(
        recipe=recipe,
        folder=folder,
        policy=policy,
        reference=None if recipe.algorithm.loss.kl_coef == 0 else load_reference(recipe.model),
        engine=engine,
        evaluation_engine=evaluation_engine,
        optimizer=optimizer,
        rubric=rubric,
        problems=problems,
        log=log,
        show=show,
        entropy=EntropyState(recipe.algorithm.entropy.coef),
    )
    if resume_from is not None:
        run.restore(load_training_state(resume_from))
    run.publish_weights()
    run.clock["load"] += time.monotonic() - started
    return run


def reset_reference(run: TrainingRun) -> None:
    """Make the policy as it is the reference, if there is one, and let the optimizer forget (ProRL, 2505.24864)."""
    run.optimizer.forget()
    if run.reference is not None:
        copy_weights(run.policy, run.reference)
        run.reference_step = run.step


def check_context(recipe: TrainRecipe, context_tokens: int) -> None:
    """Raise ModelError if prompt and completion at their longest do not fit the model's context."""
    rollout = recipe.rollout
    completion = max(rollout.max_completion_tokens, recipe.evaluation.max_completion_tokens or 0)
    needed = rollout.max_prompt_tokens + completion
    if needed > context_tokens:
        raise ModelError(
            f"max_prompt_tokens {rollout.max_prompt_tokens} + {completion} completion tokens are {needed}, more than "
            f"the context of {recipe.model.path}, {context_tokens} tokens. Lower one of them."
        )


def load_problem_sets(recipe: TrainRecipe, tokenizer: Any, show: Show) -> ProblemSets:
    """Prompts of every split. Training problems that also stand in a held-out split are left out, aloud."""
    data, rollout = recipe.data, recipe.rollout

    def prompts_of(source: ProblemSource | None) -> list[Prompt]:
        if source is None:
            return []
        problems = load_problems(source)
        prompts = build_prompts(tokenizer, problems, data.prompt, rollout.max_prompt_tokens, rollout.skip_long_prompts)
        if len(prompts) < len(problems):
            show(f"Left out {len(problems) - len(prompts)} problems of {source.source}: prompt too long.")
        return prompts

    validation, test, train = prompts_of(data.validation), prompts_of(data.test), prompts_of(data.train)
    held_out = {_normalised(prompt) for prompt in validation + test}
    disjoint = [prompt for prompt in train if _normalised(prompt) not in held_out]
    if not disjoint:
        raise DataError("Every training problem also stands in the validation or test data. Give disjoint sets.")
    if len(disjoint) < len(train):
        show(f"Left out {len(train) - len(disjoint)} training problems that also stand in validation or test.")
    return ProblemSets(disjoint, validation, test)


def advantage_rule(settings: AdvantageSettings) -> AdvantageRule:
    """The preset with the parts the recipe replaces."""
    given = settings.model_dump(exclude={"preset"}, exclude_none=True)
    return dataclasses.replace(PRESETS[settings.preset], **given)


def loss_rule(loss: LossSettings) -> LossRule:
    """The numbers of the loss."""
    mismatch = None
    if loss.mismatch != "none":
        mismatch = Mismatch(loss.mismatch, loss.mismatch_cap, loss.mismatch_low, loss.mismatch_high)
    return LossRule(
        surrogate=loss.surrogate,
        clip_low=loss.clip_low,
        clip_high=loss.clip_high,
        delta=loss.delta,
        tau_pos=loss.tau_pos,
        tau_neg=loss.tau_neg,
        kl_coef=loss.kl_coef,
        kl_estimator=loss.kl_estimator,
        mismatch=mismatch,
        off_policy_mask=loss.off_policy_mask,
    )


def entropy_coefficient(run: TrainingRun) -> float:
    """The weight of the entropy bonus in the coming step."""
    return active_coefficient(EntropyRule(**run.recipe.algorithm.entropy.model_dump()), run.entropy)


def note_entropy(run: TrainingRun, entropy: float) -> None:
    """Move the entropy control on, by the entropy (nats a token) that a step measured."""
    run.entropy = after_step(EntropyRule(**run.recipe.algorithm.entropy.model_dump()), run.entropy, entropy)


def option_metrics(run: TrainingRun, used_entropy_coef: float) -> dict[str, float]:
    """What the options that are on add to the metrics of a step."""
    settings, values = run.recipe.algorithm, {}
    if settings.entropy.adaptive or settings.entropy.coef > 0:
        values["policy/entropy_coef"] = used_entropy_coef
    if settings.reference_reset_every is not None:
        values["policy/reference_step"] = float(run.reference_step)
    return values


def update_settings(recipe: TrainRecipe, engine_is_exact: bool, entropy_coef: float = 0.0) -> UpdateSettings:
    """What `update_policy` needs of a recipe."""
    algorithm, loss = recipe.algorithm, recipe.algorithm.loss
    # A correction for the engine's log-probs compares them with recomputed ones, so those are the old ones then.
    rollouts_serve = engine_is_exact and loss.mismatch == "none"
    return UpdateSettings(
        loss=loss_rule(loss),
        updates=algorithm.updates_per_batch,
        temperature=recipe.rollout.temperature,
        logits_chunk_tokens=recipe.training.logits_chunk_tokens,
        old_from_rollout={"rollout": True, "recompute": False, "auto": rollouts_serve}[algorithm.old_logprobs],
        entropy_coef=entropy_coef,
    )


def _engines(recipe: TrainRecipe, policy: Policy) -> tuple[RolloutEngine, RolloutEngine]:
    """One for rollouts and one for evaluation: the same one where its batch is large enough for both."""
    rollout = recipe.rollout
    rows = rollout.max_sequences or rollout.prompts_per_step * rollout.group_size
    engine = TorchEngine(policy.model, policy.end_token_ids, rows)
    if rows >= recipe.evaluation.max_sequences:
        return engine, engine
    return engine, TorchEngine(policy.model, policy.end_token_ids, recipe.evaluation.max_sequences)


def _normalised(prompt: Prompt) -> str:
    return re.sub(r"\s+", " ", prompt.problem.text).strip().lower()
