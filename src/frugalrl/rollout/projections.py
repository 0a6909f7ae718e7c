"""Linear projections with their weights laid out for decoding: few rows, the same weights at every token.

Four layouts, chosen by `layout_for`:

- `Panels` (CPU with AVX-512, fp32): 32 outputs at a time, multiplied by a kernel of our own (`kernels/products.py`).
- `Transposed` (CPU): [inputs, outputs]. With 8 rows this is twice as fast as a Linear's own layout.
- `OneDnn` (CPU, bf16): blocked by oneDNN, as inductor does it; with 64 rows about twice as fast as a Linear.
- `AsStored` (elsewhere): a Linear's own layout, which cuBLAS likes as well as any.

Projections that read the same input are fused: their outputs stand side by side.

In fp32 a row of `Panels` has the same bits whatever rows stand beside it. So has one of `Transposed` on the processors
and with the libraries where that was measured (docs/rollouts.md), because it never hands the library one row or more
than `MOST_ROWS`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from frugalrl.kernels.sharing import in_parts
from frugalrl.rollout.mapped_memory import Pieces

PANEL_OUTPUTS = 32
"""As the kernel reads them."""
MOST_ROWS = 128
"""In one matrix product of `Transposed`: above, MKL may add up a long sum in other pieces, so in other bits."""
FEWEST_ROWS = 2
"""One row is a matrix-vector product, which adds up in another order."""
ALIASED_COLUMNS = 256
"""Rows of a multiple of it start at few different places of a cache, which then holds only some of them."""
GAP_COLUMNS = 48
"""Left between such rows: 384 x 2,048 by 37 rows took 406 us instead of 1,098, with the same bits."""
EXPECTED_ROWS = 64
"""What oneDNN is told when it chooses a blocking; any other number of rows works with it."""


class Projection(Protocol):
    """y = x W^T + b for x [rows, inputs], from weights that arrive part by part."""

    def put(self, part: int, weight: Tensor, bias: Tensor | None) -> None:
        """Take the weights [outputs of the part, inputs] of one of the fused projections, as a Linear stores them."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """[rows, inputs] -> [rows, all outputs]."""
        ...

    def added_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """The residual plus the projection. The residual's memory may be used for it."""
        ...


Layout = Callable[[int, Sequence[int], bool, torch.dtype, torch.device], Projection]
"""Inputs, outputs of each part, whether there is a bias, dtype and device in; an empty projection out."""


class Transposed:
    """[inputs, outputs], row by row, with a gap after each where its length would hurt."""

    def __init__(
        self, inputs: int, outputs: Sequence[int], biased: bool, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._offsets = _offsets(outputs)
        width = sum(outputs)
        gap = 0 if width % ALIASED_COLUMNS else GAP_COLUMNS
        self._weight = torch.empty(inputs, width + gap, dtype=dtype, device=device)[:, :width]
        self._bias = torch.empty(width, dtype=dtype, device=device) if biased else None

    def put(self, part: int, weight: Tensor, bias: Tensor | None) -> None:
        """See `Projection.put`."""
        columns = slice(self._offsets[part], self._offsets[part + 1])
        self._weight[:, columns].copy_(weight.t())
        if self._bias is not None and bias is not None:
            self._bias[columns].copy_(bias)

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[0] <= MOST_ROWS:
            return self._product(x)
        return torch.cat([self._product(piece) for piece in _pieces(x)])

    def added_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """See `Projection.added_to`."""
        for own, piece in zip(_pieces(residual), _pieces(x), strict=True):
            own.addmm_(piece, self._weight)
        return residual if self._bias is None else residual.add_(self._bias)

    def _product(self, x: Tensor) -> Tensor:
        return torch.mm(x, self._weight) if self._bias is None else torch.addmm(self._bias, x, self._weight)


class Panels:
    """fp32, 32 outputs at a time, of which the weights of the first input stand first: [outputs / 32, inputs, 32]."""

    def __init__(self, inputs: int, outputs: Sequence[int], biased: bool, memory: Pieces) -> None:
        """outputs: multiples of PANEL_OUTPUTS."""
        self._offsets, width = _offsets(outputs), sum(outputs)
        self._panels = memory.take(width // PANEL_OUTPUTS, inputs, PANEL_OUTPUTS)
        self._bias = torch.empty(int(biased), width)

    @property
    def arrays(self) -> tuple[Any, Any]:
        """Panels and bias [1 or 0, outputs], as the kernels take them."""
        return self._panels.numpy(), self._bias.numpy()

    def put(self, part: int, weight: Tensor, bias: Tensor | None) -> None:
        """See `Projection.put`."""
        first, last = (one // PANEL_OUTPUTS for one in self._offsets[part : part + 2])
        rows = weight.reshape(last - first, PANEL_OUTPUTS, weight.shape[1])
        self._panels[first:last].copy_(rows.transpose(1, 2))
        if bias is not None:
            self._bias[:, self._offsets[part] : self._offsets[part + 1]] = bias

    def __call__(self, x: Tensor) -> Tensor:
        return self.added_to(x.new_empty(0, 1), x)

    def added_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """See `Projection.added_to`."""
        from frugalrl.kernels.products import product

        count, inputs, _ = self._panels.shape
        out = x.new_empty(x.shape[0], count * PANEL_OUTPUTS)
        arrays = x.contiguous().numpy(), *self.arrays, residual.contiguous().numpy(), out.numpy()
        in_parts(lambda first, last: product(*arrays, first, last), count, inputs * x.shape[0])
        return out


class OneDnn:
    """Blocked by oneDNN for this processor. The parts are held until the last has come, and then blocked together."""

    def __init__(
        self, inputs: int, outputs: Sequence[int], biased: bool, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._dtype, self._biased = dtype, biased
        self._parts: list[tuple[Tensor, Tensor | None] | None] = [None] * len(outputs)
        self._packed: Tensor | None = None
        self._bias: Tensor | None = None

    def put(self, part: int, weight: Tensor, bias: Tensor | None) -> None:
        """See `Projection.put`."""
        self._parts[part] = weight, bias
        here = [one for one in self._parts if one is not None]
        if len(here) < len(self._parts):
            return
        whole = torch.cat([one.to(self._dtype) for one, _ in here])
        self._packed = torch.ops.mkldnn._reorder_linear_weight(whole, EXPECTED_ROWS)
        biases = [bias for _, bias in here if bias is not None]
        self._bias = torch.cat([bias.to(self._dtype) for bias in biases]) if self._biased else None
        self._parts = [None] * len(self._parts)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")  # type: ignore[no-any-return]

    def added_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """See `Projection.added_to`. Not fused: the product is rounded before it is added, as the trainer does it."""
        return residual.add_(self(x))


class AsStored:
    """[outputs, inputs], as a Linear holds it."""

    def __init__(
        self, inputs: int, outputs: Sequence[int], biased: bool, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._offsets = _offsets(outputs)
        self._weight = torch.empty(sum(outputs), inputs, dtype=dtype, device=device)
        self._bias = torch.empty(sum(outputs), dtype=dtype, device=device) if biased else None

    def put(self, part: int, weight: Tensor, bias: Tensor | None) -> None:
        """See `Projection.put`."""
        rows = slice(self._offsets[part], self._offsets[part + 1])
        self._weight[rows].copy_(weight)
        if self._bias is not None and bias is not None:
            self._bias[rows].copy_(bias)

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self._weight, self._bias)

    def added_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """See `Projection.added_to`."""
        return residual.add_(F.linear(x, self._weight, self._bias))


class WideProducts(AsStored):
    """As stored in 16 bits, on a GPU, whose products can come out wider than their operands."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.mm(x, self._weight.t(), out_dtype=torch.float32)


@dataclass(frozen=True)
class AddedColumns:
    """A low-rank product x A B that is added to some outputs of a projection."""

    first: int
    """The first of them."""
    down: Tensor
    """A, [inputs, rank]."""
    up: Tensor
    """B, [rank, outputs]."""


class Adapted:
    """A projection with adapters (LoRA, 2106.09685) beside it, as the trainer computes them: not merged."""

    def __init__(self, projection: Projection, added: Sequence[AddedColumns]) -> None:
        self._projection, self._added = projection, added

    def put(self, part: int, weight: Tensor, bias: Tensor | None) -> None:
        """See `Projection.put`."""
        self._projection.put(part, weight, bias)

    def __call__(self, x: Tensor) -> Tensor:
        return self._add(self._projection(x), x)

    def added_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """See `Projection.added_to`."""
        return self._add(self._projection.added_to(residual, x), x)

    def _add(self, outputs: Tensor, x: Tensor) -> Tensor:
        for one in self._added:
            outputs[:, one.first : one.first + one.up.shape[1]].addmm_(torch.mm(x, one.down), one.up)
        return outputs


def panels_pay(device: torch.device) -> bool:
    """Whether a processor has the registers for the tiles of `Panels`, and tensors have memory.

    While a plan traces fake ones, `Transposed` stands in, which takes as much.
    """
    real = type(torch.empty(0)) is Tensor
    return real and device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX512"


def lacks_products(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether a processor has no instructions for products of these 16-bit numbers: torch then takes some ten times as
    long for them as in fp32 (docs/lab-log.md)."""
    if device.type != "cpu" or dtype not in (torch.bfloat16, torch.float16):
        return False
    kind = "bf16" if dtype == torch.bfloat16 else "fp16"
    return not torch._C._has_mkldnn or not getattr(torch.ops.mkldnn, f"_is_mkldnn_{kind}_supported")()


def layout_for(dtype: torch.dtype, device: torch.device) -> Layout:
    """The layout that is fastest for a dtype on a device."""
    if device.type == "cpu" and dtype == torch.float32:
        return partial(_panels_where_whole, Pieces(dtype)) if panels_pay(device) else Transposed
    blocked = device.type == "cpu" and dtype == torch.bfloat16 and not lacks_products(dtype, device)
    return OneDnn if blocked else AsStored


def _panels_where_whole(
    memory: Pieces, inputs: int, outputs: Sequence[int], biased: bool, dtype: torch.dtype, device: torch.device
) -> Projection:
    if any(count % PANEL_OUTPUTS for count in outputs):
        return Transposed(inputs, outputs, biased, dtype, device)
    return Panels(inputs, outputs, biased, memory)


def _offsets(outputs: Sequence[int]) -> list[int]:
    return [sum(outputs[:count]) for count in range(len(outputs) + 1)]


def _pieces(x: Tensor) -> list[Tensor]:
    """Views of at most MOST_ROWS rows each, of about the same size, so that none has a single row."""
    count = -(-x.shape[0] // MOST_ROWS)
    return list(x.tensor_split(count)) if count > 1 else [x]
