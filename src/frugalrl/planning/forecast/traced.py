"""Peak memory of a run from the program's own code, on tensors that have shapes and no numbers.

The update is `update_policy` with the recipe's policy (adapters included), reference, optimizer and loss, on two full
micro-batches: at the second one gradients are there already. The rollout is the engine's own decoder and cache with all
rows at their longest; evaluations of adapters sample from merged weights. It takes some seconds of processor time,
whatever the size of the model, and hardly any memory.

A GPU is the host with a GPU's layouts and products: a fake tensor of a GPU needs a torch that was built for one. What
lies in host memory then is subtracted. Not traced: 16-bit sampling on a CPU, whose blocked weights have no fake form.
"""

import gc
import importlib.util
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from frugalrl.config.schema import TrainRecipe
from frugalrl.planning.forecast.memory import GB, MemorySettings
from frugalrl.planning.forecast.shape import ModelShape
from frugalrl.planning.forecast.storage_meter import StorageMeter, metered, without_numbers
from frugalrl.planning.forecast.work import likely_prompt
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.flight import Flight
from frugalrl.rollout.kv_cache import SdpaCache
from frugalrl.rollout.packed_weights import Adapters, PackedWeights
from frugalrl.rollout.projections import FEWEST_ROWS
from frugalrl.rollout.sampling import draw_tokens
from frugalrl.rollout.torch_engine import CACHE_STEP_TOKENS, TorchEngine
from frugalrl.training.batching import TrainingRow, micro_batches
from frugalrl.training.model.adapter import AdapterPolicy, add_adapters, reference_of
from frugalrl.training.model.compiled_parts import use_kernels
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.model.policy import DTYPES, Policy, enable_checkpointing, quiet_transformers
from frugalrl.training.rules import update_settings
from frugalrl.training.update import update_policy

_HOST, _GPU = torch.device("cpu"), torch.device("cuda")


@dataclass(frozen=True)
class TracedMemory:
    """Gigabytes of tensors at the peak of each phase, without the process itself."""

    update_gb: float
    rollout_gb: float | None
    """Of a rollout or an evaluation, whichever is larger; None where it was not traced."""


class _GpuPolicy(Policy):
    """With products as a GPU's come out."""

    @property
    def wide_products(self) -> bool:
        return True


class _GpuAdapterPolicy(AdapterPolicy):
    """The same with adapters."""

    @property
    def wide_products(self) -> bool:
        return True


class _GpuEngine(TorchEngine):
    """With weights laid out as a GPU's."""

    def _empty_weights(self, adapters: Adapters | None = None) -> PackedWeights:
        return PackedWeights(self._shapes, self._shape, self._dtype, self._device, adapters or {}, _GPU)


def traced_memory(recipe: TrainRecipe, shape: ModelShape, settings: MemorySettings) -> TracedMemory | None:
    """What the code of a run allocates at its peak, in one lane.

    None where a library that the recipe needs is not installed: peft for adapters, bitsandbytes for moments of 8 bits.
    """
    needed = {"peft": recipe.model.lora is not None, "bitsandbytes": recipe.optimizer.state_bits == 8}
    if any(is_needed and importlib.util.find_spec(name) is None for name, is_needed in needed.items()):
        return None
    rows = _rows(recipe, settings)
    batch = micro_batches(rows, sum(len(row.prompt_ids) + len(row.completion_ids) for row in rows), _HOST)
    update = update_settings(recipe, engine_is_exact=recipe.model.dtype == "float32" and settings.rollout_rows > 0)
    policy, reference = _models(recipe, shape, settings)
    with _one_lane(), metered() as (meter, fake):
        for one in (policy, reference):
            if one is not None:
                without_numbers(one.model)
                if settings.on_cpu:  # a model of a GPU is faked as one of the host, which has kernels of its own
                    use_kernels(one.model)
        optimizer = MasterOptimizer(policy.model, recipe.optimizer)
        optimizer.step(0.0)  # makes the moments
        elsewhere = _in_host_memory(optimizer, shape, settings)
        batches = [one for one in fake(tuple(batch)) for _ in range(2)]
        meter.from_here()
        update_policy(policy, reference, optimizer, batches, update, lr_factor=1.0)
        updating = meter.peak - elsewhere
        del batches
        sampling = max(_sampling_peaks(recipe, policy, settings, meter), default=None)
    return TracedMemory(updating / GB, None if sampling is None else (sampling - elsewhere) / GB)


def _in_host_memory(optimizer: MasterOptimizer, shape: ModelShape, settings: MemorySettings) -> float:
    """Bytes that the trace counts and a GPU does not hold: offloaded states, and a reference once it has scored."""
    if settings.on_cpu:
        return 0.0
    states = sum(tensor.nbytes for tensor in optimizer.state_tensors().values()) if settings.offload else 0
    waits = settings.has_reference and settings.reference_waits
    return states + (shape.parameters * settings.value_bytes if waits else 0)


@contextmanager
def _one_lane() -> Iterator[None]:
    """A small model's micro-batches go to threads (`frugalrl.lanes`), which would not know that tensors are fake."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _models(recipe: TrainRecipe, shape: ModelShape, settings: MemorySettings) -> tuple[Policy, Policy | None]:
    """The policy that is trained, and the reference if there is one, on torch's meta device."""

    def made(checkpointing: bool) -> Policy:
        model = _model(recipe, shape, settings.rollout_tokens, checkpointing)
        return (Policy if settings.on_cpu else _GpuPolicy)(model, None, recipe.model.path)

    policy, lora = made(settings.checkpointing), recipe.model.lora
    if lora is not None:
        adapted = add_adapters(policy, lora, recipe.seed)
        for parameter in adapted.adapter_parameters():  # on the meta device peft leaves them in fp32
            parameter.data = parameter.data.to(DTYPES[recipe.model.dtype])
        kind = AdapterPolicy if settings.on_cpu else _GpuAdapterPolicy
        policy = kind(adapted.model, None, recipe.model.path, adapted.config, {})
        return policy, reference_of(policy) if recipe.algorithm.loss.kl_coef else None
    if recipe.algorithm.loss.kl_coef == 0:
        return policy, None
    reference = made(checkpointing=False)
    reference.model.requires_grad_(False)
    return policy, reference


def _model(recipe: TrainRecipe, shape: ModelShape, positions: int, checkpointing: bool) -> Any:
    """As `load_policy` makes it, on torch's meta device."""
    import transformers

    quiet_transformers()
    config, dtype = shape.to_config(positions), DTYPES[recipe.model.dtype]
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    model.eval()
    if checkpointing:
        enable_checkpointing(model)
    return model


def _rows(recipe: TrainRecipe, settings: MemorySettings) -> list[TrainingRow]:
    """Completions at their longest: of each prompt, or each to a prompt of its own, and one that fills the rest."""
    if settings.by_prompt:
        prompt, completion = likely_prompt(recipe), settings.loss_tokens // sum(settings.by_prompt)
        return [_row(one, prompt, completion) for one, count in enumerate(settings.by_prompt) for _ in range(count)]
    longest = min(settings.update_tokens, settings.micro_batch_tokens)
    prompt = min(recipe.rollout.max_prompt_tokens, longest - 1)
    left = settings.micro_batch_tokens % longest
    lengths = [longest] * (settings.micro_batch_tokens // longest) + [left] * (left > prompt)
    return [_row(number, prompt, length - prompt) for number, length in enumerate(lengths)]


def _row(number: int, prompt: int, completion: int) -> TrainingRow:
    return TrainingRow(
        prompt_ids=(*([0] * (prompt - 1)), number),
        completion_ids=(0,) * completion,
        rollout_logprobs=(-1.0,) * completion,
        advantage=1.0,
        token_weight=1.0 / completion,
        loss_mask=(True,) * completion,
        policy_versions=(0,) * completion,
    )


def _sampling_peaks(
    recipe: TrainRecipe, policy: Policy, settings: MemorySettings, meter: StorageMeter
) -> Iterable[float]:
    """Of rollouts, and of evaluations where they have rows or a cap of their own."""
    if settings.on_cpu and recipe.model.dtype != "float32":
        return
    merges = isinstance(policy, AdapterPolicy) and settings.merged_parameters > 0
    for rows, tokens in (
        (settings.rollout_rows, settings.rollout_tokens),
        (settings.evaluation_rows, settings.evaluation_tokens),
    ):
        if rows > 0:
            with _merged(policy, meter) if merges else nullcontext():
                yield _sampled(recipe, policy, settings.on_cpu, rows, tokens, meter)


def _merged(policy: Policy, meter: StorageMeter) -> AbstractContextManager[None]:
    """The merged weights of adapters that have been trained."""
    assert isinstance(policy, AdapterPolicy)

    @contextmanager
    def within() -> Iterator[None]:
        meter.yes_or_no = True  # some of each adapter is not zero
        with policy.merged():
            meter.yes_or_no = False
            yield

    return within()


def _sampled(recipe: TrainRecipe, policy: Policy, on_cpu: bool, rows: int, tokens: int, meter: StorageMeter) -> float:
    """Peak of starting so many completions and drawing a token of each, with a cache for so many tokens of each."""
    rollout = recipe.rollout
    prompt = min(rollout.max_prompt_tokens, tokens - 1)
    sampling = SamplingParams(tokens - prompt, rollout.temperature, rollout.top_p, rollout.top_k)
    engine = (TorchEngine if on_cpu else _GpuEngine)(policy.model, frozenset(), rows)
    gc.collect()  # fake tensors lie in cycles, real ones do not
    meter.from_here()
    with torch.no_grad():
        decoder = engine.decoder(tokens)
        weights = decoder.weights
        columns = -(-tokens // CACHE_STEP_TOKENS) * CACHE_STEP_TOKENS
        cache = SdpaCache(weights.shape, max(rows, FEWEST_ROWS), columns, weights.dtype, _HOST, "efficient")
        flight = Flight(decoder, cache, sampling, [], _HOST)  # what it holds of each row
        decoder.prefill(cache, [(0,) * prompt], [rows], 0)
        positions = torch.full((max(rows, FEWEST_ROWS),), tokens - 1)
        logits = decoder.decode(cache, torch.zeros_like(positions), positions, columns)
        draw_tokens(logits, torch.zeros(len(positions), dtype=torch.float64), sampling)
        del flight
    return meter.peak
