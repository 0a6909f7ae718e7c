"""The batch of a step: problems, groups of completions, rewards; refilled where groups carry no learning signal."""

import functools
import math
from collections.abc import Sequence
from dataclasses import replace

from frugalrl.data.sampler import SamplerState, next_problems, observe
from frugalrl.rewards.rubric import group_accuracy
from frugalrl.rollout.collect import collect_groups, groups_of, requests_of, text_teller
from frugalrl.rollout.engine import OnFinished, RolloutRequest, SamplingParams, generate
from frugalrl.rollout.refill import FilledBatch, fill_batch
from frugalrl.tasks.judging_ahead import JudgingAhead
from frugalrl.training.ahead import Ahead, DrawnBatch
from frugalrl.training.distributed.engine import own_engine
from frugalrl.training.distributed.sharing import shared_scores
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run
from frugalrl.types import ScoredGroup


def sample_batch(run: Run, progress: Progress, max_completion_tokens: int) -> tuple[Progress, FilledBatch]:
    """The scored groups of the next step, and the progress with the sampler advanced."""
    if run.ahead is not None:
        return _sample_ahead(run, run.ahead, progress, max_completion_tokens)
    recipe, rollout, step = run.recipe, run.recipe.rollout, progress.step + 1
    sampling = SamplingParams(max_completion_tokens, rollout.temperature, rollout.top_p, rollout.top_k)
    rubric = run.rubric(max_completion_tokens)
    sampler, taken = progress.sampler, list[int]()

    def sample(count: int, round_number: int) -> list[ScoredGroup]:
        nonlocal sampler
        # In a small data set a problem can come up twice in a step: the second time it is sampled with other seeds.
        seed_parts = (recipe.seed, step) if round_number == 0 else (recipe.seed, step, "refill", round_number)
        indices, sampler = next_problems(sampler, run.sampler, count)
        taken.extend(indices)
        prompts = [run.problems.train[index] for index in indices]
        with JudgingAhead(prompts) as judging:
            with run.clock.timed("rollout"):
                groups = collect_groups(
                    run.engine, run.policy.tokenizer, prompts, rollout.group_size, sampling, seed_parts, judging.add
                )
            with run.clock.timed("reward"):  # what sampling did not hide
                left = functools.partial(_seconds_left, run, progress)
                return shared_scores(run.world, rubric, groups, left, judging.verdicts)

    batch = fill_batch(sample, rollout.prompts_per_step, int(rollout.max_extra_groups * rollout.prompts_per_step))
    return replace(progress, sampler=_observed(sampler, taken, batch.sampled)), batch


def _observed(sampler: SamplerState, taken: Sequence[int], groups: Sequence[ScoredGroup]) -> SamplerState:
    accuracies = [group_accuracy([one.verdict for one in group.completions]) for group in groups]
    return observe(sampler, zip(taken, accuracies, strict=True))


def _sample_ahead(run: Run, ahead: Ahead, progress: Progress, cap: int) -> tuple[Progress, FilledBatch]:
    """As `sample_batch`, of what the last step sampled ahead; the next batch is begun before this one is judged."""
    rollout, step, sampler = run.recipe.rollout, progress.step + 1, progress.sampler
    batch = ahead.batch_of(step)
    if batch is None:
        indices, sampler = next_problems(sampler, run.sampler, rollout.prompts_per_step)
        batch = DrawnBatch(step, tuple(indices), progress.policy_version, cap, [])
    before = progress.policy_version - run.recipe.algorithm.updates_per_batch
    lacks = not batch.answers or batch.policy_version != before  # the first of a run, or the weights were rolled back
    if lacks:
        ahead.close()
        batch = replace(batch, policy_version=progress.policy_version, max_completion_tokens=cap)
    with (not lacks and ahead.judging_of(step)) or _judging(run, batch) as judging:
        if lacks:
            with run.clock.timed("rollout"):
                answers = generate(run.engine, *_asked(run, batch), _telling(run, judging))
            batch = replace(batch, answers=answers)
        ahead.keep(batch)
        if step < run.recipe.training.steps:
            indices, sampler = next_problems(sampler, run.sampler, rollout.prompts_per_step)
            _start(run, ahead, DrawnBatch(step + 1, tuple(indices), progress.policy_version, cap, []))
        prompts = [run.problems.train[index] for index in batch.indices]
        with run.clock.timed("reward"):
            groups = groups_of(run.policy.tokenizer, prompts, _asked(run, batch)[0], batch.answers)
            rubric, left = run.rubric(batch.max_completion_tokens), functools.partial(_seconds_left, run, progress)
            scored = tuple(shared_scores(run.world, rubric, groups, left, judging.verdicts))
    return replace(progress, sampler=_observed(sampler, batch.indices, scored)), FilledBatch(scored, scored, 0, 0.0)


def _start(run: Run, ahead: Ahead, batch: DrawnBatch) -> None:
    """Sample a batch in the background, and judge it meanwhile where one process judges all of it."""
    asked, judging = _asked(run, batch), _judging(run, batch)
    told = _telling(run, judging) if run.world.size == 1 else None
    ahead.start(batch, lambda: generate(own_engine(run.engine), *asked, told), judging)


def _judging(run: Run, batch: DrawnBatch) -> JudgingAhead:
    return JudgingAhead([run.problems.train[index] for index in batch.indices])


def _telling(run: Run, judging: JudgingAhead) -> OnFinished:
    return text_teller(run.policy.tokenizer, judging.add)


def _asked(run: Run, batch: DrawnBatch) -> tuple[list[RolloutRequest], SamplingParams]:
    """What an engine is asked for a batch."""
    rollout = run.recipe.rollout
    prompts = [run.problems.train[index] for index in batch.indices]
    samples = [range(rollout.group_size)] * len(prompts)
    sampling = SamplingParams(batch.max_completion_tokens, rollout.temperature, rollout.top_p, rollout.top_k)
    return requests_of(prompts, samples, (run.recipe.seed, batch.step)), sampling


def _seconds_left(run: Run, progress: Progress) -> float:
    """Seconds of the budget until the final evaluation and save must begin; infinite without a cap on time."""
    cap = run.budget.seconds
    return math.inf if cap is None else cap - run.seconds - progress.spending.end_seconds(run.load_seconds)
