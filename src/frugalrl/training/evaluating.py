"""Evaluations of a run: made, saved with a hash, read back, and redone where a file was lost or changed."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from frugalrl.data.fingerprint import prompt_hash
from frugalrl.errors import OutputError
from frugalrl.evaluation.ledger import note_look
from frugalrl.evaluation.records import Evaluation, Subject
from frugalrl.evaluation.runner import evaluate_sets, load_evaluation, save_evaluation
from frugalrl.reporting.console import estimate
from frugalrl.reporting.lines import Progressing
from frugalrl.training.hooks.hook import StepHook
from frugalrl.training.model.policy import weights_hash
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run
from frugalrl.training.schedule import is_due
from frugalrl.training.weights import BASE_STEP, load_step_weights, publish_weights

VALIDATION = "validation"


def evaluate_base(run: Run, progress: Progress, hooks: Sequence[StepHook]) -> Progress:
    """Evaluate the base on the splits on which base and final model are compared. Raises StopRequested."""
    splits = [split for split in (VALIDATION, "test") if run.problems_of(split)]
    progress = evaluate_splits(run, progress, hooks, splits, BASE_STEP)
    return replace(progress, evaluated_step=BASE_STEP)


def is_evaluation_due(run: Run, progress: Progress) -> bool:
    """Whether the recipe asks for a validation after this step that has not been made yet."""
    due = is_due(run.recipe.evaluation.every, progress.step, run.recipe.training.steps)
    return due and progress.evaluated_step < progress.step and bool(run.problems.validation)


def evaluate_validation(run: Run, progress: Progress, hooks: Sequence[StepHook]) -> Progress:
    """Evaluate the current policy on validation. Raises StopRequested."""
    progress = evaluate_splits(run, progress, hooks, [VALIDATION], progress.step)
    return replace(progress, evaluated_step=progress.step)


def evaluate_splits(
    run: Run, progress: Progress, hooks: Sequence[StepHook], splits: Sequence[str], model_step: int
) -> Progress:
    """Evaluate the current policy on some splits, sampled together; save the records, log the metrics, tell the hooks.

    model_step: the step of the policy. Raises StopRequested, and then nothing has changed.
    """
    if not splits:
        return progress
    began = run.seconds
    what = f"evaluating {' and '.join(splits)} after step {model_step}"
    run.show(Progressing(f"   {what}", what, 0, 0))
    made = _evaluated(run, splits, model_step)
    seconds, tokens = run.seconds - began, sum(evaluation.total_tokens for evaluation in made)
    for split, evaluation in zip(splits, made, strict=True):
        # One that is sampled alone later takes about as long as its share of the tokens.
        own_seconds = seconds * evaluation.total_tokens / max(1, tokens)
        progress = _told(run, progress, hooks, split, model_step, evaluation, own_seconds)
    return progress


def _told(
    run: Run,
    progress: Progress,
    hooks: Sequence[StepHook],
    split: str,
    model_step: int,
    evaluation: Evaluation,
    seconds: float,
) -> Progress:
    """The progress with an evaluation, which is logged, shown and, if it is a validation, told to the hooks."""
    file = run.evaluation_file(split, model_step)
    progress = replace(
        progress,
        spending=progress.spending.after_evaluation(split, seconds, evaluation.total_tokens),
        evaluations={**progress.evaluations, file.name: evaluation_hash(evaluation)},
    )
    accuracy = evaluation.accuracy
    values = {
        "avg_at_k": accuracy.value,
        "ci_low": accuracy.ci_low,
        "ci_high": accuracy.ci_high,
        "truncated_frac": evaluation.truncated_fraction,
        "unknown_frac": evaluation.unknown_fraction,
        "mean_tokens": evaluation.mean_tokens,
    }
    logged = {f"{split}/{name}": value for name, value in values.items()}
    run.log.write(model_step, logged)
    run.show(f"   {split} after step {model_step}: {estimate(accuracy)}")
    if split != VALIDATION:
        return progress
    for hook in hooks:
        seen = hook.evaluated(run, progress, evaluation, logged)
        progress = replace(seen.progress, end_reason=seen.progress.end_reason or seen.end_reason)
        for note in seen.notes:
            run.show(note)
    return progress


def validations(run: Run, progress: Progress) -> dict[int, Evaluation]:
    """All validation evaluations, by step, in the order they were made. Raises OutputError."""
    steps = sorted(_step_of(name) for name in progress.evaluations if name.startswith(f"{VALIDATION}-"))
    return {step: read_evaluation(run, progress, VALIDATION, step) for step in steps}


def read_evaluation(run: Run, progress: Progress, split: str, step: int) -> Evaluation:
    """An evaluation of this run. Raises OutputError if its file was lost or changed since, see `remake_lost`."""
    file = run.evaluation_file(split, step)
    found, wrong = _read(run, progress, split, file)
    if found is None:
        raise OutputError(f"The evaluation {file} {wrong}. Put it back, or resume with --resume to make it again.")
    return found


def remake_lost(run: Run, progress: Progress) -> Progress:
    """Redo evaluations whose files were lost or changed since they were made, from the checkpoints.

    The samples are the same, since their seeds are. The evaluation of a step whose checkpoint is missing too is
    dropped with a warning: that step could not be selected anyway. Raises ModelError if the base is needed and has
    changed.
    """
    lost = run.world.main(lambda: lost_evaluations(run, progress))
    for name, wrong in lost.items():
        progress = _made_again(run, progress, name, wrong)
    if lost:
        load_step_weights(run, progress.step)
        publish_weights(run, progress.policy_version)
    return progress


def lost_evaluations(run: Run, progress: Progress) -> dict[str, str]:
    """The evaluations whose files cannot be used, with what is wrong with each."""
    lost = {}
    for name in progress.evaluations:
        found, wrong = _read(run, progress, _split_of(name), run.evaluations / name)
        if found is None:
            lost[name] = wrong
    return lost


def _made_again(run: Run, progress: Progress, name: str, wrong: str) -> Progress:
    step, kept = _step_of(name), {other: value for other, value in progress.evaluations.items() if other != name}
    try:
        load_step_weights(run, step)
    except OutputError:
        run.show(f"   WARNING: {name} {wrong} and so is its checkpoint: step {step} is left out of the selection.")
        return replace(progress, evaluations=kept)
    publish_weights(run, progress.policy_version)
    run.show(f"   {name} {wrong}: the evaluation is made again from the weights of step {step}.")
    made = evaluation_hash(_evaluated(run, [_split_of(name)], step)[0])
    if made != progress.evaluations[name]:
        run.show(f"   WARNING: {name} came out differently: it was first made with another version or machine.")
    return replace(progress, evaluations={**kept, name: made})


def _evaluated(run: Run, splits: Sequence[str], step: int) -> list[Evaluation]:
    with run.clock.timed("evaluation"), run.evaluating():
        made = evaluate_sets(
            run.evaluation_engine,
            run.policy.tokenizer,
            [run.problems_of(split) for split in splits],
            run.recipe.evaluation,
            run.largest_cap,
            run.judge,
        )
        about = [subject(run, split, step) for split in splits]

        def save() -> None:
            for split, evaluation, one in zip(splits, made, about, strict=True):
                save_evaluation(evaluation, run.evaluation_file(split, step), one)
                shape = (len(evaluation.records), run.recipe.evaluation.samples_per_problem)
                note_look(run.folder, split, step, shape, run.problems.hashes[split], "train")

        run.world.main(save)
    return made


def subject(run: Run, split: str, step: int) -> Subject:
    """What an evaluation of the current policy is about, for the header of its file."""
    return Subject(
        benchmark=split,
        model=run.recipe.model.path,
        step=step,
        model_hash=weights_hash(run.policy),
        prompt_hash=prompt_hash(run.policy.tokenizer, run.recipe.data.prompt),
        dtype=run.recipe.model.dtype,
        device=str(run.policy.device),
    )


def evaluation_hash(evaluation: Evaluation) -> str:
    """Hash of the samples and their verdicts, without times."""
    records = [asdict(record) for record in evaluation.flat]
    return hashlib.sha256(json.dumps(records, sort_keys=True).encode()).hexdigest()


def _read(run: Run, progress: Progress, split: str, file: Path) -> tuple[Evaluation | None, str]:
    """The evaluation in a file; or None, and what is wrong with the file."""
    if not file.is_file():
        return None, "is missing"
    try:
        evaluation = load_evaluation(run.problems_of(split), file)
    except OutputError:
        return None, "cannot be read"
    if evaluation_hash(evaluation) != progress.evaluations.get(file.name):
        return None, "was changed after it was made"
    return evaluation, ""


def _split_of(name: str) -> str:
    return name.partition("-")[0]


def _step_of(name: str) -> int:
    return int(name.removesuffix(".jsonl").rpartition("-")[-1])
