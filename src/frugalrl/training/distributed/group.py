"""Several processes joined by torch.distributed: messages between them, their failures, and how they begin and end.

Decisions:
- Messages are JSON in byte tensors, over gloo also where training communicates over NCCL: nothing is unpickled, floats
  come through with all their bits, and a message needs no GPU.
- A process that fails by itself leaves, and the others end too: at the next message gloo says that the connection is
  gone. The error of a lost connection is told apart from others in one place, at the end of the block.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from frugalrl.config.devices_schema import DeviceSettings
from frugalrl.config.distributed_schema import DistributedSettings
from frugalrl.errors import ProcessLostError
from frugalrl.training.distributed.devices import training_gpus
from frugalrl.training.distributed.failures import Failure, failure_of, same_for_all
from frugalrl.training.distributed.launch import Launch, launch_of
from frugalrl.training.distributed.world import ALONE, World

T = TypeVar("T")

_BY_NUMBER = DeviceSettings()
"""Each process trains on the GPU of its number."""
_RESUME = "Resume with --resume from the newest checkpoint."
_INLINE_BYTES = 4096
"""A message up to this size takes one exchange; a longer one a second, of its own length."""
_LENGTH_BYTES = 8
_LOST_SIGNS = ("Connection closed", "Connection reset", "Broken pipe", "Connection refused", "Timed out", "timed out",
               "NCCL", "failed to recv", "Socket Timeout")  # fmt: skip


class Processes:
    """This process among several. Made by `join_world`."""

    def __init__(self, launch: Launch, timeout: timedelta) -> None:
        self.rank, self.size, self.launch = launch.rank, launch.size, launch
        self._group: Any = dist.new_group(backend="gloo", timeout=timeout)
        self._agreed: BaseException | None = None
        self._around: Callable[[], AbstractContextManager[None]] = nullcontext

    def each(self, work: Callable[[], T]) -> list[T]:
        """See `World.each`."""
        own: BaseException | None = None
        value: T | None = None
        try:
            with self._around():
                value = work()
        except Exception as error:  # whatever it is, the others must hear of it
            own = error
        failed = None if own is None else failure_of(own).to_json()
        reports = self._gather({"value": value, "failed": failed})
        failures = {rank: Failure(**one["failed"]) for rank, one in enumerate(reports) if one["failed"] is not None}
        if failures:
            self._agreed = same_for_all(failures, self.rank, own)
            raise self._agreed
        return [one["value"] for one in reports]

    def main(self, work: Callable[[], T]) -> T:
        """See `World.main`."""
        results: list[Any] = self.each(work if self.rank == 0 else lambda: None)
        return results[0]  # type: ignore[no-any-return]

    def agrees_on(self, error: BaseException) -> bool:
        """See `World.agrees_on`."""
        return error is self._agreed

    @contextmanager
    def interruptible(self, around: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
        """See `World.interruptible`. Messages are never interrupted: a process that left one would leave the others."""
        self._around = around
        try:
            yield
        finally:
            self._around = nullcontext

    def _gather(self, value: Any) -> list[Any]:
        text = json.dumps(value).encode()
        head = torch.zeros(_LENGTH_BYTES + _INLINE_BYTES, dtype=torch.uint8)
        head[:_LENGTH_BYTES] = _bytes(len(text).to_bytes(_LENGTH_BYTES, "big"))
        inline = text[:_INLINE_BYTES]
        head[_LENGTH_BYTES : _LENGTH_BYTES + len(inline)] = _bytes(inline)
        heads = self._exchange(head)
        lengths = [int.from_bytes(bytes(one[:_LENGTH_BYTES].tolist()), "big") for one in heads]
        texts = [one[_LENGTH_BYTES:] for one in heads]
        if max(lengths) > _INLINE_BYTES:
            whole = torch.zeros(max(lengths), dtype=torch.uint8)
            whole[: len(text)] = _bytes(text)
            texts = self._exchange(whole)
        return [json.loads(bytes(one[:length].numpy())) for one, length in zip(texts, lengths, strict=True)]

    def _exchange(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        received = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(received, tensor, group=self._group)
        return received


@contextmanager
def join_world(
    settings: DistributedSettings, device: str, devices: DeviceSettings = _BY_NUMBER, resume: str = _RESUME
) -> Iterator[World]:
    """The world that this process belongs to: `ALONE` without a launcher, else joined with the others, and left again.

    device, devices: as in the recipe; with GPUs this process takes its own. resume: a sentence for who has lost the
    others. Raises RecipeError or ModelError if the launch does not fit the machine, ProcessLostError if another process
    has gone.
    """
    launch = launch_of(os.environ)
    backend = _take_device(device, devices, launch)
    if launch.size == 1:
        yield ALONE
        return
    timeout, joined = timedelta(seconds=settings.timeout_seconds), list[Processes]()
    try:
        dist.init_process_group(backend, timeout=timeout)
        joined.append(Processes(launch, timeout))
        yield joined[0]
    except RuntimeError as error:
        lost = None if joined and joined[0].agrees_on(error) else _lost(launch, str(error), resume)
        if lost is None:
            raise
        raise lost from None
    finally:
        with suppress(RuntimeError, ValueError, AssertionError):  # a peer has gone, or nothing was joined
            dist.destroy_process_group()


def _take_device(device: str, devices: DeviceSettings, launch: Launch) -> str:
    """Make this process's GPU the current one; returns the backends of torch.distributed."""
    if device == "cpu" or not (devices.train or torch.cuda.is_available()):
        return "gloo"
    torch.cuda.set_device(training_gpus(devices, launch.local_size, torch.cuda.device_count())[launch.local_rank])
    return "cpu:gloo,cuda:nccl"


def _lost(launch: Launch, message: str, resume: str = _RESUME) -> ProcessLostError | None:
    """What a process says that has lost the others, by the message of what noticed it; None for another message."""
    if not any(sign in message for sign in _LOST_SIGNS):
        return None
    this = f"Process {launch.rank} of {launch.size}"
    if "imed out" in message or "imeout" in message:
        return ProcessLostError(
            f"{this} waited longer than distributed.timeout_seconds for another one, and ends here. Raise it if that "
            f"one is only slow. {resume}"
        )
    return ProcessLostError(
        f"{this} lost its connection to another one, which has ended, and ends here. If that one left no message it "
        f"was killed (out of memory, or from outside). {resume}"
    )


def _bytes(data: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.zeros(0, dtype=torch.uint8)
