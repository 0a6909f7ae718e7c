"""The reference of the KL term: the base model, or after a reset the policy as it was then.

ProRL (2505.24864) resets reference and optimizer now and then, so that a long run is not held to where it began. A
reference that was reset exists nowhere else, so it goes into checkpoints, as tensors named ``reference.NAME``.

It is needed once a step, before the first gradient. Where memory is short its weights wait in host memory: they are
copied to the GPU for that pass and the copies dropped, which gives the same bits. Loading them from the disk each time
would save host memory too, and is not offered: it costs seconds a step where the copy costs tenths.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from frugalrl.config.schema import ModelSettings, TrainRecipe
from frugalrl.training.model.adapter import AdapterPolicy, AdapterReference, reference_of
from frugalrl.training.model.held import device_bytes, held_bytes, is_roomy
from frugalrl.training.model.parts import assign
from frugalrl.training.model.policy import Policy, load_policy

_PREFIX = "reference."


@dataclass(frozen=True)
class WaitingReference(Policy):
    """A reference whose weights wait in host memory."""

    scores_on: torch.device
    """Where its weights are while it computes."""

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """See `Policy.at_hand`. Nothing may change the weights in it."""
        slots = [
            (slot, name, tensor)
            for module in self.model.modules()
            for slot in (module._parameters, module._buffers)
            for name, tensor in slot.items()
            if tensor is not None
        ]
        copies: dict[int, Tensor] = {}  # a tied tensor is one
        try:
            for slot, name, tensor in slots:
                if id(tensor) not in copies:
                    copies[id(tensor)] = tensor.to(self.scores_on)
                slot[name] = copies[id(tensor)]
            yield
        finally:
            for slot, name, tensor in slots:
                slot[name] = tensor


def load_reference(settings: ModelSettings, policy: Policy, waits: bool = False) -> Policy:
    """The frozen base model: the policy's own model where that holds adapters, else a second one. Raises ModelError.

    waits: whether the weights of a second one wait in host memory.
    """
    if isinstance(policy, AdapterPolicy):
        return reference_of(policy)
    changes = {"gradient_checkpointing": False, **({"device": "cpu"} if waits else {})}
    reference = load_policy(settings.model_copy(update=changes))
    reference.model.requires_grad_(False)
    if not waits:
        return reference
    return WaitingReference(reference.model, reference.tokenizer, reference.source, policy.device)


def reference_waits(recipe: TrainRecipe, policy: Policy, processes: int) -> bool:
    """Whether the reference's weights are to wait in host memory. Several processes decide by their placement.

    auto: only for a GPU, and where everything that a step holds is more than half of its memory.
    """
    wanted = recipe.algorithm.reference_place
    if wanted != "auto" or processes > 1 or policy.device.type == "cpu" or recipe.model.lora is not None:
        return wanted == "host"
    return not is_roomy(held_bytes(policy, True, recipe.optimizer), device_bytes(policy.device, processes))


@torch.no_grad()
def copy_weights(source: Policy, target: Policy) -> None:
    """Make the target's weights equal to the source's; both have the same architecture and dtype."""
    if isinstance(target, AdapterReference):
        target.take(source.saved_tensors())
        return
    for into, from_ in zip(target.model.parameters(), source.model.parameters(), strict=True):
        assign(into, from_)


def reference_tensors(reference: Policy) -> dict[str, Tensor]:
    """Its weights, a tied one once, or its adapters, under names that no optimizer uses."""
    adapters = reference.kept if isinstance(reference, AdapterReference) else None
    weights = dict(reference.model.named_parameters()) if adapters is None else adapters
    return {f"{_PREFIX}{name}": tensor.detach() for name, tensor in weights.items()}


@torch.no_grad()
def load_reference_tensors(reference: Policy, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `reference_tensors`. Raises KeyError if one is missing."""
    if isinstance(reference, AdapterReference):
        reference.take({name: tensors[f"{_PREFIX}{name}"] for name in reference.policy.saved_tensors()})
        return
    for name, parameter in reference.model.named_parameters():
        assign(parameter, tensors[f"{_PREFIX}{name}"])
