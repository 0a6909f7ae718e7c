"""The reference of the KL term: the base model, or after a reset the policy as it was then.

ProRL (2505.24864) resets reference and optimizer now and then, so that a long run is not held to where it began. A
reference that was reset exists nowhere else, so it goes into checkpoints, as tensors named ``reference.NAME``.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from frugalrl.config.schema import ModelSettings
from frugalrl.training.model.parts import assign
from frugalrl.training.model.policy import Policy, load_policy

_PREFIX = "reference."


def load_reference(settings: ModelSettings) -> Policy:
    """The frozen base model. Raises ModelError."""
    reference = load_policy(settings.model_copy(update={"gradient_checkpointing": False}))
    reference.model.requires_grad_(False)
    return reference


@torch.no_grad()
def copy_weights(source: Policy, target: Policy) -> None:
    """Make the target's weights equal to the source's; both have the same architecture and dtype."""
    for into, from_ in zip(target.model.parameters(), source.model.parameters(), strict=True):
        assign(into, from_)


def reference_tensors(reference: Policy) -> dict[str, Tensor]:
    """Its weights, a tied one once, under names that no optimizer uses."""
    return {f"{_PREFIX}{name}": parameter.detach() for name, parameter in reference.model.named_parameters()}


@torch.no_grad()
def load_reference_tensors(reference: Policy, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `reference_tensors`. Raises KeyError if one is missing."""
    for name, parameter in reference.model.named_parameters():
        assign(parameter, tensors[f"{_PREFIX}{name}"])
