"""What is fixed for a training run, and how it is built from a recipe.

`Run` holds the parts; `Progress` (progress.py) holds everything that changes, except weights and files. The functions
of the loop take both and return the next progress.
"""

import functools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from frugalrl.algorithms.advantages import Advantages
from frugalrl.config.engine_schema import VllmEngineSettings
from frugalrl.config.schema import TrainRecipe
from frugalrl.data.sampler import SamplerRule
from frugalrl.errors import ModelError
from frugalrl.reporting.run_log import RunLog
from frugalrl.reporting.summary import versions
from frugalrl.rewards.rubric import RewardFunctions, Rubric, build_rubric, check_columns
from frugalrl.rollout.engine import RolloutEngine
from frugalrl.rollout.factory import ServerNeeds, build_engine, check_reachable
from frugalrl.tasks.judging import Judge
from frugalrl.tasks.loading import check_sources
from frugalrl.training.ahead import Ahead
from frugalrl.training.distributed.agreement import digest, refuse_disagreement
from frugalrl.training.distributed.choice import choose_placement, needs_whole_weights
from frugalrl.training.distributed.devices import server_devices
from frugalrl.training.distributed.engine import ServedEngine, SharedEngine
from frugalrl.training.distributed.placement import Placement, own_part
from frugalrl.training.distributed.sharing import shared_verdicts
from frugalrl.training.distributed.world import ALONE, World, only_main
from frugalrl.training.length_schedule import bounds, largest_cap
from frugalrl.training.limits.budget import Budget
from frugalrl.training.limits.clock import PhaseClock
from frugalrl.training.model.adapter import AdapterReference
from frugalrl.training.model.adapter_engine import adapter_engines
from frugalrl.training.model.eight_bit import require_bitsandbytes
from frugalrl.training.model.loading import described, load_trained
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.model.policy import Policy, resolve_model_path
from frugalrl.training.model.reference import load_reference, reference_waits
from frugalrl.training.problem_sets import ProblemSets, Show, load_problem_sets
from frugalrl.training.rules import advantage_rule, check_algorithm, sampler_rule, update_settings
from frugalrl.training.state.background import CheckpointWriter
from frugalrl.training.state.checkpoint import checkpoint_name
from frugalrl.training.update import UpdateSettings
from frugalrl.types import Prompt
from frugalrl.verify.answers import configure_default_pool


@dataclass(frozen=True)
class Run:
    """The parts of a run. None is ever replaced; the weights inside policy, reference and optimizer change."""

    recipe: TrainRecipe
    folder: Path
    policy: Policy
    reference: Policy | None
    engine: RolloutEngine
    evaluation_engine: RolloutEngine
    optimizer: MasterOptimizer
    rubric: Callable[[int], Rubric]
    """Given the cap on completion tokens: rewards bounded by the cap follow it, unless their bound is set."""
    problems: ProblemSets
    sampler: SamplerRule
    advantage: Advantages
    update: UpdateSettings
    budget: Budget
    log: RunLog
    show: Show
    placement: Placement
    """Where weights and optimizer states lie, and which processes share the run."""
    base_weights: str
    """Hash of the model it began with."""
    began: float
    """`time.monotonic()` at its start, minus the seconds of the run's earlier processes."""
    load_seconds: float
    evaluating: Callable[[], AbstractContextManager[None]] = nullcontext
    """Entered around every evaluation; may leave it by raising StopRequested."""
    clock: PhaseClock = field(default_factory=PhaseClock)
    ahead: Ahead | None = None
    """The batches of a run that is one step off policy."""
    writer: CheckpointWriter = field(default_factory=CheckpointWriter)
    """Writes checkpoints while the run goes on."""

    @property
    def world(self) -> World:
        """The processes that share the run."""
        return self.placement.world

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the run so far."""
        return time.monotonic() - self.began

    def close(self) -> None:
        """End what its engines started, and wait for a checkpoint that is being written."""
        self.writer.close()
        if self.ahead is not None:
            self.ahead.close()
        for engine in (self.engine, self.evaluation_engine):
            engine.close()

    @property
    def largest_cap(self) -> int:
        """The most tokens a completion of this run can have, which is also the cap of evaluations."""
        return largest_cap(self.recipe.length_schedule, self.recipe.rollout.max_completion_tokens)

    @property
    def final_split(self) -> str:
        """The split on which base and final model are compared."""
        return "test" if self.problems.test else "validation"

    @property
    def judge(self) -> Judge | None:
        """Verdicts on the groups of an evaluation, each process making some; None where there is one process."""
        return None if self.world.size == 1 else functools.partial(shared_verdicts, self.world)

    def problems_of(self, split: str) -> list[Prompt]:
        """The prompts of ``validation`` or ``test``; empty if the recipe has none."""
        return self.problems.validation if split == "validation" else self.problems.test

    @property
    def evaluations(self) -> Path:
        """The folder of the evaluation files."""
        return self.folder / "evaluations"

    def evaluation_file(self, split: str, step: int) -> Path:
        """The file with the records of a split after a step."""
        return self.evaluations / f"{split}-{checkpoint_name(step)}.jsonl"

    def checkpoint_folder(self, step: int) -> Path:
        """The folder of a step's checkpoint."""
        return self.folder / "checkpoints" / checkpoint_name(step)


def load_run(
    recipe: TrainRecipe,
    folder: Path,
    weights: Path | None,
    log: RunLog,
    show: Show,
    reward_functions: RewardFunctions | None = None,
    world: World = ALONE,
) -> Run:
    """Load all that a run needs, and check that it fits together.

    weights: a checkpoint to take the policy's weights from; None takes the recipe's model.
    reward_functions: of the user's own, by name; others are imported. Raises UserError.
    """
    began = time.monotonic()
    only_main(world, lambda: check_reachable(recipe.rollout.engine))
    loaded = own_part(world, lambda: _load(recipe, weights, show, reward_functions, world.size))
    policy, problems = loaded.policy, loaded.problems
    with_reference = not (loaded.reference is None or isinstance(loaded.reference, AdapterReference))  # a second copy
    found = {"recipe": digest(repr(recipe)), "model": loaded.base_weights, **problems.hashes, **versions()}
    refuse_disagreement(world, found)
    chosen = choose_placement(world, recipe, policy, needs_whole_weights(recipe), with_reference)
    if chosen.reason:
        show(chosen.reason)
    placement = chosen.placement
    policy = placement.place(policy)
    reference = None if loaded.reference is None else placement.place(loaded.reference)
    optimizer = MasterOptimizer(policy.model, recipe.optimizer, placement.sum_gradients)
    sampler = sampler_rule(recipe, problems.train)
    # Last, for what may start servers is ended with the run only once there is a run.
    engine, evaluation_engine = _engines(recipe, policy, folder, problems, placement)
    return Run(
        recipe=recipe,
        folder=folder,
        policy=policy,
        reference=reference,
        engine=engine,
        evaluation_engine=evaluation_engine,
        optimizer=optimizer,
        rubric=loaded.rubric,
        problems=problems,
        sampler=sampler,
        advantage=advantage_rule(recipe.algorithm.advantage),
        update=update_settings(recipe, engine.logprobs_are_exact),
        budget=Budget(**recipe.budget.model_dump()),
        log=log,
        show=show,
        placement=placement,
        base_weights=loaded.base_weights,
        began=began,
        load_seconds=time.monotonic() - began,
        ahead=Ahead(world) if recipe.rollout.one_step_off else None,
    )


@dataclass(frozen=True)
class _Loaded:
    """What each process loads by itself."""

    policy: Policy
    base_weights: str
    reference: Policy | None
    problems: ProblemSets
    rubric: Callable[[int], Rubric]


def _load(
    recipe: TrainRecipe, weights: Path | None, show: Show, reward_functions: RewardFunctions | None, processes: int
) -> _Loaded:
    check_algorithm(recipe)
    require_bitsandbytes(recipe.optimizer)
    check_sources([recipe.data.train, recipe.data.validation, recipe.data.test])
    configure_default_pool(**recipe.verifier.model_dump())
    rubric = _rubric_by_cap(recipe, reward_functions)
    policy, base_weights = load_trained(recipe.model, weights, recipe.seed)
    if policy.end_token_note is not None:
        show(f"WARNING: {policy.end_token_note}")
    if (adapters := described(policy)) is not None:
        show(adapters)
    check_context(recipe, policy.context_tokens)
    problems = load_problem_sets(recipe, policy.tokenizer, show)
    check_columns(recipe.rewards, [prompt.problem for prompt in problems.train], reward_functions)
    reference = None if recipe.algorithm.loss.kl_coef == 0 else _load_reference(recipe, policy, show, processes)
    return _Loaded(policy, base_weights, reference, problems, rubric)


def _load_reference(recipe: TrainRecipe, policy: Policy, show: Show, processes: int) -> Policy:
    waits = reference_waits(recipe, policy, processes)
    if waits and policy.device.type != "cpu":
        why = "asked for" if recipe.algorithm.reference_place == "host" else "more than half of the GPU would be taken"
        show(f"The reference's weights wait in host memory ({why}); algorithm.reference_place says where.")
    return load_reference(recipe.model, policy, waits)


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


def _rubric_by_cap(recipe: TrainRecipe, functions: RewardFunctions | None) -> Callable[[int], Rubric]:
    """Raises RecipeError if a reward cannot be bounded by a cap that the run can come to."""
    first_cap, rule = recipe.rollout.max_completion_tokens, recipe.length_schedule
    rubric = functools.cache(functools.partial(build_rubric, recipe.rewards, functions=functions))
    for cap in {first_cap} if rule is None else bounds(rule, first_cap):
        rubric(cap)
    return rubric


def samples_here(recipe: TrainRecipe) -> bool:
    """Whether completions are sampled in this process, and not by servers."""
    return not isinstance(recipe.rollout.engine, VllmEngineSettings)


_PROBE_PROMPTS = 16
"""Of the training problems: the servers' answers to them are scored again after each update."""


def _shared_folder(recipe: TrainRecipe, folder: Path) -> Path:
    """Where adapters are written for servers."""
    given = getattr(recipe.rollout.engine, "weights_folder", None)
    return (folder if given is None else Path(given) / folder.name).absolute() / "adapters"


def _engines(
    recipe: TrainRecipe, policy: Policy, folder: Path, problems: ProblemSets, placement: Placement
) -> tuple[RolloutEngine, RolloutEngine]:
    """One for rollouts and one for evaluation, each of which all processes share."""

    def own() -> tuple[RolloutEngine, RolloutEngine]:
        plain = _own_engines(recipe, policy, folder, problems, placement.world.size)
        return adapter_engines(policy, *plain, _shared_folder(recipe, folder))

    if placement.world.size == 1:
        return own()
    if isinstance(recipe.rollout.engine, VllmEngineSettings):
        served = ServedEngine(lambda: own()[0], placement)
        return served, served
    engine, evaluation_engine = own()
    return SharedEngine(engine, placement), SharedEngine(evaluation_engine, placement)


def _own_engines(
    recipe: TrainRecipe, policy: Policy, folder: Path, problems: ProblemSets, processes: int
) -> tuple[RolloutEngine, RolloutEngine]:
    """Those of this process; one serves both if its batch is large enough, or if it is a server."""
    rollout, others = recipe.rollout, recipe.evaluation.max_sequences
    rows = rollout.max_sequences or -(-rollout.prompts_per_step * rollout.group_size // processes)
    if isinstance(rollout.engine, VllmEngineSettings):
        longest = largest_cap(recipe.length_schedule, rollout.max_completion_tokens)
        needs = ServerNeeds(
            folder=folder,
            model=str(resolve_model_path(recipe.model.path)),
            revision=recipe.model.revision,
            longest_tokens=rollout.max_prompt_tokens + max(longest, recipe.evaluation.max_completion_tokens or 0),
            prompts=tuple(prompt.token_ids for prompt in problems.train[:_PROBE_PROMPTS]),
            devices=server_devices(recipe.devices, policy.device.type == "cuda") if rollout.engine.launch else (),
            lora_rank=None if recipe.model.lora is None else recipe.model.lora.rank,
        )
        everything = max(rollout.max_sequences or rollout.prompts_per_step * rollout.group_size, others)
        engine = build_engine(rollout.engine, policy.model, policy.end_token_ids, everything, needs)
        return engine, engine
    engine = build_engine(rollout.engine, policy.model, policy.end_token_ids, rows)
    if rows >= others:
        return engine, engine
    return engine, build_engine(rollout.engine, policy.model, policy.end_token_ids, others)
