"""The batch of a step: problems, groups of completions, rewards; refilled where groups carry no learning signal."""

import math
from dataclasses import replace

from frugalrl.data.sampler import next_problems, observe
from frugalrl.rewards.rubric import group_accuracy
from frugalrl.rollout.collect import collect_groups
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.refill import FilledBatch, fill_batch
from frugalrl.training.distributed.sharing import shared_scores
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run
from frugalrl.types import ScoredGroup


def sample_batch(run: Run, progress: Progress, max_completion_tokens: int) -> tuple[Progress, FilledBatch]:
    """The scored groups of the next step, and the progress with the sampler advanced."""
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
        with run.clock.timed("rollout"):
            groups = collect_groups(run.engine, run.policy.tokenizer, prompts, rollout.group_size, sampling, seed_parts)
        with run.clock.timed("reward"):
            return shared_scores(run.world, rubric, groups, lambda: _seconds_left(run, progress))

    batch = fill_batch(sample, rollout.prompts_per_step, int(rollout.max_extra_groups * rollout.prompts_per_step))
    accuracies = [group_accuracy([one.verdict for one in group.completions]) for group in batch.sampled]
    sampler = observe(sampler, zip(taken, accuracies, strict=True))
    return replace(progress, sampler=sampler), batch


def _seconds_left(run: Run, progress: Progress) -> float:
    """Seconds of the budget until the final evaluation and save must begin; infinite without a cap on time."""
    cap = run.budget.seconds
    return math.inf if cap is None else cap - run.seconds - progress.spending.end_seconds(run.load_seconds)
