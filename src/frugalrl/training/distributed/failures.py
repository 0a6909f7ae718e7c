"""Errors that travel between processes: by name and message, so that all of them raise the same kind."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from frugalrl import errors
from frugalrl.rollout.memory import is_out_of_memory
from frugalrl.training.limits.stopping import StopRequested

_OUT_OF_MEMORY = "out of memory"
_KINDS: dict[str, type[Exception]] = {
    _OUT_OF_MEMORY: torch.OutOfMemoryError,
    StopRequested.__name__: StopRequested,
    **{
        kind.__name__: kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.UserError)
    },
}
_MILDEST = (StopRequested.__name__, errors.BudgetEndedError.__name__)
"""Kinds that end a part on purpose: another error in another process goes before them."""


@dataclass(frozen=True)
class Failure:
    """The error of one process."""

    kind: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the arguments of the record."""
        return asdict(self)


def failure_of(error: BaseException) -> Failure:
    """What the others need to know of an error."""
    if isinstance(error, RuntimeError) and is_out_of_memory(error):
        return Failure(_OUT_OF_MEMORY, str(error))
    return Failure(type(error).__name__, str(error))


def same_for_all(failures: Mapping[int, Failure], rank: int, own: BaseException | None) -> BaseException:
    """The error that a process raises once some have failed: of the same kind in each.

    failures: by rank. own: the error of this process, raised as it is if its failure is the one that counts.
    """
    counts = min(failures, key=lambda one: (failures[one].kind in _MILDEST, one))
    chosen = failures[counts]
    if own is not None and failures[rank].kind == chosen.kind:
        return own
    kind = _KINDS.get(chosen.kind)
    if kind is None:
        return errors.ProcessFailedError(
            f"Process {counts} failed with {chosen.kind}: {chosen.message.rstrip('.')}. Its traceback is in its own "
            "output; fix what it names and resume with --resume."
        )
    return kind(chosen.message)


def out_of_memory_alone(rank: int, micro_batch_tokens: int) -> str:
    """The message where one process runs out of memory while all exchange layers: the step cannot be tried again."""
    return (
        f"Process {rank} ran out of memory in an update with micro-batches of {micro_batch_tokens} tokens, and with "
        "sharded weights a step cannot be tried again in smaller ones. Lower training.micro_batch_tokens in a new run, "
        "or start one with distributed.weights=replicated if the model fits."
    )
