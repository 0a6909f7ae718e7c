"""What a run does beside its steps: evaluate, save, keep the best so far, and at the end choose, measure and sum up."""

from pathlib import Path

from frugalrl.evaluation.evaluator import evaluate, load_evaluation, save_evaluation
from frugalrl.evaluation.ledger import note_look
from frugalrl.reporting.console import estimate
from frugalrl.reporting.model_card import training_card
from frugalrl.reporting.summary import Ending, Summary, contenders_of, summarise, write_summary
from frugalrl.training.choosing import choose, is_best_so_far, take_kept_weights
from frugalrl.training.guard.actions import (
    announce,
    evaluate_for_guard,
    evaluation_called_for,
    judged,
    needed_to_roll_back,
)
from frugalrl.training.length_schedule import largest_cap
from frugalrl.training.run import TrainingRun
from frugalrl.training.state.checkpoint import checkpoint_name, save_checkpoint, save_model
from frugalrl.training.state.pointers import BEST, LATEST, point, pointed, rotate


def divides(every: int | None, step: int) -> bool:
    """Whether something is done after a step; never, if `every` is None."""
    return every is not None and step % every == 0


def is_due(run: TrainingRun, every: int | None) -> bool:
    """At every multiple but the last step's, which the end of the run takes care of."""
    return divides(every, run.step) and run.step < run.recipe.training.steps


def evaluate_all(run: TrainingRun) -> None:
    """The base on the splits that it is compared with the final model on, or for the guard."""
    for split in ("validation", "test"):
        if run.problems_of(split):
            _evaluate(run, split)
    if run.problems.held_out:
        evaluate_for_guard(run)


def evaluate_if_due(run: TrainingRun) -> None:
    """Validation, if the recipe wants it after this step, and what the guard calls for; the best model so far is saved
    at once.
    """
    if run.evaluated_step < run.step and run.problems.validation and is_due(run, run.recipe.evaluation.every):
        _evaluate(run, "validation")
        run.evaluated_step = run.step
        if is_best_so_far(run):
            point(save_unless_saved(run).parent, BEST, checkpoint_name(run.step))  # it may have been saved unevaluated
    if evaluation_called_for(run) and evaluate_for_guard(run):
        save_unless_saved(run)


def _evaluate(run: TrainingRun, split: str, model_step: int | None = None) -> None:
    """Evaluate the current policy on a split; keep its records and log what they say. Raises StopRequested.

    model_step: the step that the policy is of, where it is not the run's.
    """
    began, step = run.spending.seconds, run.step if model_step is None else model_step
    with run.timed("evaluation"), run.evaluating():
        evaluation = evaluate(
            run.evaluation_engine,
            run.policy.tokenizer,
            run.problems_of(split),
            run.recipe.evaluation,
            largest_cap(run.recipe.length_schedule, run.recipe.rollout.max_completion_tokens),
        )
        save_evaluation(evaluation, run.evaluation_file(split, step))
        shape = (len(evaluation.records), run.recipe.evaluation.samples_per_problem)
        note_look(run.folder, split, step, shape, run.problems.hashes[split], "train")
    tokens = sum(record.completion_tokens for records in evaluation.records for record in records)
    run.spending.add_evaluation(split, run.spending.seconds - began, tokens)
    accuracy = evaluation.accuracy
    values = {
        "avg_at_k": accuracy.value,
        "ci_low": accuracy.ci_low,
        "ci_high": accuracy.ci_high,
        "truncated_frac": evaluation.truncated_fraction,
        "mean_tokens": evaluation.mean_tokens,
    }
    logged = {f"{split}/{name}": value for name, value in values.items()}
    run.log.write(step, logged)
    run.show(f"   {split} after step {step}: {estimate(accuracy)}")
    if split == "validation" and run.step < run.recipe.training.steps and run.end_reason is None:
        announce(run, judged(run, evaluation))


def _checkpoint_folder(run: TrainingRun) -> Path:
    return run.folder / "checkpoints" / checkpoint_name(run.step)


def save_run(run: TrainingRun) -> Path:
    """Save, point `latest` at it, and remove what need not stay."""
    path, training, began = _checkpoint_folder(run), run.recipe.training, run.spending.seconds
    with run.timed("checkpoint"):
        save_checkpoint(run.policy, run.state, path, training_card(run.recipe, None))
        if run.evaluated_step == run.step and run.problems.validation and is_best_so_far(run):
            point(path.parent, BEST, path.name)  # before `latest`: a run goes on from what `best` knows
        point(path.parent, LATEST, path.name)
        rotate(path.parent, training.keep_last, {*training.keep_steps, *needed_to_roll_back(run)})
    run.spending.add_save(run.spending.seconds - began)
    return path


def save_unless_saved(run: TrainingRun) -> Path:
    """The checkpoint of this step, which may be there already."""
    path = _checkpoint_folder(run)
    return path if pointed(path.parent, LATEST) == path else save_run(run)


def finish(run: TrainingRun) -> Summary:
    """Evaluate the last model, choose the one to keep, measure that one against the base, save it, and sum up."""
    if run.problems.validation and run.evaluated_step < run.step:
        _evaluate(run, "validation")
    choice = choose(run)
    kept_step = run.step if choice is None else choice.selection.step
    take_kept_weights(run, kept_step)
    if run.problems.test and kept_step > 0:
        _evaluate(run, "test", kept_step)
    compared, pair = run.problems_of(run.final_split), None
    if compared:
        files = [run.evaluation_file(run.final_split, step) for step in (0, kept_step)]
        pair = (load_evaluation(compared, files[0]), load_evaluation(compared, files[1]))
    ending = Ending(run.step, kept_step, run.end_reason, run.final_split)
    contenders = () if choice is None else contenders_of(choice.selection, choice.evaluations)
    summary = summarise(run.recipe, ending, run.clock, pair, contenders, choice.selection.reasons if choice else ())
    with run.timed("checkpoint"):
        save_model(run.policy, run.folder / "model", training_card(run.recipe, summary))
    write_summary(summary, run.folder / "summary.json")
    return summary


def saved_for_resume(run: TrainingRun) -> str:
    """Keep what there is to keep of a run that stops; a sentence that says how to go on."""
    if run.evaluated_step < 0:
        return "The base was not evaluated yet, so there is nothing to keep; start over with --resume."
    return f"Saved {save_unless_saved(run)}; go on with --resume."
