"""A run's ledger: when each set of problems was evaluated, on which of the run's models, and by which command.

`ledger.jsonl` in the run's folder is append-only. A resume does not remove a look, and `frugalrl eval` of a run's model
is recorded too: a test set that was looked at more than once selects, whichever command looked.
"""

import json
import time
from dataclasses import asdict
from pathlib import Path

from frugalrl.errors import OutputError
from frugalrl.evaluation.looks import Look

LEDGER_FILE = "ledger.jsonl"
_RUN_FILES = ("recipe.yaml", "metrics.jsonl")


def note_look(run: Path, benchmark: str, step: int, shape: tuple[int, int], data_hash: str, command: str) -> None:
    """Add a look at a run's ledger, now. shape: problems, samples of each. Raises OutputError."""
    look = Look(benchmark, step, *shape, data_hash, command, time.time())
    path = run / LEDGER_FILE
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(look)) + "\n")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}. Check space and rights.") from None


def read_ledger(run: Path) -> tuple[Look, ...]:
    """The looks so far, in order; none without a ledger. A torn line is skipped. Raises OutputError."""
    path = run / LEDGER_FILE
    if not path.is_file():
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror or error}. Check its rights.") from None
    return tuple(look for look in map(_look, lines) if look is not None)


def _look(line: str) -> Look | None:
    try:
        return Look(**json.loads(line))
    except (ValueError, TypeError):
        return None


def run_and_step_of(model: Path) -> tuple[Path, int] | None:
    """The run's folder and the step of a model inside it (`RUN/model`, `RUN/checkpoints/step-000050`), if it is one."""
    resolved = model.expanduser().resolve()
    step: int | None
    if resolved.parent.name == "checkpoints" and resolved.name.startswith("step-"):
        number = resolved.name.removeprefix("step-")
        run, step = resolved.parent.parent, int(number) if number.isdigit() else None
    else:
        run, step = resolved.parent, kept_step(resolved.parent) if resolved.name == "model" else None
    is_run = all((run / name).is_file() for name in _RUN_FILES)
    return (run, step) if is_run and step is not None else None


def kept_step(run: Path) -> int | None:
    """The step of the model that a finished run kept; None for an unfinished run or another folder."""
    try:
        summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    step = summary.get("kept_step") if isinstance(summary, dict) else None
    return step if isinstance(step, int) else None
