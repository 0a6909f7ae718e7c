"""LoRA: a policy whose adapters are trained while the model they sit in stays as it is. The one importer of peft.

Decisions:
- Adapters are injected in place into the transformers model (`PeftModel` around it would hide the modules that sampling
  and log-probabilities walk), so engine, update and optimizer work on it as on any model.
- The reference is the same model with its adapters off; after a reference reset, with the adapters of then. There is
  no second copy of the model.
- Merged weights are always computed in the same way: in fp32, then rounded to the dtype asked for. While they are used
  for sampling, the weights of the base lie beside them untouched: nothing is added and subtracted again.
- Dropout is on only where a gradient is computed. peft's own is on whenever the model is in training mode, which
  gradient checkpointing needs, also while sampling.

Not covered: adapters on embeddings or the head; DoRA and other variants.
"""

import importlib.util
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frugalrl.config.lora_schema import LoraSettings
from frugalrl.errors import ModelError, RecipeError
from frugalrl.training.model.parts import whole
from frugalrl.training.model.policy import Policy
from frugalrl.types import MicroBatch

CONFIG_FILE = "adapter_config.json"
_WEIGHTS_FILE = "adapter_model.safetensors"
_NAME = "default"
"""peft's name of an adapter among several; its files do not hold it."""
_FILE_PREFIX = "base_model.model."
"""Before each name in peft's files: the path from a PeftModel to the model inside it."""


class LearningDropout(nn.Module):
    """Dropout where a gradient is computed, and nowhere else, whatever mode the model is in."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, inputs: Tensor) -> Tensor:
        return F.dropout(inputs, self.probability, training=torch.is_grad_enabled())


@dataclass(frozen=True)
class AdapterPolicy(Policy):
    """A policy with adapters in its model. Its weights are those of the adapters; the base's never change."""

    config: Any
    """peft's `LoraConfig`."""
    initial: Mapping[str, Tensor]
    """The adapters before the first step, with which the model computes what its base does."""

    stored: ClassVar[str] = "adapter_model*.safetensors"

    def saved_tensors(self) -> dict[str, Tensor]:
        """The adapters, under the names of peft's files."""
        return {
            f"{_FILE_PREFIX}{path}.{part}.weight": getattr(layer, part)[_NAME].weight.detach()
            for path, layer in self.layers()
            for part in ("lora_A", "lora_B")
        }

    def untied(self) -> set[str]:
        return set(self.saved_tensors())

    def write(self, folder: Path) -> None:
        """The adapters in peft's own format, for `PeftModel.from_pretrained(base, folder)`."""
        tensors = {name: tensor.cpu().contiguous() for name, tensor in self.saved_tensors().items()}
        safetensors.torch.save_file(tensors, folder / _WEIGHTS_FILE, metadata={"format": "pt"})
        values = {**self.config.to_dict(), "inference_mode": True, "target_modules": sorted(self.config.target_modules)}
        text = json.dumps(values, indent=2, sort_keys=True)
        (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")

    def over(self, model: Any) -> "AdapterPolicy":
        """This policy over another model of the same shape, adapters included."""
        if model is self.model:
            return self
        return AdapterPolicy(model, self.tokenizer, self.source, self.config, self.initial)

    def model_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """The merged model in the dtype of the base, under the base's own names."""
        return ((name, tensor.to(self.model.dtype)) for name, tensor in self.merged_tensors())

    def merged_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """The merged model in fp32, a tensor at a time, in order of names."""
        layers = dict(self.layers())
        own = {name: tensor for name, tensor in self.model.state_dict().items() if ".lora_" not in name}
        for name, inside in sorted((name.replace(".base_layer.", "."), name) for name in own):
            layer = layers.get(inside.removesuffix(".base_layer.weight"))
            yield name, whole(own[inside].detach()).float() if layer is None else merged_weight(layer)

    def layers(self) -> list[tuple[str, Any]]:
        """The modules with an adapter, by their path in the model."""
        return [(path, module) for path, module in self.model.named_modules() if hasattr(module, "lora_A")]

    def adapter_parameters(self) -> list[nn.Parameter]:
        """All that is trained of the model."""
        return [getattr(layer, part)[_NAME].weight for _, layer in self.layers() for part in ("lora_A", "lora_B")]

    @torch.no_grad()
    def load_adapters(self, tensors: Mapping[str, Tensor]) -> None:
        """Take adapters under the names of `saved_tensors`."""
        for name, tensor in self.saved_tensors().items():
            tensor.copy_(tensors[name])

    @contextmanager
    def merged(self) -> Iterator[None]:
        """Within, the model computes with merged weights: one matrix at a time instead of three, as the export does."""
        kept = [(layer.base_layer, layer.base_layer.weight.data) for _, layer in self.layers()]
        try:
            for _, layer in self.layers():
                weight = layer.base_layer.weight
                weight.data = merged_weight(layer).to(weight.dtype)
            with self.without_adapters():
                yield
        finally:
            for module, weight in kept:
                module.weight.data = weight

    @contextmanager
    def without_adapters(self) -> Iterator[None]:
        """Within, the adapters are off."""
        layers = [layer for _, layer in self.layers()]
        try:
            for layer in layers:
                layer._disable_adapters = True  # `enable_adapters` would change `requires_grad` as well
            yield
        finally:
            for layer in layers:
                layer._disable_adapters = False

    @contextmanager
    def with_adapters(self, tensors: Mapping[str, Tensor]) -> Iterator[None]:
        """Within, other adapters are in place of the policy's own."""
        own = {name: tensor.clone() for name, tensor in self.saved_tensors().items()}
        try:
            self.load_adapters(tensors)
            yield
        finally:
            self.load_adapters(own)


@dataclass(frozen=True)
class AdapterReference(Policy):
    """The reference of an `AdapterPolicy`: its own model with the adapters off, or with those of the last reset."""

    policy: AdapterPolicy
    kept: dict[str, Tensor]
    """The adapters of the last reset; empty before the first."""

    def logprobs(
        self,
        input_ids: Tensor,
        wanted: Tensor,
        temperature: float = 1.0,
        chunk_tokens: int = 1024,
        entropy_gradient: bool = False,
        **inputs: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """See `Policy.logprobs`; without a gradient, since the policy's own adapters come back right after."""
        with torch.no_grad(), self._in_place():
            return self.policy.logprobs(input_ids, wanted, temperature, chunk_tokens, entropy_gradient, **inputs)

    def batch_logprobs(
        self, batch: MicroBatch, temperature: float = 1.0, chunk_tokens: int = 1024, entropy_gradient: bool = False
    ) -> tuple[Tensor, Tensor]:
        """See `Policy.batch_logprobs`; without a gradient, as `logprobs`."""
        with torch.no_grad(), self._in_place():
            return self.policy.batch_logprobs(batch, temperature, chunk_tokens, entropy_gradient)

    def _in_place(self) -> AbstractContextManager[None]:
        """Within, the policy's model is the reference."""
        return self.policy.with_adapters(self.kept) if self.kept else self.policy.without_adapters()

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Make these adapters the reference."""
        self.kept.update({name: tensor.detach().to(self.device, copy=True) for name, tensor in tensors.items()})


def add_adapters(policy: Policy, settings: LoraSettings, seed: int) -> AdapterPolicy:
    """Put adapters into a policy's model, in place, and freeze everything else.

    seed: of the adapters' first weights. Raises RecipeError if peft is not installed.
    """
    require_peft()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # peft loads it; it warns of kernels for quantised models
    import peft

    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=list(settings.target),
        lora_dropout=settings.dropout,
        base_model_name_or_path=policy.source,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(config, policy.model, adapter_name=_NAME)
    made = AdapterPolicy(policy.model, policy.tokenizer, policy.source, config, {})
    for _, layer in made.layers():
        layer.lora_dropout[_NAME] = LearningDropout(settings.dropout) if settings.dropout else nn.Identity()
    first = {name: tensor.clone() for name, tensor in made.saved_tensors().items()}
    return AdapterPolicy(policy.model, policy.tokenizer, policy.source, config, first)


def inject_as_in(model: Any, other: Any) -> None:
    """Put the adapters that a model has into another one that has none, with weights of their own; without dropout."""
    config = getattr(model, "peft_config", {}).get(_NAME)
    if config is None:
        return
    import peft

    peft.inject_adapter_in_model(config, other, adapter_name=_NAME)
    for module in other.modules():
        if hasattr(module, "lora_dropout"):
            module.lora_dropout[_NAME] = nn.Identity()


def with_merged_adapter(base: Policy, folder: Path) -> Policy:
    """A policy in fp32 with the adapter of a folder in peft's format merged into it, in place.

    Raises ModelError for an adapter that is not plain LoRA on the projections of this base, RecipeError without peft.
    """
    require_peft()
    import peft

    try:
        config = peft.PeftConfig.from_pretrained(str(folder))
        tensors = safetensors.torch.load_file(folder / _WEIGHTS_FILE)
        peft.inject_adapter_in_model(config, base.model, adapter_name=_NAME)
        adapted = AdapterPolicy(base.model, base.tokenizer, str(folder), config, {})
        own = {name: tensor.shape for name, tensor in adapted.saved_tensors().items()}
        fits = own == {name: tensor.shape for name, tensor in tensors.items()} and not getattr(
            config, "use_dora", False
        )
    except Exception as error:  # peft and safetensors raise many kinds, all of them about this adapter
        raise ModelError(
            f"The adapter in {folder} cannot be loaded: {error} Give a folder that peft wrote, with {CONFIG_FILE} and "
            f"{_WEIGHTS_FILE}."
        ) from error
    if not fits or not own:
        raise ModelError(
            f"The adapter in {folder} is not plain LoRA on projections of {base.source!r}. Merge it into its base "
            "(peft: merge_and_unload) and give the folder of the merged model."
        )
    adapted.load_adapters(tensors)
    for path, layer in adapted.layers():
        layer.base_layer.weight.data = merged_weight(layer)
        base.model.set_submodule(path, layer.base_layer)
    return Policy(base.model, base.tokenizer, str(folder))


def base_named_in(folder: Path) -> str:
    """The folder or Hub id of the model that an adapter was trained in. Raises ModelError."""
    try:
        return str(json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(
            f"The adapter in {folder} does not name its base: base_model_name_or_path is missing in {CONFIG_FILE}. "
            "Write it there, or merge the adapter into its base."
        ) from None


def reference_of(policy: AdapterPolicy) -> AdapterReference:
    """The base that a policy's adapters sit in, as a reference."""
    return AdapterReference(policy.model, policy.tokenizer, policy.source, policy, {})


def merged_policy(policy: AdapterPolicy, keep: bool = True) -> Policy | None:
    """A model of its own with merged fp32 weights, on the CPU: what is exported.

    keep: where the base is in parts, all processes call this, and only the one that saves keeps what is gathered.
    """
    import transformers

    tensors = {name: tensor.cpu() for name, tensor in policy.merged_tensors() if keep}
    if not keep:
        return None
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(policy.model.config, dtype=torch.float32)
    model.load_state_dict(tensors, assign=True)
    model.tie_weights()
    model.generation_config = policy.model.generation_config
    return Policy(model.eval(), policy.tokenizer, policy.source)


@torch.no_grad()
def merged_weight(layer: Any) -> Tensor:
    """W + alpha / rank x B A, in fp32: bit for bit W while B is zero, as it is before the first step."""
    weight: Tensor = whole(layer.base_layer.weight.detach()).float()
    first, second = layer.lora_A[_NAME].weight.float(), layer.lora_B[_NAME].weight.float()
    return torch.addmm(weight, second, first, alpha=layer.scaling[_NAME]) if bool(second.any()) else weight


def require_peft() -> None:
    """Raise RecipeError if peft is not installed."""
    if importlib.util.find_spec("peft") is None:
        raise RecipeError(
            "The recipe has model.lora, and peft is not installed. Install it with pip install 'frugalrl[lora]', or "
            "train all weights with --set model.lora=null."
        )
