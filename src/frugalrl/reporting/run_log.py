"""The run log: one JSON object per line, always; trackers beside it as sinks.

A checkpoint records the length of the files; a resumed run cuts them back to that length and rewrites what follows, so
that the log of a killed run is that of an uninterrupted one, except for times.

A tracker that is misconfigured stops the run before it starts; one that fails later is dropped with a
warning, and the run continues. The only importer of wandb, trackio, tensorboard and mlflow.
"""

import importlib
import json
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from frugalrl.config.schema import TrackerSettings
from frugalrl.errors import OutputError, RecipeError
from frugalrl.files import atomic_write

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"
SAMPLES_FILE = "samples.jsonl"
GUARD_FILE = "guard.jsonl"
_FILES = (METRICS_FILE, SAMPLES_FILE, GUARD_FILE)
TIMED = ("unix_time", "time/", "throughput/", "cost/seconds", "cost/usd", "budget/", "sync/seconds")
"""Prefixes of metrics that depend on the clock: they differ between runs."""


class Sink(Protocol):
    """Where metrics go, beside the JSONL file."""

    def write(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class RunLog:
    """Metrics of one run, appended to ``metrics.jsonl`` in its folder and flushed at every line."""

    def __init__(self, folder: Path, trackers: Sequence[TrackerSettings], run_name: str) -> None:
        """Open the log. Existing lines are kept, until `cut`.

        Raises OutputError if the file cannot be written, RecipeError if a tracker cannot be started.
        """
        # Trackers first: if one does not start, no file has been opened.
        self._sinks = [(tracker.name, _open_sink(tracker, folder, run_name)) for tracker in trackers]
        self._files: dict[str, TextIO] = {}
        self._folder = folder
        self._append(METRICS_FILE, "")  # fail now rather than after the first step, if it cannot be written

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line; values that are not finite are written as null, which is what JSON has."""
        clean = {key: value if math.isfinite(value) else None for key, value in values.items()}
        line = json.dumps({"step": step, "unix_time": round(time.time(), 3), **clean})
        self._append(METRICS_FILE, line + "\n")
        for name, sink in list(self._sinks):
            try:
                sink.write(step, values)
            except Exception as error:  # a tracker's fault of any kind must not end a run
                logger.warning("The tracker %s failed and is dropped: %s", name, error)
                self._sinks.remove((name, sink))

    def write_sample(self, line: str) -> None:
        """Append one JSON object, with its `step`, to ``samples.jsonl``: completions for people to look at."""
        self._append(SAMPLES_FILE, line + "\n")

    def write_guard(self, line: str) -> None:
        """Append one JSON object, with its `step`, to ``guard.jsonl``: what the guard decided and did."""
        self._append(GUARD_FILE, line + "\n")

    def lengths(self) -> dict[str, int]:
        """The length of each file in bytes, all of it flushed to the disk: what `cut` takes. Raises OutputError."""
        lengths = {}
        for name in _FILES:
            if name == GUARD_FILE and not (self._folder / name).exists():
                continue  # most runs have none
            self._append(name, "")
            try:
                os.fsync(self._files[name].fileno())
            except OSError as error:
                raise OutputError(f"{self._folder / name} cannot be written: {error}. Free some space.") from None
            lengths[name] = (self._folder / name).stat().st_size
        return lengths

    def cut(self, lengths: Mapping[str, int], step: int) -> list[str]:
        """Drop what a resumed run will rewrite: everything after `lengths`.

        A file that was changed meanwhile, and does not end a line there, keeps its lines up to `step`; there is a
        sentence in the answer for each. Raises OutputError if a file cannot be cut.
        """
        notes = []
        for name in _FILES:
            path, length = self._folder / name, lengths.get(name, 0)
            try:
                if length and (not path.exists() or not path.stat().st_size):
                    notes.append(f"{path} is missing: it starts again after step {step}.")
                elif _ends_a_line(path, length):
                    os.truncate(path, length)
                elif path.exists():
                    _drop_after(path, step)
                    if name in self._files:
                        self._files.pop(name).close()  # it stands for the old file
                    notes.append(f"{path} is not as the checkpoint left it: its lines up to step {step} are kept.")
            except OSError as error:
                raise OutputError(f"{path} cannot be written: {error}. Check the folder's rights.") from None
        return notes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            with suppress(OSError):  # a write that failed has been reported; closing tries it once more
                file.close()
        for name, sink in self._sinks:
            try:
                sink.close()
            except Exception as failure:  # as above
                logger.warning("The tracker %s could not be closed: %s", name, failure)

    def _append(self, name: str, line: str) -> None:
        path = self._folder / name
        try:
            if name not in self._files:
                self._files[name] = path.open("a", encoding="utf-8")
            self._files[name].write(line)
            self._files[name].flush()
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error}. Free some space and resume.") from None


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """All lines of a run's log, in order."""
    return [json.loads(line) for line in (folder / METRICS_FILE).read_text(encoding="utf-8").splitlines()]


def without_times(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the log without times: the same for two runs of one recipe on one machine."""
    return {name: value for name, value in line.items() if not name.startswith(TIMED)}


def seconds_logged(folder: Path) -> float:
    """The largest `cost/seconds` of a log, 0 without one: how long the run had been going, whatever was kept of it."""
    path = folder / METRICS_FILE
    if not path.exists():
        return 0.0
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return max((_value_of(line, "cost/seconds", 0.0) for line in lines), default=0.0)


def _ends_a_line(path: Path, length: int) -> bool:
    """Whether a line of the file ends after `length` bytes, or it begins there."""
    if not path.exists() or path.stat().st_size < length:
        return False
    with path.open("rb") as file:
        file.seek(max(0, length - 1))
        return length == 0 or file.read(1) == b"\n"


def _drop_after(path: Path, step: int) -> None:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    with atomic_write(path) as file:
        file.writelines(line + "\n" for line in lines if _value_of(line, "step", math.inf) <= step)


def _value_of(line: str, name: str, otherwise: float) -> float:
    """A number of a line; `otherwise` if it has none, or was cut short by a kill."""
    try:
        return float(json.loads(line)[name])
    except (ValueError, KeyError, TypeError):
        return otherwise


def _open_sink(tracker: TrackerSettings, folder: Path, run_name: str) -> Sink:
    try:
        return _SINKS[tracker.name](tracker, folder, run_name)
    except ImportError:
        raise RecipeError(
            f"The tracker {tracker.name} is not installed. Run pip install 'frugalrl[{tracker.name}]' or drop it."
        ) from None
    except Exception as error:  # whatever a tracker raises at its start is about its configuration
        raise RecipeError(
            f"The tracker {tracker.name} does not start: {error}. Fix its settings or drop it."
        ) from error


class _RunSink:
    """wandb and trackio share one interface: init, log, finish."""

    def __init__(self, tracker: TrackerSettings, folder: Path, run_name: str) -> None:
        self._module = importlib.import_module(tracker.name)
        where = {"dir": str(folder)} if tracker.name == "wandb" else {}
        self._module.init(project=tracker.project, name=run_name, **where)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._module.log(dict(values), step=step)

    def close(self) -> None:
        self._module.finish()


class _TensorboardSink:
    def __init__(self, tracker: TrackerSettings, folder: Path, run_name: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _MlflowSink:
    """Where the runs go is for MLFLOW_TRACKING_URI; without it, a database file in the current folder."""

    def __init__(self, tracker: TrackerSettings, folder: Path, run_name: str) -> None:
        self._module = importlib.import_module("mlflow")
        self._module.set_experiment(tracker.project)
        self._module.start_run(run_name=run_name)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._module.log_metrics({name: value for name, value in values.items() if math.isfinite(value)}, step=step)

    def close(self) -> None:
        self._module.end_run()


_SINKS: dict[str, type[_RunSink] | type[_TensorboardSink] | type[_MlflowSink]] = {
    "wandb": _RunSink,
    "trackio": _RunSink,
    "tensorboard": _TensorboardSink,
    "mlflow": _MlflowSink,
}
