"""Which of its models a run keeps: the best so far as it goes, and the choice at its end.

Decisions:
- The validation evaluations on disk are what is chosen from, so that a resumed run chooses from the same ones.
- A checkpoint that is the best so far is saved at once, whatever `save_every` says, and `best` points at it: there is
  always one to go back to.
- The test split is not read here.
"""

from dataclasses import dataclass
from pathlib import Path

from frugalrl.errors import OutputError
from frugalrl.evaluation.records import Evaluation
from frugalrl.evaluation.runner import load_evaluation
from frugalrl.statistics.selection import BASE_STEP, Selection, select, stop_step
from frugalrl.training.run import TrainingRun, load_base_weights
from frugalrl.training.state.checkpoint import checkpoint_name, load_weights
from frugalrl.training.state.manifest import damage

SPLIT = "validation"


@dataclass(frozen=True)
class Choice:
    """What was kept, and what it was chosen from."""

    selection: Selection
    evaluations: dict[int, Evaluation]
    """On validation, by step, the base's included."""


def is_best_so_far(run: TrainingRun) -> bool:
    """Whether validation puts the policy as it is above the base and every model before it."""
    means = {step: one.accuracy.value for step, one in _evaluations(run).items()}
    return run.step > BASE_STEP and all(means[run.step] > mean for step, mean in means.items() if step < run.step)


def early_stop(run: TrainingRun) -> str | None:
    """Why the run need not go on, by `selection.patience`; None if it is to."""
    patience = run.recipe.selection.patience
    if patience is None:
        return None
    evaluations = {step: one.correct for step, one in _evaluations(run).items()}
    stopped_at, why = stop_step(evaluations.pop(BASE_STEP), evaluations, patience)
    return None if stopped_at is None else why


def choose(run: TrainingRun) -> Choice | None:
    """The rule applied to all validation evaluations of the run; None if it has no validation problems."""
    if not run.problems.validation:
        return None
    evaluations = _evaluations(run)
    correct = {step: one.correct for step, one in evaluations.items()}
    return Choice(select(correct.pop(BASE_STEP), correct, SPLIT, patience=None), evaluations)


def take_kept_weights(run: TrainingRun, step: int) -> None:
    """Put the weights of the kept model into the policy, and tell the engines.

    Raises OutputError if its checkpoint is gone or damaged, ModelError if the base cannot be loaded.
    """
    if step == run.step:
        return
    if step == BASE_STEP:
        load_base_weights(run)
    else:
        load_weights(run.policy, _whole(run.folder / "checkpoints" / checkpoint_name(step)))
    run.publish_weights()


def _evaluations(run: TrainingRun) -> dict[int, Evaluation]:
    """On validation, by step, up to the run's own."""
    found = {}
    for file in run.folder.glob(f"evaluations/{SPLIT}-step-*.jsonl"):
        step = int(file.stem.rsplit("-", 1)[-1])
        if step <= run.step:
            found[step] = load_evaluation(run.problems.validation, file)
    return dict(sorted(found.items()))


def _whole(checkpoint: Path) -> Path:
    wrong = damage(checkpoint)
    if wrong is not None:
        raise OutputError(
            f"The best checkpoint, {checkpoint}, cannot be used: {wrong}. Put it back, or remove its file in "
            "evaluations/ to choose among the others, and go on with --resume."
        )
    return checkpoint
