"""Counts the bytes of all tensors that are alive while some code runs, and their peak. Nothing is computed.

Tensors are fake (torch's `FakeTensorMode`): they have a shape, a dtype and a storage of some size, and no numbers. A
storage counts from the operation that makes it until Python and autograd have let go of it, once for all its views.

Not seen: what an operation allocates and frees inside itself, rounding and fragments of an allocator, and memory that
is not a tensor's.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

T = TypeVar("T")


class StorageMeter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Live bytes of the storages that operations have made since it was entered, and the most there were."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live, self.peak = 0, 0
        self._known: dict[int, weakref.finalize[Any, Any]] = {}

    def from_here(self) -> None:
        """Forget the peak so far."""
        self.peak = self.live

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return _stand_in(args[0].dtype)
        made = func(*args, **(kwargs or {}))
        for one in tree_leaves(made):
            if isinstance(one, Tensor):
                self._count(one)
        return made

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        name, size = storage._cdata, storage.nbytes()
        if name not in self._known:
            self.live += size
            self.peak = max(self.peak, self.live)
            self._known[name] = weakref.finalize(storage, self._freed, name, size)

    def _freed(self, name: int, size: int) -> None:
        self.live -= size
        del self._known[name]


def _stand_in(dtype: torch.dtype) -> float | int | bool:
    """What a number that the host reads is taken for, since a fake tensor has none: a finite norm, a finite loss."""
    return 1.0 if dtype.is_floating_point else False if dtype == torch.bool else 0


@contextmanager
def metered() -> Iterator[tuple[StorageMeter, Callable[[Any], Any]]]:
    """Within, all tensors are fake. Gives the meter, and a function that makes a record's tensors fake."""
    meter = StorageMeter()
    with FakeTensorMode(allow_non_fake_inputs=True) as fake, meter:
        yield meter, lambda value: _made_fake(value, fake, meter)


def _made_fake(value: T, fake: FakeTensorMode, meter: StorageMeter) -> T:
    """A record with its tensors fake, those in records and tuples inside it too."""
    made: Any = value
    if isinstance(value, Tensor):
        made = fake.from_tensor(value)
        meter._count(made)
    elif isinstance(value, tuple):
        made = tuple(_made_fake(one, fake, meter) for one in value)
    elif is_dataclass(value) and not isinstance(value, type):
        made = replace(value, **{f.name: _made_fake(getattr(value, f.name), fake, meter) for f in fields(value)})
    result: T = made
    return result
