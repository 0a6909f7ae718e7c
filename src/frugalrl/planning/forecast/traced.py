"""Peak memory of a run from the program's own code, on tensors that have shapes and no numbers.

The update is `update_policy` with the recipe's policy, reference, optimizer and loss, on two full micro-batches: at the
second one gradients are there already. The rollout is the engine's own decoder and cache with all rows at their
longest, in fp32 on a CPU; elsewhere the engine's weights have a layout that fake tensors cannot take. It takes some
seconds of processor time, whatever the size of the model, and hardly any memory.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from frugalrl.config.schema import TrainRecipe
from frugalrl.planning.forecast.memory import GB, MemorySettings
from frugalrl.planning.forecast.shape import ModelShape
from frugalrl.planning.forecast.storage_meter import StorageMeter, metered
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.flight import Flight
from frugalrl.rollout.kv_cache import SdpaCache
from frugalrl.rollout.projections import FEWEST_ROWS
from frugalrl.rollout.sampling import draw_tokens
from frugalrl.rollout.torch_engine import CACHE_STEP_TOKENS, TorchEngine
from frugalrl.training.batching import TrainingRow, micro_batches
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.model.policy import DTYPES, Policy, enable_checkpointing, quiet_transformers
from frugalrl.training.rules import update_settings
from frugalrl.training.update import update_policy

_HOST = torch.device("cpu")


@dataclass(frozen=True)
class TracedMemory:
    """Gigabytes of tensors at the peak of each phase, without the process itself."""

    update_gb: float
    rollout_gb: float | None
    """Of a rollout or an evaluation, whichever is larger; None where it was not traced."""


class _GpuPolicy(Policy):
    """With products as a GPU's come out. Fake tensors of a GPU would need a torch that was built for one."""

    @property
    def wide_products(self) -> bool:
        return True


def traced_memory(recipe: TrainRecipe, shape: ModelShape, settings: MemorySettings) -> TracedMemory | None:
    """What the code of a run allocates at its peak, in one lane.

    None with adapters, which peft cannot put among fake weights, with moments of 8 bits, which torch does not compute,
    and with states on the host, whose tensors would count as the device's."""
    states = recipe.optimizer
    if recipe.model.lora is not None or states.state_bits == 8 or states.offload:
        return None
    on_cpu = settings.on_cpu
    batch = micro_batches(_rows(recipe, settings), settings.micro_batch_tokens, _HOST)
    update = update_settings(recipe, engine_is_exact=recipe.model.dtype == "float32" and settings.rollout_rows > 0)
    rollouts = [
        (settings.rollout_rows, settings.rollout_tokens),
        (settings.evaluation_rows, settings.evaluation_tokens),
    ]
    with _one_lane(), metered() as (meter, fake):
        policy, reference = _models(recipe, shape, settings, on_cpu)
        optimizer = MasterOptimizer(policy.model, recipe.optimizer)
        optimizer.step(0.0)  # makes the moments
        batches = [one for one in fake(tuple(batch)) for _ in range(2)]
        meter.from_here()
        update_policy(policy, reference, optimizer, batches, update, lr_factor=1.0)
        updating = meter.peak
        if settings.reference_waits:  # it is on the host again once it has scored
            updating -= shape.parameters * settings.value_bytes
        del batches
        is_traceable = on_cpu and recipe.model.dtype == "float32"
        sampling = [
            _sampled(recipe, policy, rows, tokens, meter) for rows, tokens in rollouts if rows > 0 and is_traceable
        ]
    return TracedMemory(updating / GB, max(sampling) / GB if sampling else None)


@contextmanager
def _one_lane() -> Iterator[None]:
    """A small model's micro-batches go to threads (`frugalrl.lanes`), which would not know that tensors are fake."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _models(
    recipe: TrainRecipe, shape: ModelShape, settings: MemorySettings, on_cpu: bool
) -> tuple[Policy, Policy | None]:
    """The policy that is trained, and the reference if there is one."""

    def made(checkpointing: bool) -> Policy:
        model = _model(recipe, shape, settings.rollout_tokens, checkpointing)
        return (Policy if on_cpu else _GpuPolicy)(model, None, recipe.model.path)

    policy = made(settings.checkpointing)
    if recipe.algorithm.loss.kl_coef == 0:
        return policy, None
    reference = made(checkpointing=False)
    reference.model.requires_grad_(False)
    return policy, reference


def _model(recipe: TrainRecipe, shape: ModelShape, positions: int, checkpointing: bool) -> Any:
    """As `load_policy` makes it, with weights that have no numbers."""
    import transformers

    quiet_transformers()
    config, dtype = shape.to_config(positions), DTYPES[recipe.model.dtype]
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    model.eval()
    if checkpointing:
        enable_checkpointing(model)
    return model


def _rows(recipe: TrainRecipe, settings: MemorySettings) -> list[TrainingRow]:
    """A full micro-batch: completions at their longest, each to a prompt of its own, and one that fills the rest."""
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


def _sampled(recipe: TrainRecipe, policy: Policy, rows: int, tokens: int, meter: StorageMeter) -> float:
    """Peak of starting so many completions and drawing a token of each, with a cache for so many tokens of each."""
    rollout = recipe.rollout
    prompt = min(rollout.max_prompt_tokens, tokens - 1)
    sampling = SamplingParams(tokens - prompt, rollout.temperature, rollout.top_p, rollout.top_k)
    engine = TorchEngine(policy.model, frozenset(), rows)
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
