"""The end of a run: evaluate the last model, select the one to keep, compare it with the base, save it, summarise."""

from collections.abc import Sequence

from frugalrl.reporting.model_card import training_card
from frugalrl.reporting.summary import Ending, Summary, contenders_of, summarise, write_summary
from frugalrl.training.evaluating import VALIDATION, evaluate_split, read_evaluation
from frugalrl.training.exporting import export
from frugalrl.training.hooks.hook import StepHook
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run
from frugalrl.training.selecting import choose
from frugalrl.training.weights import BASE_STEP, load_step_weights, publish_weights


def finish(run: Run, progress: Progress, hooks: Sequence[StepHook]) -> Summary:
    """Final evaluation, selection, save and summary. Raises StopRequested during an evaluation."""
    if run.problems.validation and progress.evaluated_step < progress.step:
        progress = evaluate_split(run, progress, hooks, VALIDATION, progress.step)
    choice = choose(run, progress)
    kept_step = progress.step if choice is None else choice.selection.step
    if kept_step != progress.step:
        load_step_weights(run, kept_step)
        publish_weights(run, progress.policy_version)
    if run.problems.test and kept_step > BASE_STEP:
        progress = evaluate_split(run, progress, hooks, "test", kept_step)
    split = run.final_split
    steps = (BASE_STEP, kept_step) if run.problems_of(split) else ()
    evaluations = [read_evaluation(run, progress, split, step) for step in steps]
    pair = (evaluations[0], evaluations[1]) if evaluations else None
    ending = Ending(progress.step, kept_step, progress.end_reason, split)
    contenders = () if choice is None else contenders_of(choice.selection, choice.evaluations)
    progress = progress.with_seconds(run.clock.take())
    reasons = choice.selection.reasons if choice else ()
    summary = summarise(run.recipe, ending, progress.wall_seconds, pair, contenders, reasons)
    export(run.policy, run.folder, training_card(run.recipe, summary))
    write_summary(summary, run.folder / "summary.json")
    return summary
