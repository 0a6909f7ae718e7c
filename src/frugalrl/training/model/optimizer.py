"""AdamW (and Muon) over fp32 master weights, whatever the compute dtype.

Pure bf16 weights barely train at a learning rate of 1e-6: one Adam step then changes 1-2 % of them and the
rest is lost to rounding. So a bf16 model gets an fp32 copy that the optimizer works on; gradients of the
micro-batches are added up in fp32 too, and the bf16 weights are rounded from the copy after each step. An fp32
model is its own master, and nothing is copied.

fp16 has eight times the precision of bf16 and a narrow range: small gradients vanish. So the loss of an fp16 model is
multiplied by `loss_scale` before `backward`, and its gradients are divided by it on their way into fp32. The scale is
halved, and the update skipped, where a gradient overflows; it doubles after 2,000 updates without one (torch's
GradScaler does the same).

What takes the most memory beside the weights can be made smaller: moments of 8 bits (`eight_bit.py`), or masters and
moments in host memory (`trained_weight.py`), where torch's fused AdamW for CPUs updates one tensor after the other, so
that the gradient of one alone lies there too. On a CPU this gives the same bits as without.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frugalrl.config.optimizer_schema import OptimizerSettings
from frugalrl.training.model.eight_bit import STATE, adamw_8bit, is_held_in_8_bits, load_8bit_state
from frugalrl.training.model.parts import own_copy, whole
from frugalrl.training.model.trained_weight import TrainedWeight


class MasterOptimizer:
    """The optimizer of one model. `step` applies what `backward` calls have added up since the last one."""

    def __init__(
        self,
        model: nn.Module,
        settings: OptimizerSettings,
        sum_gradients: Callable[[Sequence[Tensor]], None] = lambda gradients: None,
    ) -> None:
        """sum_gradients: called at the beginning of a step; adds up those of several processes, in place.

        Raises RecipeError if a library that the settings need is not installed.
        """
        self._settings = settings
        self._sum_gradients = sum_gradients
        trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.loss_scale = _FIRST_SCALE if any(p.dtype == torch.float16 for _, p in trained) else 1.0
        """What a loss is multiplied with before `backward`; 1 but for fp16."""
        self._weights = [TrainedWeight(name, p, settings.offload, lambda: self.loss_scale) for name, p in trained]
        self._groups = _groups(self._weights, settings)
        self._scales = self.loss_scale != 1.0
        self._steps_at_scale = 0
        self.steps_begun = 0
        """Counts the steps that changed weights, or began to, and the times that other weights were put in."""

    @property
    def has_copies(self) -> bool:
        """Whether masters are copies, which take their gradients as `backward` makes them."""
        return any(weight.has_copy for weight in self._weights)

    def step(self, lr_factor: float) -> float:
        """Clip, update, and clear the gradients. Returns their norm before clipping.

        With a gradient that is not finite nothing is updated; the norm returned says so (inf or nan).
        """
        gradients = [weight.some_gradient() for weight in self._weights]
        self._sum_gradients(gradients)
        norm = self._clip(gradients)
        del gradients  # so that each can be freed once it is used
        if norm < float("inf"):
            self.steps_begun += 1
            for group in self._groups:
                group.step(lr_factor)
        self._move_scale(norm < float("inf"))
        self.discard_gradients()
        return norm

    def _clip(self, gradients: Sequence[Tensor]) -> float:
        """As torch's `clip_grad_norm_`, of tensors that need not be the gradient of anything. The norm before."""
        norm = whole(nn.utils.get_total_norm(gradients))
        factor = float(torch.clamp(self._settings.max_grad_norm / (norm + 1e-6), max=1.0))
        for gradient in gradients:
            gradient.mul_(factor)
        return float(norm)

    def _move_scale(self, is_finite: bool) -> None:
        if not self._scales:
            return
        self._steps_at_scale = self._steps_at_scale + 1 if is_finite else 0
        if not is_finite:
            self.loss_scale = max(self.loss_scale / 2, 1.0)
        elif self._steps_at_scale == _STEPS_TO_DOUBLE:
            self.loss_scale, self._steps_at_scale = self.loss_scale * 2, 0

    def discard_gradients(self) -> None:
        """Forget what `backward` calls have added up since the last step."""
        for weight in self._weights:
            weight.discard_gradient()

    def weights_and_gradients(self) -> list[tuple[str, Tensor, Tensor | None]]:
        """Name, master weight and what `backward` calls have added up for it since the last step."""
        return [(weight.name, weight.master, weight.gradient) for weight in self._weights]

    def reset_state(self) -> None:
        """Back to the state before the first step: no moments, the weights as they are (ProRL, 2505.24864)."""
        for group in self._groups:
            group.optimizer.state.clear()

    def take_weights_as_masters(self) -> None:
        """Make the model's weights as they are the masters, without moments: after other weights were loaded."""
        self.steps_begun += 1
        for weight in self._weights:
            weight.take_parameter()
        self.reset_state()

    def state_tensors(self) -> dict[str, Tensor]:
        """Everything the next step depends on, by name: moments, and the master weights that are copies."""
        tensors: dict[str, Tensor] = {}
        if self._scales:
            tensors["loss_scale"] = torch.tensor([self.loss_scale, float(self._steps_at_scale)], dtype=torch.float64)
        group_of = self._group_of()
        for weight in self._weights:
            group = group_of[weight.name]
            state = group.optimizer.state.get(weight.master, {})
            for key in group.state_keys if state else ():
                value = state[key]
                tensors[f"{key}/{weight.name}"] = value if isinstance(value, Tensor) else torch.tensor(value)
            if weight.has_copy:
                tensors[f"master/{weight.name}"] = weight.master.detach()
        return tensors

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state_tensors`. Raises KeyError if one that the model needs is missing."""
        self.steps_begun += 1
        group_of = self._group_of()
        for weight in self._weights:
            if weight.has_copy:
                weight.load_master(tensors[f"master/{weight.name}"])
            group = group_of[weight.name]
            if f"{group.state_keys[0]}/{weight.name}" in tensors:
                group.load_state(weight, {key: tensors[f"{key}/{weight.name}"] for key in group.state_keys})
            else:  # saved before the first update
                group.optimizer.state.pop(weight.master, None)
            weight.publish()

        if self._scales:
            scale, steps = tensors["loss_scale"].tolist()
            self.loss_scale, self._steps_at_scale = scale, int(steps)

    def _group_of(self) -> dict[str, "_Group"]:
        return {weight.name: group for group in self._groups for weight in group.weights}


_FIRST_SCALE = 65536.0
_STEPS_TO_DOUBLE = 2000
_ADAM_STATE = ("step", "exp_avg", "exp_avg_sq")
_MUON_STATE = ("momentum_buffer",)


@dataclass(frozen=True)
class _Group:
    """An optimizer of torch's kind, with the weights it works on."""

    optimizer: torch.optim.Optimizer
    full_rate: float
    weights: Sequence[TrainedWeight]
    state_keys: tuple[str, ...]

    def step(self, lr_factor: float) -> None:
        """Update the masters and the parameters."""
        for part in self.optimizer.param_groups:
            part["lr"] = self.full_rate * lr_factor
        for weight in self.weights:
            weight.hand_over()
        self.optimizer.step()
        for weight in self.weights:
            weight.publish()
            weight.discard_gradient()

    def load_state(self, weight: TrainedWeight, saved: Mapping[str, Tensor]) -> None:
        """Copies, where the optimizer wants them: fused AdamW has its step counter, fp32, on the weight's device."""
        if self.state_keys == STATE:
            load_8bit_state(self.optimizer, weight.master, saved)
            return
        self.optimizer.state[weight.master] = {
            key: value.to(weight.master.device, torch.float32, copy=True)
            if key == "step"
            else own_copy(value, weight.master)
            for key, value in saved.items()
        }


def _groups(weights: Sequence[TrainedWeight], settings: OptimizerSettings) -> list[_Group]:
    """Muon takes hidden matrices, the AdamW of 8 bits large ones if asked for; torch's AdamW takes what remains.

    On the host each weight has an optimizer of its own, so that the gradient of one alone is there.
    """
    hidden = [one for one in weights if settings.name == "muon" and _is_hidden_matrix(one)]
    small = [one for one in weights if settings.state_bits == 8 and is_held_in_8_bits(one.name, one.master)]
    taken = {one.name for one in (*hidden, *small)}
    rest = [one for one in weights if one.name not in taken]
    groups = [_adamw_group(part, settings) for part in _cut(rest, settings)]
    groups += [_8bit_group(part, settings) for part in _cut(small, settings)]
    if hidden:
        muon = torch.optim.Muon(_masters(hidden), lr=settings.muon_learning_rate, weight_decay=settings.weight_decay)
        groups.append(_Group(muon, settings.muon_learning_rate, hidden, _MUON_STATE))
    return groups


def _cut(weights: Sequence[TrainedWeight], settings: OptimizerSettings) -> list[list[TrainedWeight]]:
    if settings.offload:
        return [[one] for one in weights]
    return [list(weights)] if weights else []


def _adamw_group(weights: Sequence[TrainedWeight], settings: OptimizerSettings) -> _Group:
    adamw = torch.optim.AdamW(
        _masters(weights),
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    return _Group(adamw, settings.learning_rate, weights, _ADAM_STATE)


def _8bit_group(weights: Sequence[TrainedWeight], settings: OptimizerSettings) -> _Group:
    return _Group(adamw_8bit(_masters(weights), settings), settings.learning_rate, weights, STATE)


def _masters(weights: Sequence[TrainedWeight]) -> list[Tensor]:
    return [one.master for one in weights]


def _is_hidden_matrix(weight: TrainedWeight) -> bool:
    return weight.parameter.ndim == 2 and "embed_tokens" not in weight.name and "lm_head" not in weight.name
