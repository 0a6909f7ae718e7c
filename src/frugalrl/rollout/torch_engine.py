"""The rollout engine in process: samples on CPU or one GPU, without a server.

Continuous batching over a fixed number of cache rows: a prompt is read once for all its completions, a finished
sequence leaves the batch at once, and the next prompt takes its rows. Log-probabilities are exact in fp32 (within 1e-4
of transformers' forward pass; a test holds them to it), so they can serve as old log-probs.

The engine decodes from a packed copy of the weights (`packed_weights.py`). Where they come from a model in this
process, the copy is made at the start of `generate` and freed at its end, as the cache is: while the policy is updated,
the engine holds no memory.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from frugalrl.errors import ModelError
from frugalrl.lanes import Lanes, open_lanes
from frugalrl.rollout.blocked_cache import BlockedCache
from frugalrl.rollout.decoder import Decoder
from frugalrl.rollout.engine import (
    NamedTensors,
    OnFinished,
    RolloutRequest,
    SampledSequence,
    SamplingParams,
    SharedModel,
    WeightFolder,
    WeightSource,
)
from frugalrl.rollout.flight import Finished, Flight, Part
from frugalrl.rollout.graphs import PlainSteps, RecordedSteps, StepRunner, cuda_recorder
from frugalrl.rollout.kv_cache import SdpaCache, cache_row_bytes, make_cache
from frugalrl.rollout.memory import affordable_rows, free_bytes, is_out_of_memory
from frugalrl.rollout.packed_weights import Adapters, PackedWeights, model_shape, refuse_unfit
from frugalrl.rollout.projections import FEWEST_ROWS
from frugalrl.types import FinishReason

logger = logging.getLogger(__name__)

PREFILL_TOKENS = 16384
"""Padded prompt tokens in one forward pass: bounds the activations of a prefill."""
CACHE_STEP_TOKENS = 64
"""Columns of a cache are multiples of it."""
FEWEST_LANE_ROWS = 64
"""Fewer are not worth a lane of their own: 64 rows took 0.23 s in one lane and 0.30 s in two, 256 took 2.1 s and 1.6 s,
since lanes wait for each other between operations."""
LOGIT_COPIES = 6
"""fp32 copies of a row's logits that are alive at once while a token is drawn, top-p included."""


class TorchEngine:
    """Samples from a transformers causal LM of the Qwen2, Qwen3 or Llama family."""

    def __init__(
        self,
        model: Any,
        end_token_ids: frozenset[int],
        max_sequences: int,
        policy_version: int = 0,
        attention: str = "efficient",
    ) -> None:
        """model: shared with the caller; after `load_weights` from another source, of its weights nothing is used.
        max_sequences: cache rows, and so the largest batch. attention: on a GPU, see ATTENTION_BACKENDS."""
        self._config, self._dtype, self._device = model.config, model.dtype, model.device
        self._shape, self._shapes = model_shape(model.config), _tensor_shapes(model.config)
        self._parameters = sum(math.prod(shape) for shape in self._shapes.values())
        self._end_tokens = sorted(end_token_ids)
        self._max_sequences = max_sequences
        self._policy_version = policy_version
        self._attention = attention
        self._source: Any | None = model
        """The model that the weights are copied from at each `generate`; None if they were given."""
        self._weights: PackedWeights | None = None

    @property
    def logprobs_are_exact(self) -> bool:
        return bool(self._dtype == torch.float32)

    @property
    def metrics(self) -> Mapping[str, float]:
        return {}

    def rest(self) -> None:
        """See `RolloutEngine.rest`; nothing is held between rollouts."""

    def close(self) -> None:
        """Free the weights."""
        self._source, self._weights = None, None

    def load_weights(self, source: WeightSource, policy_version: int) -> None:
        """A shared model is read at the start of each `generate`; a folder or named tensors are read now and kept.

        Raises ModelError for weights that do not fit. A folder is checked before any of it is used; named tensors that
        turn out not to fit leave the engine without weights, and `generate` says so until others are loaded.
        """
        match source:
            case SharedModel(model):
                self._source, self._weights = model, None
            case WeightFolder(path):
                tensors = _read_tensors(path)
                refuse_unfit({name: tuple(tensor.shape) for name, tensor in tensors.items()}, self._shapes)
                self._keep(tensors.items())
            case NamedTensors(pairs):
                self._keep(pairs)
            case _:
                raise ModelError(
                    f"The torch engine cannot load weights from a {type(source).__name__}. Give it a SharedModel, a "
                    "WeightFolder or NamedTensors."
                )
        self._policy_version = policy_version

    def generate(
        self,
        requests: Sequence[RolloutRequest],
        sampling: SamplingParams,
        on_finished: OnFinished | None = None,
    ) -> list[list[SampledSequence]]:
        """See `RolloutEngine.generate`. Uses fewer rows from then on if memory runs out.

        A sequence does not depend on its batch (in fp32), so a retry loses nothing.
        """
        while True:
            try:
                return self._generate(requests, sampling, on_finished)
            except RuntimeError as error:
                if not is_out_of_memory(error) or self._max_sequences == 1:
                    raise
            torch.cuda.empty_cache()
            self._max_sequences = -(-self._max_sequences // 2)
            logger.warning(
                "Out of memory in a rollout: %d sequences at once from here on. Set rollout.max_sequences and "
                "evaluation.max_sequences to start with them.",
                self._max_sequences,
            )

    def _generate(
        self, requests: Sequence[RolloutRequest], sampling: SamplingParams, on_finished: OnFinished | None
    ) -> list[list[SampledSequence]]:
        if not requests:
            return []
        longest = max(len(request.prompt_ids) for request in requests) + sampling.max_completion_tokens
        tokens = -(-longest // CACHE_STEP_TOKENS) * CACHE_STEP_TOKENS
        results: list[list[SampledSequence | None]] = [[None] * len(request.seeds) for request in requests]
        with open_lanes(self._parameters, self._device) as lanes:
            decoder = self.decoder(longest)
            rows = self._rows_for(requests, tokens, decoder.weights.dtype)
            used = max(1, min(lanes.count, rows // FEWEST_LANE_ROWS))
            own_rows = -(-rows // used)
            parts = _parts(requests, own_rows)
            shares = [(decoder, parts[lane::used], own_rows, tokens, sampling) for lane in range(used)]

            def keep(done: Finished) -> None:
                request, sample = done.owner
                sequence = results[request][sample] = self._sequence(done)
                if on_finished is not None:
                    on_finished(request, sample, sequence)

            for _ in lanes.map(lambda share: self._sample(*share, lanes, keep), shares):
                pass
        return [[sequence for sequence in row if sequence is not None] for row in results]

    def _sequence(self, done: Finished) -> SampledSequence:
        versions = (self._policy_version,) * len(done.token_ids)
        reason: FinishReason = "stop" if done.stopped else "length"
        return SampledSequence(done.token_ids, done.logprobs, reason, versions)

    @torch.inference_mode()
    def _sample(
        self,
        decoder: Decoder,
        parts: Sequence[Part],
        rows: int,
        tokens: int,
        sampling: SamplingParams,
        lanes: Lanes,
        keep: Callable[[Finished], None],
    ) -> None:
        """Sample the completions of some parts. keep: called with each when it is finished, in this thread."""
        dtype = decoder.weights.dtype
        cache = make_cache(self._shape, max(rows, FEWEST_ROWS), tokens, dtype, self._device, self._attention)
        flight = Flight(decoder, cache, sampling, self._end_tokens, self._device)
        runner = self._runner(cache)
        exact = dtype == torch.float32 and self._device.type == "cpu"
        queue = deque(parts)
        while (queue or flight.size) and not lanes.is_left:
            new = _admitted(queue, flight.size, rows)
            if flight.size:
                flight.step(runner)
            if new:
                flight.start(new, _prefill_batches(new, alone=exact))
            for done in flight.retire():
                keep(done)

    @torch.no_grad()
    def decoder(self, positions: int) -> Decoder:
        """The weights, packed now if they come from a model in this process, for so many positions of a sequence.

        Raises ModelError if there are none.
        """
        weights = self._weights
        if weights is None and self._source is not None:
            weights = self._empty_weights(_adapters(self._source))
            weights.fill(_plain_tensors(self._source))
        if weights is None:
            raise ModelError("The engine has no weights: the last ones did not fit, or it was closed. Load others.")
        cos, sin = (table.to(self._device) for table in _rotations(self._config, positions))
        return Decoder(weights, _activation(self._config), cos, sin)

    def _keep(self, tensors: Iterable[tuple[str, Tensor]]) -> None:
        self._source, self._weights = None, None
        with torch.no_grad():
            weights = self._empty_weights()
            weights.fill(tensors)
        self._weights = weights

    def _empty_weights(self, adapters: Adapters | None = None) -> PackedWeights:
        return PackedWeights(self._shapes, self._shape, self._dtype, self._device, adapters or {})

    def _rows_for(self, requests: Sequence[RolloutRequest], tokens: int, dtype: torch.dtype) -> int:
        """As many as there are sequences, unless the caller or the device's memory allows fewer."""
        wanted = min(self._max_sequences, sum(len(request.seeds) for request in requests))
        row_bytes = cache_row_bytes(self._shape, tokens, dtype) + 4 * LOGIT_COPIES * self._shape.vocabulary
        rows = affordable_rows(wanted, row_bytes, free_bytes(self._device))
        if rows < wanted:
            logger.info("The free memory holds %d sequences at once, of %d.", rows, wanted)
        return rows

    def _runner(self, cache: SdpaCache | BlockedCache) -> StepRunner:
        if self._device.type != "cuda":
            return PlainSteps(cache.tokens)
        return RecordedSteps(cache.rows, cache.tokens, cuda_recorder())


def _parts(requests: Sequence[RolloutRequest], rows: int) -> list[Part]:
    """Requests cut so that each part fits so many rows."""
    return [
        Part(index, first, request.prompt_ids, request.seeds[first : first + rows])
        for index, request in enumerate(requests)
        for first in range(0, len(request.seeds), rows)
    ]


def _admitted(queue: deque[Part], busy: int, rows: int) -> list[Part]:
    """Parts to start now. Waits until an eighth of the rows is free: a prefill for each single free row would cost
    more than the row."""
    free = rows - busy
    if busy and free < rows // 8:
        return []
    admitted: list[Part] = []
    while queue and len(queue[0].seeds) <= free:
        admitted.append(queue.popleft())
        free -= len(admitted[-1].seeds)
    return admitted


def _prefill_batches(parts: Sequence[Part], alone: bool) -> list[list[Part]]:
    """Parts whose prompts are read together. alone: each by itself, so that its sums do not depend on the others."""
    batches: list[list[Part]] = []
    width = 0
    for part in parts:
        width = max(width, len(part.prompt_ids))
        if not batches or alone or width * (len(batches[-1]) + 1) > PREFILL_TOKENS:
            batches.append([])
            width = len(part.prompt_ids)
        batches[-1].append(part)
    return batches


def _tensor_shapes(config: Any) -> dict[str, tuple[int, ...]]:
    """The tensors of a checkpoint of this model: of a plain one, whatever was done to the model at hand."""
    import transformers

    with torch.device("meta"):
        plain = transformers.AutoModelForCausalLM.from_config(config)
    return {name: tuple(parameter.shape) for name, parameter in plain.named_parameters()}


def _activation(config: Any) -> Callable[[Tensor], Tensor]:
    from transformers.activations import ACT2FN

    return F.silu if config.hidden_act == "silu" else ACT2FN[config.hidden_act]


def _rotations(config: Any, positions: int) -> tuple[Tensor, Tensor]:
    """cos and sin, float32 [positions, D/2], as transformers computes them for this configuration.

    Not for more positions than are used: beyond the context of a model some kinds of scaling change all of them.
    """
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    cos, sin = LlamaRotaryEmbedding(config)(torch.zeros(1), torch.arange(positions)[None])
    half = cos.shape[-1] // 2
    return cos[0, :, :half], sin[0, :, :half]


def _plain_tensors(model: Any) -> Iterable[tuple[str, Tensor]]:
    """A model's parameters by the names of a plain checkpoint; peft keeps an adapted layer's own under another."""
    for name, parameter in model.named_parameters():
        if ".lora_A." not in name and ".lora_B." not in name:
            yield name.replace(".base_layer.", "."), parameter


def _adapters(model: Any) -> Adapters:
    """The LoRA adapters that peft injected into a model and that are switched on, by the path of their layer."""
    found = {}
    for path, layer in model.named_modules():
        if hasattr(layer, "lora_A") and not layer.disable_adapters:
            (name,) = layer.active_adapters
            found[path] = (layer.lora_A[name].weight, layer.lora_B[name].weight * layer.scaling[name])
    return found


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    """A folder's weights. Raises ModelError."""
    try:
        files = sorted(folder.glob("model*.safetensors"))
        tensors = {name: tensor for file in files for name, tensor in safetensors.torch.load_file(file).items()}
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"The weights in {folder} cannot be read: {error}. Give a folder in Hub layout.") from None
    if not files:
        raise ModelError(f"There are no weights (model*.safetensors) in {folder}. Give a folder in Hub layout.")
    return tensors
