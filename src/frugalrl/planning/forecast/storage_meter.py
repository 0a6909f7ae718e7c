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
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

T = TypeVar("T")


class StorageMeter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Live bytes of the storages that operations have made since it was entered, and the most there were."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live, self.peak = 0, 0
        self.yes_or_no = False
        """What a fake truth value is taken for."""
        self._known: dict[int, weakref.finalize[Any, Any]] = {}

    def from_here(self) -> None:
        """Forget the peak so far."""
        self.peak = self.live

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return self._stand_in(args[0].dtype)
        made = func(*args, **(kwargs or {}))
        for one in tree_leaves(made):
            if isinstance(one, Tensor):
                self._count(one)
        return made

    def _stand_in(self, dtype: torch.dtype) -> float | int | bool:
        """What a number that the host reads is taken for, since a fake tensor has none: a finite norm or loss."""
        return 1.0 if dtype.is_floating_point else self.yes_or_no if dtype == torch.bool else 0

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


@contextmanager
def metered() -> Iterator[tuple[StorageMeter, Callable[[Any], Any]]]:
    """Within, all tensors are fake. Gives the meter, and a function that makes a record's tensors fake."""
    meter = StorageMeter()
    with FakeTensorMode(allow_non_fake_inputs=True) as fake, meter:
        yield meter, lambda value: _made_fake(value, fake, meter)


def without_numbers(model: nn.Module) -> None:
    """Give a model on torch's meta device fake tensors, in place. A tied tensor stays one.

    peft cannot put adapters among fake tensors, so they are put in before.
    """
    made: dict[int, Tensor] = {}
    for module in model.modules():
        slots: list[dict[str, Any]] = [module._parameters, module._buffers]
        for slot in slots:
            for name, tensor in slot.items():
                if tensor is not None and id(tensor) not in made:
                    fake = torch.empty(tensor.shape, dtype=tensor.dtype)
                    is_parameter = isinstance(tensor, nn.Parameter)
                    made[id(tensor)] = nn.Parameter(fake, tensor.requires_grad) if is_parameter else fake
                if tensor is not None:
                    slot[name] = made[id(tensor)]


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
