"""AdamW with moments of 8 bits, from bitsandbytes (arXiv 2110.02861). The one importer of it.

A moment is a byte a weight and a scale for each block of 256. What is small, and the embedding, whose gradients are
sparse, keeps moments of 32 bits, as in transformers' Trainer: torch's AdamW takes those (`optimizer.py`).

torchao has the same states. It compiles its step on the machine at hand, and its optimizer on the host wants CUDA and
one backward pass a step, while the gradient here is the sum of many: neither could be tested on a CPU.
"""

import importlib.util
import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from frugalrl.config.optimizer_schema import OptimizerSettings
from frugalrl.errors import RecipeError
from frugalrl.training.model.parts import assign

STATE = ("step", "state1", "absmax1", "state2", "absmax2")
"""What differs between weights. The code book of the 256 values is one for all, and is made anew."""
_SMALLEST = 4096
"""Weights of a tensor below which bitsandbytes itself keeps 32 bits."""


def is_held_in_8_bits(name: str, weight: Tensor) -> bool:
    """Whether the moments of a weight are, where the recipe asks for it."""
    return weight.ndim == 2 and weight.numel() >= _SMALLEST and "embed_tokens" not in name


def require_bitsandbytes(settings: OptimizerSettings) -> None:
    """Raise RecipeError if a recipe needs it and it is not installed."""
    if settings.state_bits == 8 and importlib.util.find_spec("bitsandbytes") is None:
        raise RecipeError(
            "The recipe has optimizer.state_bits=8, and bitsandbytes is not installed. Install it with pip install "
            "'frugalrl[8bit]', or keep all bits with --set optimizer.state_bits=32."
        )


def adamw_8bit(weights: Sequence[Tensor], settings: OptimizerSettings) -> torch.optim.Optimizer:
    """The optimizer of weights for which `is_held_in_8_bits`. Raises RecipeError without bitsandbytes."""
    require_bitsandbytes(settings)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of kernels for quantised models
    from bitsandbytes.optim import AdamW8bit

    optimizer: torch.optim.Optimizer = AdamW8bit(
        list(weights),
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
        min_8bit_size=_SMALLEST,
    )
    return optimizer


def load_8bit_state(optimizer: torch.optim.Optimizer, weight: Tensor, saved: Mapping[str, Tensor]) -> None:
    """Give a weight the state that another process had for it: the tensors of `STATE`, by name."""
    optimizer.state.pop(weight, None)
    [group] = optimizer.param_groups
    optimizer.init_state(group, weight, 0, next(at for at, one in enumerate(group["params"]) if one is weight))  # type: ignore[attr-defined]
    state = optimizer.state[weight]
    state["step"] = int(saved["step"])
    for key in STATE[1:]:
        assign(state[key], saved[key])
