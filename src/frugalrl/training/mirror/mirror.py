"""Keeps a copy of a run's folder in a store, from a thread of its own.

Decisions:
- It watches the folder. A checkpoint has its name only when it is whole, so what has a name can be copied.
- A checkpoint is copied after the logs that it goes on from, its manifest last, then the pointers. One without a
  manifest is none: whatever is cut off leaves the older one, which is removed only after the new one is whole.
- The newest checkpoint first; what the run has removed is removed there.
- Nothing is copied before the run has measured something: one that fails at its start leaves a mirror for the next.
- An error is kept as a line for people and tried again, less and less often. Nothing is ever raised into the run.
"""

import hashlib
import re
import threading
import time
from pathlib import Path

from frugalrl.files import PARTIAL
from frugalrl.reporting.run_log import METRICS_FILE
from frugalrl.training.mirror.store import Entry, Store
from frugalrl.training.state.checkpoint import checkpoint_name
from frugalrl.training.state.manifest import MANIFEST
from frugalrl.training.state.pointers import BEST, LATEST, saved_steps

CHECKPOINTS = "checkpoints"
_MANIFEST_NAME = re.compile(rf"{CHECKPOINTS}/step-(\d{{6,}})/{MANIFEST}")
_LOOK_SECONDS = 0.5
_FIRST_WAIT_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 300.0
_LAST_TRIES = 5
"""Of a copy that fails while the mirror is closed."""


class Mirror:
    """Copies until it is closed. Every method may be called from the run's thread."""

    def __init__(self, folder: Path, store: Store, look_seconds: float = _LOOK_SECONDS) -> None:
        """folder: the run's. What the store holds already must be of this run: see `taking_up`."""
        self._folder, self._store, self._look_seconds = folder, store, look_seconds
        self._there: dict[int, str] | None = None
        """The whole checkpoints of the store by step, with the hash of their manifests; None before it was asked."""
        self._copied: dict[str, str] = {}
        """Of each file beside the checkpoints: what it looked like when it was copied."""
        self._grown_at = 0.0
        self._begun = False
        self._busy: set[int] = set()
        self._notes: list[str] = []
        self._failed = False
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="mirror", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def in_use(self) -> set[int]:
        """The steps whose checkpoints are being copied, and must not be removed meanwhile."""
        with self._lock:
            return set(self._busy)

    def notes(self) -> tuple[str, ...]:
        """Lines for people since the last call."""
        with self._lock:
            said, self._notes = tuple(self._notes), []
        return said

    def close(self, seconds: float) -> str | None:
        """Copy what is left, for so long at most; a line that says what is missing there, or None."""
        self._closing.set()
        self._thread.join(seconds)
        if not self._thread.is_alive() and not self._failed:
            return None
        newest = max(self._there or (), default=None)
        held = "no whole checkpoint" if newest is None else f"the checkpoint of step {newest}"
        return (
            f"WARNING: not everything was copied to {self._store.url}, which holds {held}. Copy {self._folder} by "
            "hand, or resume with --resume while it is there."
        )

    def _watch(self) -> None:
        wait, tries = _FIRST_WAIT_SECONDS, _LAST_TRIES
        while True:
            closing = self._closing.is_set()
            try:
                self.copy(everything=closing)
            except Exception as error:  # of any store: a mirror never stops a run
                self._say_once(error)
                if not closing:
                    self._closing.wait(wait)
                    wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
                    continue
                tries -= 1
                if tries == 0:
                    return
                time.sleep(self._look_seconds)
            else:
                self._recovered()
                wait = _FIRST_WAIT_SECONDS
                if closing:
                    return
                self._closing.wait(self._look_seconds)

    def copy(self, everything: bool = True) -> None:
        """Bring the store to what the folder holds now. everything: also logs that were copied a moment ago."""
        checkpoints = self._folder / CHECKPOINTS
        if not self._begun and not self._has_begun():
            return
        self._begun = True
        if self._there is None:
            self._there = whole_checkpoints(self._store)
        for step in reversed(saved_steps(checkpoints)):
            try:
                self._copy_checkpoint(step)
            except FileNotFoundError:
                if (checkpoints / checkpoint_name(step)).exists():
                    raise
        self._remove_gone()
        if everything or time.monotonic() - self._grown_at >= self._store.seconds_between:
            self._copy_files()

    def _has_begun(self) -> bool:
        log = self._folder / METRICS_FILE
        return bool(saved_steps(self._folder / CHECKPOINTS)) or (log.is_file() and log.stat().st_size > 0)

    def _copy_checkpoint(self, step: int) -> None:
        assert self._there is not None
        with self._lock:
            self._busy = {step}
        try:
            folder = self._folder / CHECKPOINTS / checkpoint_name(step)
            manifest = (folder / MANIFEST).read_bytes()
            if self._there.get(step) == _hash(manifest):
                return
            self._copy_files()
            if step in self._there:  # made again after a resume: the older one is given up as a whole
                self._remove_checkpoint(step)
            prefix = f"{CHECKPOINTS}/{folder.name}"
            paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
            entries: list[Entry] = [(f"{prefix}/{path.relative_to(folder).as_posix()}", path) for path in paths]
            pointers = self._pointers(step)
            self._store.put([*entries, (f"{prefix}/{MANIFEST}", manifest), *pointers])
            self._there[step] = _hash(manifest)
            self._copied |= {name: str(text) for name, text in pointers}
        finally:
            with self._lock:
                self._busy = set()

    def _pointers(self, *also: int) -> list[Entry]:
        """`latest` and `best`, unless they name a checkpoint that neither is there nor is about to be."""
        found: list[Entry] = []
        for pointer in (BEST, LATEST):
            file = self._folder / CHECKPOINTS / pointer
            text = file.read_bytes() if file.is_file() else b""
            if any(text.decode().strip() == checkpoint_name(step) for step in (*(self._there or {}), *also)):
                found.append((f"{CHECKPOINTS}/{pointer}", text))
        return found

    def _copy_files(self) -> None:
        """Everything beside the checkpoints that has changed, and the pointers."""
        looks: dict[str, str] = {}
        entries: list[Entry] = []
        for path in sorted(self._folder.rglob("*")):
            name = path.relative_to(self._folder).as_posix()
            if path.is_file() and not _is_left_out(name):
                seen = path.stat()
                looks[name] = f"{seen.st_size} {seen.st_mtime_ns}"
                entries.append((name, path))
        for name, text in self._pointers():
            looks[name] = str(text)
            entries.append((name, text))
        changed = [entry for entry in entries if self._copied.get(entry[0]) != looks[entry[0]]]
        if changed:
            self._store.put(changed)
        self._copied = looks
        self._grown_at = time.monotonic()

    def _remove_gone(self) -> None:
        assert self._there is not None
        here = set(saved_steps(self._folder / CHECKPOINTS))
        if here & set(self._there):  # never the last one
            for step in sorted(set(self._there) - here):
                self._remove_checkpoint(step)

    def _remove_checkpoint(self, step: int) -> None:
        assert self._there is not None
        prefix = f"{CHECKPOINTS}/{checkpoint_name(step)}/"
        names = [name for name in self._store.names() if name.startswith(prefix)]
        self._there.pop(step)
        self._store.remove(sorted(names, key=lambda name: name != prefix + MANIFEST))  # the manifest first

    def _say_once(self, error: Exception) -> None:
        with self._lock:
            if not self._failed:
                reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                self._notes.append(
                    f"WARNING: the mirror {self._store.url} cannot be written: {reason}. The run goes on, and the "
                    "copy is tried again."
                )
            self._failed = True

    def _recovered(self) -> None:
        with self._lock:
            if self._failed:
                self._notes.append(f"The mirror {self._store.url} is up to date again.")
            self._failed = False


def whole_checkpoints(store: Store) -> dict[int, str]:
    """The checkpoints of a store that have a manifest, by step, with its hash."""
    found = {name: _MANIFEST_NAME.fullmatch(name) for name in store.names()}
    return {int(match[1]): _hash(store.read(name)) for name, match in found.items() if match}


def _is_left_out(name: str) -> bool:
    parts = name.split("/")
    return parts[0] == CHECKPOINTS or any(part.startswith(".") or part.endswith(PARTIAL) for part in parts)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
