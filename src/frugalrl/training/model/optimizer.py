"""AdamW (and Muon) over fp32 master weights, whatever the compute dtype.

Pure bf16 weights barely train at a learning rate of 1e-6: one Adam step then changes 1-2 % of them and the
rest is lost to rounding. So a bf16 model gets an fp32 copy that the optimizer works on; gradients of the
micro-batches are added up in fp32 too, and the bf16 weights are rounded from the copy after each step. An fp32
model is its own master, and nothing is copied.

fp16 has eight times the precision of bf16 and a narrow range: small gradients vanish. So the loss of an fp16 model is
multiplied by `loss_scale` before `backward`, and its gradients are divided by it on their way into fp32. The scale is
halved, and the update skipped, where a gradient overflows; it doubles after 2,000 updates without one (torch's
GradScaler does the same).
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from frugalrl.config.schema import OptimizerSettings
from frugalrl.training.model.parts import assign, own_copy, whole


class MasterOptimizer:
    """The optimizer of one model. `step` applies what `backward` calls have added up since the last one."""

    def __init__(
        self,
        model: nn.Module,
        settings: OptimizerSettings,
        sum_gradients: Callable[[Sequence[Tensor]], None] = lambda masters: None,
    ) -> None:
        """sum_gradients: called at the beginning of a step; adds up those of several processes."""
        self._settings = settings
        self._sum_gradients = sum_gradients
        self._pairs = [(name, p, _master_of(p)) for name, p in model.named_parameters() if p.requires_grad]
        for _, parameter, master in self._pairs:
            if master is not parameter:
                parameter.register_post_accumulate_grad_hook(self._add_to(master))  # type: ignore[no-untyped-call]
        self._optimizers = _build(self._pairs, settings)
        self.loss_scale = _FIRST_SCALE if any(p.dtype == torch.float16 for _, p, _ in self._pairs) else 1.0
        """What a loss is multiplied with before `backward`; 1 but for fp16."""
        self._scales = self.loss_scale != 1.0
        self._steps_at_scale = 0
        self.steps_begun = 0
        """Counts the steps that changed weights, or began to, and the times that other weights were put in."""

    def step(self, lr_factor: float) -> float:
        """Clip, update, and clear the gradients. Returns their norm before clipping.

        With a gradient that is not finite nothing is updated; the norm returned says so (inf or nan).
        """
        masters = [master for _, _, master in self._pairs]
        for master in masters:
            if master.grad is None:  # no completion had a signal: moments decay and move the weights all the same
                master.grad = torch.zeros_like(master)
        self._sum_gradients(masters)
        norm = float(whole(nn.utils.clip_grad_norm_(masters, self._settings.max_grad_norm)))
        if norm < float("inf"):
            self.steps_begun += 1
            for optimizer, full_rate in self._optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = full_rate * lr_factor
                optimizer.step()
            self._publish()
        self._move_scale(norm < float("inf"))
        self.discard_gradients()
        return norm

    def _move_scale(self, is_finite: bool) -> None:
        if not self._scales:
            return
        self._steps_at_scale = self._steps_at_scale + 1 if is_finite else 0
        if not is_finite:
            self.loss_scale = max(self.loss_scale / 2, 1.0)
        elif self._steps_at_scale == _STEPS_TO_DOUBLE:
            self.loss_scale, self._steps_at_scale = self.loss_scale * 2, 0

    def _add_to(self, master: Tensor) -> Callable[[Tensor], None]:
        def hook(parameter: Tensor) -> None:
            if parameter.grad is None:
                return
            gradient = parameter.grad.float()
            if self._scales:
                gradient /= self.loss_scale
            master.grad = gradient if master.grad is None else master.grad.add_(gradient)
            parameter.grad = None

        return hook

    def discard_gradients(self) -> None:
        """Forget what `backward` calls have added up since the last step."""
        for _, parameter, master in self._pairs:
            parameter.grad = None
            master.grad = None

    def weights_and_gradients(self) -> list[tuple[str, Tensor, Tensor | None]]:
        """Name, master weight and what `backward` calls have added up for it since the last step."""
        return [(name, master, master.grad) for name, _, master in self._pairs]

    def reset_state(self) -> None:
        """Back to the state before the first step: no moments, the weights as they are (ProRL, 2505.24864)."""
        for optimizer, _ in self._optimizers:
            optimizer.state.clear()

    def take_weights_as_masters(self) -> None:
        """Make the model's weights as they are the masters, without moments: after other weights were loaded."""
        self.steps_begun += 1
        with torch.no_grad():
            for _, parameter, master in self._pairs:
                if master is not parameter:
                    master.copy_(parameter)
        self.reset_state()

    def state_tensors(self) -> dict[str, Tensor]:
        """Everything the next step depends on, by name: moments, and the master weights that are copies."""
        tensors: dict[str, Tensor] = {}
        if self._scales:
            tensors["loss_scale"] = torch.tensor([self.loss_scale, float(self._steps_at_scale)], dtype=torch.float64)
        for name, parameter, master in self._pairs:
            for key, value in self._state_of(master).items():
                tensors[f"{key}/{name}"] = value if isinstance(value, Tensor) else torch.tensor(value)
            if master is not parameter:
                tensors[f"master/{name}"] = master.detach()
        return tensors

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state_tensors`. Raises KeyError if one that the model needs is missing."""
        self.steps_begun += 1
        for name, parameter, master in self._pairs:
            if master is not parameter:
                assign(master, tensors[f"master/{name}"])
            optimizer = self._optimizer_of(master)
            keys = ("momentum_buffer",) if isinstance(optimizer, torch.optim.Muon) else _ADAM_STATE
            if f"{keys[0]}/{name}" in tensors:
                optimizer.state[master] = {key: _own(tensors[f"{key}/{name}"], key, master) for key in keys}
            else:  # saved before the first update
                optimizer.state.pop(master, None)
        self._publish()

        if self._scales:
            scale, steps = tensors["loss_scale"].tolist()
            self.loss_scale, self._steps_at_scale = scale, int(steps)

    def _publish(self) -> None:
        with torch.no_grad():
            for _, parameter, master in self._pairs:
                if master is not parameter:
                    parameter.copy_(master)

    def _optimizer_of(self, master: Tensor) -> torch.optim.Optimizer:
        for optimizer, _ in self._optimizers:
            if any(master is other for group in optimizer.param_groups for other in group["params"]):
                return optimizer
        raise KeyError("the parameter belongs to no optimizer")

    def _state_of(self, master: Tensor) -> dict[str, Tensor | float]:
        return dict(self._optimizer_of(master).state.get(master, {}))


_FIRST_SCALE = 65536.0
_STEPS_TO_DOUBLE = 2000
_ADAM_STATE = ("step", "exp_avg", "exp_avg_sq")

Pair = tuple[str, nn.Parameter, Tensor]


def _master_of(parameter: nn.Parameter) -> Tensor:
    if parameter.dtype == torch.float32:
        return parameter
    return parameter.detach().clone().float().requires_grad_()


def _own(value: Tensor, key: str, master: Tensor) -> Tensor:
    """A copy where the optimizer wants it: Adam's step counter stays a float32 scalar."""
    return own_copy(value, master) if key != "step" else value.to(torch.float32, copy=True)


def _build(pairs: list[Pair], settings: OptimizerSettings) -> list[tuple[torch.optim.Optimizer, float]]:
    """Optimizers with their full learning rates. Muon takes hidden matrices; AdamW takes what remains."""
    hidden = [m for name, _, m in pairs if settings.name == "muon" and _is_hidden_matrix(name, m)]
    rest = [m for name, _, m in pairs if not (settings.name == "muon" and _is_hidden_matrix(name, m))]
    adamw = torch.optim.AdamW(
        rest,
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    optimizers: list[tuple[torch.optim.Optimizer, float]] = [(adamw, settings.learning_rate)]
    if hidden:
        muon = torch.optim.Muon(hidden, lr=settings.muon_learning_rate, weight_decay=settings.weight_decay)
        optimizers.append((muon, settings.muon_learning_rate))
    return optimizers


def _is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    return parameter.ndim == 2 and "embed_tokens" not in name and "lm_head" not in name
