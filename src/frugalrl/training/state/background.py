"""Checkpoints written beside the run: a copy in host memory is taken at once, and a thread writes it.

Decisions:
- What is copied is what a write in the foreground would have written, so files are the same bits either way.
- At most one is being written. The next one waits for it, and so does whatever reads checkpoints or ends the run.
- An error of the thread is raised in the run, between two steps or where it waits.
- A copy is made only where its memory is free beside what the run has needed at its peak. Elsewhere the run waits for
  the write, as it does with adapters, whose checkpoints are small, and where several processes share the run.
"""

import copy
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from frugalrl.host_memory import CGROUP, available_bytes, container_limit, container_used, kilobytes_in
from frugalrl.training.model.policy import Policy
from frugalrl.training.state.checkpoint import TrainingState

USABLE_SHARE = 0.8
"""Of the free host memory; the rest is for other processes of the machine, and for the files on their way."""


class CheckpointWriter:
    """The checkpoint that is being written, if there is one."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self.seconds: float | None = None
        """Of the last one that was written, from the start of the save."""

    def begin(self, write: Callable[[], None], since: float) -> None:
        """Write in a thread, after the one before. since: `time.monotonic()` when saving began."""
        self.settle()

        def work() -> None:
            try:
                write()
                self.seconds = time.monotonic() - since
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=work, name="checkpoint")
        self._thread.start()

    def settle(self) -> None:
        """Wait until nothing is being written, and raise what went wrong."""
        self.close()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def check(self) -> None:
        """Raise what went wrong, if the write has ended in an error; does not wait."""
        if self._thread is not None and self._error is not None:
            self.settle()

    def close(self) -> None:
        """Wait."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()


def snapshot(policy: Policy, state: TrainingState, free: int | None = None) -> tuple[Policy, TrainingState] | None:
    """Copies in host memory that no step changes; None where they cannot be, or where memory does not hold them.

    free: bytes for them; by default `free_bytes()`.
    """
    if type(policy) is not Policy:
        return None
    held = [*policy.model.parameters(), *policy.model.buffers()]
    kept = [tensor for group in state.tensors.values() for tensor in group.values()]
    if _size([*held, *kept]) > (free_bytes() if free is None else free):
        return None
    model = copy.deepcopy(policy.model, {id(one): _copy(one) for one in held})
    tensors = {name: _copies(group) for name, group in state.tensors.items()}
    return replace(policy, model=model), TrainingState(state.values, tensors)


def free_bytes(cgroup: Path = CGROUP) -> int:
    """Host memory that is free beside what this process has needed at its peak."""
    unused, limit = available_bytes(), container_limit(cgroup)
    if limit is not None:
        unused = min(unused, limit - container_used(cgroup))
    resident = 1024 * kilobytes_in(Path("/proc/self/status")).get("VmRSS", 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(USABLE_SHARE * (unused - max(0, peak - resident)))


def _size(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in {id(one): one for one in tensors}.values())


def _copy(tensor: Tensor) -> Tensor:
    copied = tensor.detach().to("cpu", copy=True)
    return nn.Parameter(copied, requires_grad=False) if isinstance(tensor, nn.Parameter) else copied


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: _copy(tensor) for name, tensor in tensors.items()}
