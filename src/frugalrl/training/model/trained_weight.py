"""A trained parameter with its fp32 master and its gradient: what the optimizer works on, and where it lies.

The master of an fp32 parameter is the parameter itself; that of a parameter of 16 bits is a copy beside it. With
`offload` every master is a copy in host memory, and the moments, which lie where the master does, are there too. The
gradient always lies with the parameter: it is copied to a master on the host when its turn has come.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from frugalrl.training.model.parts import assign

_HOST = torch.device("cpu")


class TrainedWeight:
    """One parameter of a model."""

    def __init__(self, name: str, parameter: nn.Parameter, offload: bool, loss_scale: Callable[[], float]) -> None:
        """loss_scale: what the loss was multiplied with; gradients are divided by it on their way into fp32."""
        self.name, self.parameter = name, parameter
        self.master: Tensor = parameter
        if offload:
            self.master = parameter.detach().to(_HOST, torch.float32, copy=True).requires_grad_()
        elif parameter.dtype != torch.float32:
            self.master = parameter.detach().clone().float().requires_grad_()
        self._loss_scale = loss_scale
        self._sum: Tensor | None = None
        if self.has_copy:
            parameter.register_post_accumulate_grad_hook(self._add_up)  # type: ignore[no-untyped-call]

    @property
    def has_copy(self) -> bool:
        """Whether the master is another tensor than the parameter."""
        return self.master is not self.parameter

    @property
    def gradient(self) -> Tensor | None:
        """What `backward` calls have added up since the last step, in fp32; None before the first of them."""
        return self._sum if self.has_copy else self.parameter.grad

    def some_gradient(self) -> Tensor:
        """The gradient; zeros if no completion had a signal: moments decay and move the weights all the same."""
        if self.gradient is None:
            zeros = torch.zeros_like(self.parameter, dtype=torch.float32)
            if self.has_copy:
                self._sum = zeros
            else:
                self.parameter.grad = zeros
        assert self.gradient is not None
        return self.gradient

    def hand_over(self) -> None:
        """Give the master its gradient, and keep none."""
        if self.has_copy:
            gradient, self._sum = self.some_gradient(), None
            self.master.grad = gradient.to(self.master.device)

    def discard_gradient(self) -> None:
        """Forget what was added up."""
        self._sum = self.parameter.grad = self.master.grad = None

    @torch.no_grad()
    def publish(self) -> None:
        """Round the master into the parameter."""
        if self.has_copy:
            self.parameter.copy_(self.master)

    @torch.no_grad()
    def take_parameter(self) -> None:
        """Make the parameter as it is the master."""
        if self.has_copy:
            self.master.copy_(self.parameter)

    def load_master(self, saved: Tensor) -> None:
        """Take a master from a checkpoint."""
        assign(self.master, saved)

    def _add_up(self, parameter: Tensor) -> None:
        if parameter.grad is None:
            return
        gradient = parameter.grad.float()
        if (scale := self._loss_scale()) != 1.0:
            gradient /= scale
        self._sum = gradient if self._sum is None else self._sum.add_(gradient)
        parameter.grad = None
