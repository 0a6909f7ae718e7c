"""The end of a run: evaluate the last model, select the one to keep, compare it with the base, save it, summarise."""

from collections.abc import Sequence

from frugalrl.reporting.model_card import training_card
from frugalrl.reporting.run_log import read_metrics
from frugalrl.reporting.summary import Ending, Summary, contenders_of, summarise, write_summary
from frugalrl.training.evaluating import VALIDATION, evaluate_splits, read_evaluation
from frugalrl.training.exporting import export, whole_models
from frugalrl.training.hooks.hook import StepHook
from frugalrl.training.progress import Progress
from frugalrl.training.projecting import first_projection
from frugalrl.training.run import Run
from frugalrl.training.selecting import Choice, choose
from frugalrl.training.weights import BASE_STEP, load_step_weights, publish_weights


def finish(run: Run, progress: Progress, hooks: Sequence[StepHook]) -> Summary:
    """Final evaluation, selection, save and summary. Raises StopRequested during an evaluation.

    Of several processes the first has the whole summary; that of the others says how the run ended.
    """
    if run.problems.validation and progress.evaluated_step < progress.step:
        progress = evaluate_splits(run, progress, hooks, [VALIDATION], progress.step)
    choices: list[Choice | None] = []  # of the first process

    def choose_step() -> int:
        choices.append(choose(run, progress))
        return progress.step if choices[0] is None else choices[0].selection.step

    kept_step = run.world.main(choose_step)
    if kept_step != progress.step:
        load_step_weights(run, kept_step)
        publish_weights(run, progress.policy_version)
    if run.problems.test and kept_step > BASE_STEP:
        progress = evaluate_splits(run, progress, hooks, ["test"], kept_step)
    run.writer.settle()
    progress = progress.with_seconds(run.clock.take())
    ending = Ending(progress.step, kept_step, progress.end_reason, run.final_split)
    models = whole_models(run.policy, run.world)
    if run.world.rank > 0:
        run.world.main(lambda: None)
        return summarise(run.recipe, ending, progress.wall_seconds, None)
    summaries: list[Summary] = []

    def save() -> None:
        summaries.append(_summary(run, progress, ending, choices[0]))
        export(models, run.folder, training_card(run.recipe, summaries[0]))
        write_summary(summaries[0], run.folder / "summary.json")

    run.world.main(save)
    return summaries[0]


def _summary(run: Run, progress: Progress, ending: Ending, choice: Choice | None) -> Summary:
    """The summary, from the evaluations on disk."""
    kept_step, split = ending.kept_step, ending.split
    steps = (BASE_STEP, kept_step) if run.problems_of(split) else ()
    evaluations = [read_evaluation(run, progress, split, step) for step in steps]
    pair = (evaluations[0], evaluations[1]) if evaluations else None
    contenders = () if choice is None else contenders_of(choice.selection, choice.evaluations)
    reasons = choice.selection.reasons if choice else ()
    projected = first_projection(read_metrics(run.folder))
    return summarise(run.recipe, ending, progress.wall_seconds, pair, contenders, reasons, projected)
