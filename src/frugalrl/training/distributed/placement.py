"""Where weights, gradients and optimizer states of a run lie: whole in every process, or in parts (FSDP2).

Replicated: every process holds everything; gradients are added up once before each step of the optimizer, whose steps
are then the same everywhere. Sharded: every process holds its part of each tensor; a layer's weights are gathered while
it computes, and its gradients are added up and cut again. Both add up sums: the weights of tokens were fixed over the
whole batch before it was cut, so the sum is the gradient that one process would have.

Adapters (LoRA) are small, and whole in every process also where the model that they sit in is in parts: their gradients
are added up as replicated ones are, and a checkpoint of them gathers nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from frugalrl.training.distributed.world import ALONE, World
from frugalrl.training.model.adapter import AdapterPolicy, AdapterReference
from frugalrl.training.model.parts import collected, is_in_parts, whole
from frugalrl.training.model.policy import Policy
from frugalrl.training.model.twin import twin_of

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule

T = TypeVar("T")


class Placement(Protocol):
    """How the processes of a world hold the models of a run."""

    @property
    def world(self) -> World: ...

    @property
    def computes_together(self) -> bool:
        """Whether every forward and backward pass of one process needs one of each other process."""
        ...

    def place(self, policy: Policy) -> Policy:
        """The policy as it is held from now on. Every process has loaded the same weights."""
        ...

    def whole_weights(self) -> AbstractContextManager[None]:
        """A block in which the placed models hold whole weights, as plain tensors; nothing may change them in it."""
        ...

    def complete(self, model: Any) -> Any:
        """A placed model with whole weights that the first process can compute with alone; None in the others.

        The model itself where it is whole in every process.
        """
        ...

    def part(self, work: Callable[[], T]) -> T:
        """Do this process's part of an update; an error ends it in all processes where that is possible."""
        ...

    def sum_gradients(self, gradients: Sequence[Tensor]) -> None:
        """Add up the gradients of all processes in place, unless the backward pass has."""
        ...


@dataclass(frozen=True)
class Replicated:
    """Everything whole in every process; in one process, everything as it is."""

    world: World = ALONE
    computes_together: bool = False

    def place(self, policy: Policy) -> Policy:
        """See `Placement.place`."""
        return policy

    def whole_weights(self) -> AbstractContextManager[None]:
        """See `Placement.whole_weights`."""
        return nullcontext()

    def complete(self, model: Any) -> Any:
        """See `Placement.complete`."""
        return model

    def part(self, work: Callable[[], T]) -> T:
        """See `Placement.part`: nothing is exchanged meanwhile, so all hear of an error."""
        return own_part(self.world, work)

    def sum_gradients(self, gradients: Sequence[Tensor]) -> None:
        """See `Placement.sum_gradients`."""
        if self.world.size > 1:
            _add_up(gradients)


IN_ONE_PROCESS = Replicated()


class Sharded:
    """Everything in parts: FSDP2."""

    computes_together = True

    def __init__(self, world: World) -> None:
        self.world = world
        self._modules: list[FSDPModule] = []
        self._adapted: ShardedAdapterPolicy | None = None

    def place(self, policy: Policy) -> Policy:
        """See `Placement.place`. Each decoder layer is gathered by itself, and the rest of the model around it."""
        if isinstance(policy, AdapterReference):  # it computes with the model of the policy, which was placed before
            assert self._adapted is not None
            return replace(policy, policy=self._adapted)
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard  # 0.6 s, for those who need them

        mesh = init_device_mesh(policy.device.type, (self.world.size,))
        module = _Computation(policy.model)
        # In bf16 the parts are added up in fp32 and rounded once, as the gradients of a single process are.
        settings: dict[str, Any] = {"mesh": mesh, "mp_policy": MixedPrecisionPolicy(reduce_dtype=torch.float32)}
        if isinstance(policy, AdapterPolicy):
            settings["ignored_params"] = set(policy.adapter_parameters())
        for part in (*policy.model.model.layers, module):
            sharded = fully_shard(part, **settings)
            sharded.set_gradient_divide_factor(1.0)
            sharded.set_force_sum_reduction_for_comms(True)  # gloo knows no other
            self._modules.append(sharded)
        parts = (policy.model, policy.tokenizer, policy.source)
        if isinstance(policy, AdapterPolicy):
            self._adapted = ShardedAdapterPolicy(*parts, policy.config, policy.initial, module, self.world.rank == 0)
            return self._adapted
        return ShardedPolicy(*parts, module, self.world.rank == 0)

    @contextmanager
    def whole_weights(self) -> Iterator[None]:
        """See `Placement.whole_weights`."""
        for module in self._modules:
            module.unshard()
        try:
            yield
        finally:
            for module in self._modules:
                module.reshard()

    def complete(self, model: Any) -> Any:
        """See `Placement.complete`: a twin, over weights that are gathered one after the other."""
        gathered = {}
        for name, tensor in model.state_dict().items():
            complete = whole(tensor.detach())
            if self.world.rank == 0:
                gathered[name] = complete
        return twin_of(model, gathered) if self.world.rank == 0 else None

    def part(self, work: Callable[[], T]) -> T:
        """See `Placement.part`: layers are exchanged meanwhile, so an error ends its process and then the others."""
        return work()

    def sum_gradients(self, gradients: Sequence[Tensor]) -> None:
        """See `Placement.sum_gradients`: the backward pass has, but for adapters."""
        _add_up([gradient for gradient in gradients if not is_in_parts(gradient)])


def _add_up(gradients: Sequence[Tensor]) -> None:
    for gradient in gradients:
        dist.all_reduce(gradient)


class _Computation(nn.Module):
    """A model and whatever is computed with it, as the one module whose forward pass gathers its weights."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, compute: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return compute(*arguments, **named)


@dataclass(frozen=True)
class ShardedPolicy(Policy):
    """A policy whose weights are in parts: every computation gathers them, in all processes at once."""

    computation: _Computation
    is_main: bool
    """Whether this process gets whole weights to save."""

    def logprobs(self, *arguments: Any, **named: Any) -> tuple[Tensor, Tensor]:
        """See `Policy.logprobs`."""
        return self._together(super().logprobs, *arguments, **named)

    def batch_logprobs(self, *arguments: Any, **named: Any) -> tuple[Tensor, Tensor]:
        """See `Policy.batch_logprobs`."""
        return self._together(super().batch_logprobs, *arguments, **named)

    def _together(self, *arguments: Any, **named: Any) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = self.computation(*arguments, **named)
        if not torch.is_grad_enabled():  # no backward pass will, and whole weights would go stale
            cast("FSDPModule", self.computation).reshard()
        return found

    def whole(self) -> Policy:
        """See `Policy.whole`."""
        parameters = dict(self.model.named_parameters(remove_duplicate=False))  # a tied one is one tensor here
        tensors = {name: parameters.get(name, tensor) for name, tensor in self.model.state_dict().items()}
        tensors = collected(tensors, self.is_main)
        return _WholePolicy(self.model, self.tokenizer, self.source, tensors)


@dataclass(frozen=True)
class ShardedAdapterPolicy(ShardedPolicy, AdapterPolicy):
    """A policy whose base is in parts, and whose adapters are whole."""

    def whole(self) -> Policy:
        """See `Policy.whole`: what a checkpoint holds of it is whole."""
        return self


@dataclass(frozen=True)
class _WholePolicy(Policy):
    """A policy to save: the model for its configuration, and whole weights on the host."""

    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def saved_tensors(self) -> dict[str, Tensor]:
        """See `Policy.saved_tensors`."""
        return dict(self.tensors)


def own_part(world: World, work: Callable[[], T]) -> T:
    """Every process does its own part and keeps its own result, of any type; an error anywhere is raised everywhere."""
    results: list[T] = []

    def done() -> None:
        results.append(work())

    world.each(done)
    return results[0]
