"""RMS norm and SwiGLU of fp32 tensors on a CPU, with their gradients, from compiled kernels.

Each function makes the tensors that it returns and keeps before it computes, and computes only where there are numbers:
with fake tensors it holds what it would hold, so that a plan counts its memory.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from frugalrl.kernels.elementwise import BLOCK_ROWS, rms_norm, rms_norm_backward, swiglu, swiglu_backward
from frugalrl.kernels.jit import Floats
from frugalrl.kernels.sharing import has_numbers, in_parts

_KINDS = (Tensor, nn.Parameter, FakeTensor)


def fits_kernels(*tensors: Tensor) -> bool:
    """Whether kernels can compute these: plain or fake fp32 tensors of a CPU, not in parts on several processes."""
    return all(
        type(one) in _KINDS and one.dtype == torch.float32 and one.device.type == "cpu" and one.numel()
        for one in tensors
    )


def normed(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """x [..., H] divided by the root of its mean square, times weight [H]."""
    out: Tensor = _RmsNorm.apply(x, weight, epsilon)  # type: ignore[no-untyped-call]
    return out


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) x up."""
    out: Tensor = _SwiGlu.apply(gate, up)  # type: ignore[no-untyped-call]
    return out


def array(tensor: Tensor) -> Floats:
    """The numbers of a tensor, in one piece; not a copy if they are."""
    return tensor.detach().contiguous().numpy()


def _own_array(weight: Tensor) -> Floats:
    """A copy: memory that numpy has seen cannot be freed by FSDP, which frees a weight after its layer."""
    return array(weight.detach().clone())


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        x = x.contiguous()
        out, scales = torch.empty_like(x), x.new_empty(x.shape[:-1])
        if has_numbers(x):
            _norm(x, weight, epsilon, out, scales)
        ctx.save_for_backward(x, weight, scales)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, weight, scales = ctx.saved_tensors
        gradient = gradient.contiguous()
        for_x = torch.empty_like(x)
        for_weight = x.new_zeros(-(-scales.numel() // BLOCK_ROWS), x.shape[-1])
        if has_numbers(x):
            _norm_backward(gradient, x, weight, scales, for_x, for_weight)
        return for_x, for_weight.sum(0) if ctx.needs_input_grad[1] else None, None


def _norm(x: Tensor, weight: Tensor, epsilon: float, out: Tensor, scales: Tensor) -> None:
    rows = array(x).reshape(-1, x.shape[-1])
    to, factors, weights = array(out).reshape(rows.shape), array(scales).ravel(), _own_array(weight)

    def part(start: int, stop: int) -> None:
        rms_norm(rows[start:stop], weights, np.float32(epsilon), to[start:stop], factors[start:stop])

    in_parts(part, len(rows), rows.shape[1])


def _norm_backward(
    gradient: Tensor, x: Tensor, weight: Tensor, scales: Tensor, for_x: Tensor, for_weight: Tensor
) -> None:
    rows = array(x).reshape(-1, x.shape[-1])
    arriving, to, sums = array(gradient).reshape(rows.shape), array(for_x).reshape(rows.shape), array(for_weight)
    weights, factors = _own_array(weight), array(scales).ravel()

    def part(start: int, stop: int) -> None:
        own = slice(start, stop)
        blocks = sums[start // BLOCK_ROWS :]
        rms_norm_backward(arriving[own], rows[own], weights, factors[own], to[own], blocks)

    in_parts(part, len(rows), rows.shape[1], BLOCK_ROWS)


class _SwiGlu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        gate, up = gate.contiguous(), up.contiguous()
        out = torch.empty_like(gate)
        if has_numbers(gate):
            flat = [array(one).ravel() for one in (gate, up, out)]
            in_parts(lambda start, stop: swiglu(*(one[start:stop] for one in flat)), gate.numel(), 1)
        ctx.save_for_backward(gate, up)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        gradient = gradient.contiguous()
        for_gate, for_up = torch.empty_like(gate), torch.empty_like(up)
        if has_numbers(gate):
            flat = [array(one).ravel() for one in (gradient, gate, up, for_gate, for_up)]
            in_parts(lambda start, stop: swiglu_backward(*(one[start:stop] for one in flat)), gate.numel(), 1)
        return for_gate, for_up
