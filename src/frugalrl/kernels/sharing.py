"""Handing the parts of a kernel's work, if there is any, to as many threads as torch has."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

Part = TypeVar("Part")

_PART_ELEMENTS = 1 << 15
"""A thread takes at least so many: handing out a part takes some 20 us."""


def in_parts(compute: Callable[[int, int], object], rows: int, width: int, whole: int = 1) -> None:
    """Compute rows from ... to ..., in parts that begin at multiples of `whole`."""
    threads = min(torch.get_num_threads(), rows * width // _PART_ELEMENTS)
    size = -(-rows // (max(threads, 1) * whole)) * whole
    side_by_side(lambda start: compute(start, min(start + size, rows)), range(0, rows, size))


def side_by_side(compute: Callable[[Part], object], parts: Sequence[Part]) -> None:
    """Compute all parts, which write to places of their own."""
    if torch.get_num_threads() == 1 or len(parts) == 1:
        for part in parts:
            compute(part)
    else:
        list(_threads().map(compute, parts))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="kernel")


def has_numbers(tensor: Tensor) -> bool:
    """Whether there is anything to compute: a fake tensor has a shape alone."""
    return type(tensor) is not FakeTensor
