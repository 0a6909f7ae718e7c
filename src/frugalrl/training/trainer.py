"""GRPO with verifiable rewards: the loop.

Departures from the textbook algorithm (arXiv 2402.03300), all of them settings of the recipe:
- the loss is averaged over the tokens of the whole batch by default, not over each completion first;
- old log-probs are the rollout's own where the engine computes exactly what the trainer does (fp32);
- without a KL term (`kl_coef` 0, the default) no reference model is held.

Options (entropy control, length schedule, reference reset, guard, alarms) are step hooks: see `hooks/`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import BudgetEndedError
from frugalrl.reporting.console import PROGRESS_HEADER
from frugalrl.reporting.summary import Summary
from frugalrl.rewards.rubric import RewardFunctions
from frugalrl.training.batch import sample_batch
from frugalrl.training.batching import training_rows
from frugalrl.training.device_errors import as_user_error
from frugalrl.training.distributed.log import open_log
from frugalrl.training.distributed.world import ALONE, World
from frugalrl.training.ending import end_of_budget, reason_to_end, save_after_error, save_for_resume
from frugalrl.training.evaluating import evaluate_base, evaluate_validation, is_evaluation_due
from frugalrl.training.finishing import finish
from frugalrl.training.hooks.hook import StepHook
from frugalrl.training.hooks.table import hooks_of
from frugalrl.training.limits.stopping import StopRequested
from frugalrl.training.problem_sets import Show
from frugalrl.training.progress import Progress
from frugalrl.training.restoring import prepare_run
from frugalrl.training.run import Run
from frugalrl.training.saving import save_as_best, save_run, save_unless_saved
from frugalrl.training.schedule import is_due
from frugalrl.training.selecting import is_best_so_far
from frugalrl.training.step import (
    StepReport,
    after_step,
    before_step,
    publish_step,
    report_step,
    update_within_memory,
)


def train(
    recipe: TrainRecipe,
    folder: Path,
    resume_from: Path | None = None,
    show: Show = lambda line: None,
    should_stop: Callable[[], bool] = lambda: False,
    evaluating: Callable[[], AbstractContextManager[None]] = nullcontext,
    extra_hooks: Sequence[StepHook] = (),
    reward_functions: RewardFunctions | None = None,
    world: World = ALONE,
    before_start: Callable[[Run], None] = lambda run: None,
) -> Summary | None:
    """Train as the recipe says, from its model or from a checkpoint of this recipe.

    folder: the run's folder, which exists. Written below it: `metrics.jsonl`, `samples.jsonl`, `environment.json`,
        `evaluations/`, `checkpoints/`, `model/` and `summary.json`.
    should_stop: asked before every step; once true, the run saves a checkpoint and ends without a summary.
    evaluating: entered around evaluations; leaves one by raising StopRequested, which also saves and ends the run.
    extra_hooks: called after those of the recipe.
    reward_functions: of the user's own, by the name in the recipe's rewards; others are imported by their dotted path.
    world: the processes that share the run. All call this; the first one alone writes, and `show` is to be silent in
        the others.
    before_start: called with the loaded run before anything is computed, not at a resume; may raise UserError.
    Raises UserError for whatever in recipe, data or model makes training impossible. After any error that is raised
    in a step, a checkpoint of the step before it is saved first, if it can be.
    """
    hooks = (*hooks_of(recipe), *extra_hooks)
    with open_log(world, folder, recipe) as log:
        run, progress = prepare_run(recipe, folder, resume_from, log, show, reward_functions, world)
        if resume_from is None:
            check_start(run, before_start)
        run, clean = replace(run, evaluating=lambda: world.interruptible(evaluating)), run.optimizer.steps_begun
        try:
            for reached in run_steps(run, progress, hooks, lambda: any(world.each(should_stop))):
                progress, clean = reached, run.optimizer.steps_begun
            return finish(run, progress, hooks)
        except StopRequested:
            kept = save_for_resume(run, progress, hooks)
            show(f"Stopped after step {progress.step} of {recipe.training.steps}. {kept}")
            return None
        except Exception as error:  # of a reward, the memory, the disk, a device: what is complete is saved first
            if not world.agrees_on(error):
                raise  # the others do not know of it: nothing can be done together any more
            show(save_after_error(run, progress, hooks, is_clean=run.optimizer.steps_begun == clean))
            said = as_user_error(error)
            if said is error:
                raise
            raise said from error
        finally:
            run.close()


def check_start(run: Run, before_start: Callable[[Run], None]) -> None:
    """Call it; what a run that does not start had started is ended."""
    try:
        before_start(run)
    except BaseException:
        run.close()
        raise


def run_steps(
    run: Run, progress: Progress, hooks: Sequence[StepHook], should_stop: Callable[[], bool]
) -> Iterator[Progress]:
    """The loop, from the run's progress to its last step: a step, its evaluation, its checkpoint, and again.

    Yields the progress whenever a part is complete, so that an interrupted caller knows what to save. Raises
    StopRequested.
    """
    recipe = run.recipe
    if progress.evaluated_step < 0:
        yield (progress := evaluate_base(run, progress, hooks))
    run.show(PROGRESS_HEADER)
    is_first = True  # where a run resumes, its checkpoint is there, while its evaluation may still be due
    while True:
        if is_evaluation_due(run, progress):
            progress = evaluate_validation(run, progress, hooks)
            if is_best_so_far(run, progress):
                progress = save_as_best(run, progress, hooks)
            yield progress
        yield (progress := between_steps(run, progress, hooks))
        if not is_first and is_due(recipe.training.save_every, progress.step, recipe.training.steps):
            yield (progress := save_run(run, progress, hooks))
        is_first = False
        run.writer.check()
        end = reason_to_end(run, progress)
        if end is not None:
            break
        if should_stop():
            raise StopRequested
        try:
            progress, report = grpo_step(run, progress, hooks)
        except BudgetEndedError as error:  # in a reward that is still at work: the step is given up
            end = end_of_budget(error, progress.step)
            break
        yield progress
        report_step(run, progress, report)
        yield (progress := publish_step(run, progress))  # pi_old is pi from here on
    for line in end.notes:
        run.show(line)
    progress = replace(progress, end_reason=end.reason)
    yield save_unless_saved(run, progress, hooks)  # so that the final evaluation can fail without losing a step


def between_steps(run: Run, progress: Progress, hooks: Sequence[StepHook]) -> Progress:
    """What hooks do between steps, such as their own evaluations. Raises StopRequested."""
    for hook in hooks:
        made = hook.between(run, progress)
        progress = replace(made.progress, end_reason=made.progress.end_reason or made.end_reason)
        for note in made.notes:
            run.show(note)
        if made.save:
            progress = save_unless_saved(run, progress, hooks)
    return progress


def grpo_step(run: Run, progress: Progress, hooks: Sequence[StepHook]) -> tuple[Progress, StepReport]:
    """One step of GRPO (arXiv 2402.03300, algorithm 1; 2503.16219, section 3).

    For problems q with G completions o_i each: rewards r_i, advantages A_i within each group, and one or more updates
    that maximise the clipped objective with token ratios and a KL term.
    """
    algorithm, rollout = run.recipe.algorithm, run.recipe.rollout
    progress, settings, began = before_step(run, progress, hooks)
    # q ~ data; o_1 .. o_G ~ pi_old(. | q); r_i = sum of weight x reward
    progress, batch = sample_batch(run, progress, settings.max_completion_tokens)
    with run.clock.timed("update"):
        run.engine.rest()
        # A_i = (r_i - mean r) / std r, and the weight of each token in the loss of the whole batch
        rows = training_rows(
            batch.kept,
            run.advantage,
            algorithm.loss.aggregation,
            algorithm.loss.constant_tokens or rollout.max_completion_tokens,
            algorithm.mask_truncated,
        )
        # min(ratio A, clip(ratio, 1 - low, 1 + high) A) - kl_coef KL(pi || pi_ref), then a step of the optimizer
        progress, updated = update_within_memory(run, progress, rows, settings)
        progress = replace(
            progress, step=progress.step + 1, policy_version=progress.policy_version + algorithm.updates_per_batch
        )
    if run.ahead is not None:
        with run.clock.timed("rollout"):
            run.ahead.settle()  # the next batch, which was sampled meanwhile
    return after_step(run, progress, hooks, settings, batch, updated, began)
