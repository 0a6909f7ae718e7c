"""The reference of the KL term: the base model, or after a reset the policy as it was then.

ProRL (2505.24864) resets reference and optimizer now and then, so that a long run is not held to where it began. A
reference that was reset exists nowhere else, so it goes into checkpoints, as tensors named ``reference.NAME``.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from frugalrl.config.schema import ModelSettings
from frugalrl.training.model.adapter import AdapterPolicy, AdapterReference, reference_of
from frugalrl.training.model.parts import assign
from frugalrl.training.model.policy import Policy, load_policy

_PREFIX = "reference."


def load_reference(settings: ModelSettings, policy: Policy) -> Policy:
    """The frozen base model: the policy's own model where that holds adapters, else a second one. Raises ModelError."""
    if isinstance(policy, AdapterPolicy):
        return reference_of(policy)
    reference = load_policy(settings.model_copy(update={"gradient_checkpointing": False}))
    reference.model.requires_grad_(False)
    return reference


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
