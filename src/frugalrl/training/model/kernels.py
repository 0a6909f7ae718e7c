"""Which compiled kernels a model on a CPU uses, made ready before what it does is timed."""

from collections.abc import Callable

import torch

from frugalrl.errors import ModelError
from frugalrl.rollout.blocked_cache import kernels_fit
from frugalrl.rollout.packed_weights import model_shape
from frugalrl.rollout.projections import lacks_products, panels_pay
from frugalrl.training.model.compiled_parts import has_kernels
from frugalrl.training.model.policy import Policy


def ready_kernels(policy: Policy, say: Callable[[str], None], samples: bool = True, learns: bool = False) -> float:
    """Load or compile what sampling from a policy in this process uses, and what updating it does.

    say: gets a line before something is compiled, and one where products in the model's dtype are slow. Returns the
    seconds that it took, 0 if all was there. Raises ModelError where numba cannot be used.
    """
    model = policy.model
    if lacks_products(model.dtype, policy.device):
        kind = str(model.dtype).removeprefix("torch.")
        say(f"This processor cannot multiply {kind}: a step takes some ten times as long as in float32. Take that.")
    names = []
    if learns and has_kernels(model) and model.dtype == torch.float32:
        names += ["elementwise", "attention"]
    if samples and kernels_fit(model_shape(model.config), model.dtype, policy.device):
        names.append(f"decoding {str(model.dtype).removeprefix('torch.')}")
    if samples and policy.device.type == "cpu":
        names.append("drawing")
    if samples and panels_pay(policy.device):
        names.append("projections")
    if not names:
        return 0.0
    try:
        from frugalrl.kernels.ready import make_ready
    except (ImportError, OSError, SystemError) as error:  # absent, without its library, or for another numpy
        why = str(error).strip().partition("\n")[0].rstrip(".")
        raise ModelError(
            f"numba, which computes on a CPU, cannot be loaded: {why}. "
            "Install one that fits: pip install --upgrade numba"
        ) from error
    return make_ready(names, say)
