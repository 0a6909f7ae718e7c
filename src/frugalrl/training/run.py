"""What a training run is made of, how it is put together from a recipe, and how it goes on from a checkpoint.

Everything that decides the future is in a checkpoint. What a part of the run adds to `TrainingRun.state` under a key of
its own it reads back in `restore`: the two stand here, and nowhere else. Rollouts are never pending: a checkpoint is
made between steps. The learning rate and the position in the data follow from the step.
"""

import dataclasses
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frugalrl.algorithms.entropy import EntropyRule, EntropyState, active_coefficient, after_step
from frugalrl.config.schema import TrainRecipe
from frugalrl.data.sampler import SamplerRule, SamplerState, next_problems
from frugalrl.errors import DataError, ModelError
from frugalrl.reporting.run_log import RunLog, seconds_logged
from frugalrl.rewards.rubric import Rubric, build_rubric, check_columns
from frugalrl.rollout.engine import RolloutEngine
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.training.guard.state import GuardState, from_json, to_json
from frugalrl.training.length_schedule import (
    LengthState,
    bounds,
    first_state,
    largest_cap,
    length_from_json,
    length_to_json,
)
from frugalrl.training.limits.budget import Budget
from frugalrl.training.limits.spending import Spending
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.model.policy import Policy, load_policy, weights_hash
from frugalrl.training.model.reference import copy_weights, load_reference, load_reference_tensors, reference_tensors
from frugalrl.training.problem_sets import ProblemSets, Show, load_problem_sets
from frugalrl.training.rules import sampler_rule
from frugalrl.training.state.checkpoint import TrainingState, checkpoint_name, load_training_state, load_weights
from frugalrl.training.state.random_state import random_values, restore_random_states, seed_random_states
from frugalrl.types import Prompt
from frugalrl.verify.answers import configure_default_pool


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
    base_weights: str
    """Hash of the model it began with."""
    spending: Spending
    show: Show
    sampler_rule: SamplerRule
    sampler: SamplerState = field(default_factory=SamplerState)
    step: int = 0
    """Steps that are complete."""
    entropy: EntropyState = field(default_factory=EntropyState)
    """Of the entropy bonus."""
    guard: GuardState = field(default_factory=GuardState)
    """What the guard remembers; as it was made where none watches."""
    length: LengthState | None = None
    """The cap in force, if it moves."""
    reference_step: int = 0
    """The step after which the reference was last reset; 0: it is the base."""
    evaluated_step: int = -1
    """The last step whose evaluation, if one was due, is complete and logged; -1 until the base is evaluated."""
    end_reason: str | None = None
    """Why the run closes before its last step: a budget, a guard. None while it goes on."""
    evaluating: Callable[[], AbstractContextManager[None]] = nullcontext
    """Entered around every evaluation; may leave it by raising StopRequested."""
    clock: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds by phase, those before a resume included."""
    step_seconds: list[float] = field(default_factory=list)
    """Of each step of this process: what the ETA is made of."""

    @property
    def policy_version(self) -> int:
        """Counts the optimizer updates and the rollbacks there have been: never twice the same for other weights."""
        rollbacks = len(self.guard.rollbacks) - self.guard.pending
        return self.step * self.recipe.algorithm.updates_per_batch + rollbacks

    @property
    def cap_tokens(self) -> int:
        """The cap on the completions of the next step."""
        return self.recipe.rollout.max_completion_tokens if self.length is None else self.length.cap_tokens

    @property
    def final_split(self) -> str:
        """The split on which base and final model are compared."""
        return "test" if self.problems.test else "validation"

    @property
    def state(self) -> TrainingState:
        """What a checkpoint keeps beside the weights: the one place to add to, with `restore`."""
        values = {
            "step": self.step,
            "sampler": self.sampler.to_json(),
            "policy_version": self.policy_version,
            "evaluated_step": self.evaluated_step,
            "end_reason": self.end_reason,
            "entropy": dataclasses.asdict(self.entropy),
            "guard": to_json(self.guard),
            "length": None if self.length is None else length_to_json(self.length),
            "reference_step": self.reference_step,
            "log_lengths": self.log.lengths(),
            "wall_seconds": dict(self.clock),
            "spending": self.spending.values(),
            "random": random_values(),
            "data_hashes": self.problems.hashes,
            "base_weights": self.base_weights,
        }
        tensors = {"optimizer": self.optimizer.state_tensors()}
        if self.reference is not None and self.reference_step > 0:
            tensors["reference"] = reference_tensors(self.reference)
        return TrainingState(values, tensors)

    def next_problems(self, count: int) -> list[int]:
        """Indices of the next `count` training problems, which are then taken."""
        indices, self.sampler = next_problems(self.sampler, self.sampler_rule, len(self.problems.train), count)
        return indices

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
    configure_default_pool(**recipe.verifier.model_dump())
    length = _first_length(recipe)
    rubric = build_rubric(recipe.rewards, recipe.rollout.max_completion_tokens if length is None else length.cap_tokens)
    path = recipe.model.path if resume_from is None else str(resume_from)
    policy = load_policy(recipe.model.model_copy(update={"path": path}))
    check_context(recipe, policy.context_tokens)
    problems = load_problem_sets(recipe, policy.tokenizer, show)
    check_columns(recipe.rewards, [prompt.problem for prompt in problems.train])
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
        base_weights=weights_hash(policy),
        spending=Spending(Budget(**recipe.budget.model_dump()), started=started),
        show=show,
        entropy=EntropyState(recipe.algorithm.entropy.coef),
        length=length,
        sampler_rule=sampler_rule(recipe, problems.train),
    )
    if resume_from is None:
        seed_random_states(recipe.seed)
        run.publish_weights()
    else:
        reference_weights = None if run.reference is None else weights_hash(run.reference)
        values = restore(run, resume_from)
        _refuse_other_base(recipe, reference_weights, run.base_weights)
        # What a kill threw away was paid: it counts, under a name of its own.
        run.clock["lost"] += run.spending.restore(values["spending"], seconds_logged(folder))
    run.spending.load_seconds = time.monotonic() - started
    run.clock["load"] += run.spending.load_seconds
    return run


def _first_length(recipe: TrainRecipe) -> LengthState | None:
    """The cap of step 1, if it moves. Raises RecipeError if a reward cannot be bounded by a cap it can come to."""
    if recipe.length_schedule is None:
        return None
    for cap_tokens in bounds(recipe.length_schedule, recipe.rollout.max_completion_tokens):
        build_rubric(recipe.rewards, cap_tokens)
    return first_state(recipe.length_schedule, recipe.rollout.max_completion_tokens, recipe.training.steps)


def set_length(run: TrainingRun, length: LengthState | None) -> None:
    """Set the cap of the next step. Rewards that are bounded by the cap follow it, unless their own bound is set."""
    changed = length is not None and length.cap_tokens != run.cap_tokens
    run.length = length
    if changed:
        run.rubric = build_rubric(run.recipe.rewards, run.cap_tokens)


def reset_reference(run: TrainingRun) -> None:
    """Make the policy as it is the reference, if there is one, and let the optimizer forget (ProRL, 2505.24864)."""
    run.optimizer.forget()
    if run.reference is not None:
        copy_weights(run.policy, run.reference)
        run.reference_step = run.step


def load_base_weights(run: TrainingRun) -> None:
    """Put the weights of the model that the run began with into the policy. Raises ModelError."""
    base = load_policy(run.recipe.model)
    if weights_hash(base) != run.base_weights:
        raise ModelError(
            f"The model {run.recipe.model.path!r}, which this run goes back to, has other weights than when it began. "
            "Put it back and go on with --resume."
        )
    copy_weights(base, run.policy)


def restore(run: TrainingRun, checkpoint: Path) -> Mapping[str, Any]:
    """Put a run where a checkpoint of it stands; returns the checkpoint's values.

    Weights, optimizer, step, clocks and random states go back. Not the spending, which never does, and not the log: the
    caller knows what of them it wants. Nothing is changed if the problems are not those the checkpoint was made with.
    That the checkpoint is whole, `pointers.newest_whole` or `manifest.damage` has said.
    Raises DataError and OutputError.
    """
    state = load_training_state(checkpoint)
    values = state.values
    _refuse_other_data(run, values["data_hashes"])
    load_weights(run.policy, checkpoint)
    run.optimizer.load_state_tensors(state.tensors["optimizer"])
    run.step = int(values["step"])
    run.evaluated_step = int(values["evaluated_step"])
    run.end_reason = values["end_reason"]
    run.base_weights = values["base_weights"]
    run.sampler = SamplerState.from_json(values["sampler"])
    run.entropy = EntropyState(**values["entropy"])
    run.guard = from_json(values["guard"])
    set_length(run, None if values["length"] is None else length_from_json(values["length"]))
    run.reference_step = int(values["reference_step"])
    if run.reference is not None and run.reference_step > 0:
        load_reference_tensors(run.reference, state.tensors["reference"])
    run.clock.clear()
    run.clock.update(values["wall_seconds"])
    restore_random_states(values["random"])
    run.publish_weights()
    return values


def _refuse_other_data(run: TrainingRun, hashes: Mapping[str, str]) -> None:
    changed = [split for split, value in run.problems.hashes.items() if hashes[split] != value]
    if changed:
        raise DataError(
            f"The {' and '.join(changed)} problems of {run.recipe.name} are not those the run began with. Put the data "
            "back as it was to resume, or start a new run with another --out."
        )


def _refuse_other_base(recipe: TrainRecipe, reference_weights: str | None, base_weights: str) -> None:
    """Only a reference is read from the base again; without one a resumed run does not need it."""
    if reference_weights not in (None, base_weights):
        raise ModelError(
            f"The model {recipe.model.path!r} has other weights than when the run began, and the KL term refers to "
            "it. Put it back to resume, or start a new run with another --out."
        )


def check_context(recipe: TrainRecipe, context_tokens: int) -> None:
    """Raise ModelError if prompt and completion at their longest do not fit the model's context."""
    rollout = recipe.rollout
    largest = largest_cap(recipe.length_schedule, rollout.max_completion_tokens)
    completion = max(largest, recipe.evaluation.max_completion_tokens or 0)
    needed = rollout.max_prompt_tokens + completion
    if needed > context_tokens:
        raise ModelError(
            f"max_prompt_tokens {rollout.max_prompt_tokens} + {completion} completion tokens are {needed}, more than "
            f"the context of {recipe.model.path}, {context_tokens} tokens. Lower one of them."
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


def _engines(recipe: TrainRecipe, policy: Policy) -> tuple[RolloutEngine, RolloutEngine]:
    """One for rollouts and one for evaluation: the same one where its batch is large enough for both."""
    rollout = recipe.rollout
    rows = rollout.max_sequences or rollout.prompts_per_step * rollout.group_size
    engine = TorchEngine(policy.model, policy.end_token_ids, rows)
    if rows >= recipe.evaluation.max_sequences:
        return engine, engine
    return engine, TorchEngine(policy.model, policy.end_token_ids, recipe.evaluation.max_sequences)
