"""The rollout engine in process: samples with the policy's own weights, on CPU or one GPU, without a server.

Continuous batching over a fixed number of cache rows: a prompt is prefilled once for all its completions, a
finished sequence leaves the batch at once, and the next prompt takes its rows. Log-probabilities are exact in
fp32 (within 1e-4 of transformers' forward pass; a test holds them to it), so they can serve as old log-probs.
"""

import copy
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from frugalrl.errors import ModelError
from frugalrl.rollout.decoder import KeyValueCache, decode, prefill
from frugalrl.rollout.engine import (
    RolloutRequest,
    SampledSequence,
    SamplingParams,
    SharedModel,
    WeightFolder,
    WeightSource,
)
from frugalrl.rollout.memory import is_out_of_memory
from frugalrl.rollout.sampling import draw_tokens, refuse_broken, uniform_stream
from frugalrl.types import FinishReason

logger = logging.getLogger(__name__)

PREFILL_TOKENS = 16384
"""Padded prompt tokens in one forward pass: bounds the activations of a prefill."""
CACHE_STEP_TOKENS = 64
"""The cache grows to multiples of this, so that slightly longer prompts do not reallocate it."""


@dataclass(frozen=True)
class _Part:
    """Completions of one request that start together."""

    request: int
    first_sample: int
    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]


class TorchEngine:
    """Samples from a transformers causal LM of the Qwen2, Qwen3 or Llama family."""

    def __init__(self, model: Any, end_token_ids: frozenset[int], max_sequences: int, policy_version: int = 0) -> None:
        """model: shared with the caller. max_sequences: cache rows, and so the largest batch."""
        self._model = model
        self._owns_model = False
        self._end_tokens = torch.tensor(sorted(end_token_ids), device=model.device)
        self._max_sequences = max_sequences
        self._policy_version = policy_version
        self._cache: KeyValueCache | None = None

    @property
    def logprobs_are_exact(self) -> bool:
        return bool(self._model.dtype == torch.float32)

    @property
    def metrics(self) -> Mapping[str, float]:
        return {}

    def close(self) -> None:
        """Free the cache."""
        self._cache = None

    def load_weights(self, source: WeightSource, policy_version: int) -> None:
        """A shared model is used directly; a folder is loaded into the engine's own model."""
        match source:
            case SharedModel(model):
                self._model, self._owns_model = model, False
            case WeightFolder(path):
                tensors = _read_tensors(path, self._model)
                if not self._owns_model:  # never change the trainer's model
                    self._model, self._owns_model = copy.deepcopy(self._model), True
                self._model.load_state_dict(tensors, strict=False)
            case _:
                raise ModelError(
                    f"The torch engine cannot load weights from a {type(source).__name__}. Give it a SharedModel or a "
                    "WeightFolder."
                )
        self._policy_version = policy_version

    def generate(self, requests: Sequence[RolloutRequest], sampling: SamplingParams) -> list[list[SampledSequence]]:
        """See `RolloutEngine.generate`. Uses fewer rows from then on if memory runs out.

        A sequence does not depend on its batch (exactly in fp32), so a retry loses nothing.
        """
        while True:
            try:
                return self._generate(requests, sampling)
            except RuntimeError as error:
                if not is_out_of_memory(error) or self._max_sequences == 1:
                    raise
            self._cache = None
            torch.cuda.empty_cache()
            self._max_sequences = -(-self._max_sequences // 2)
            logger.warning(
                "Out of memory in a rollout: %d sequences at once from here on. Set rollout.max_sequences and "
                "evaluation.max_sequences to start with them.",
                self._max_sequences,
            )

    @torch.inference_mode()
    def _generate(self, requests: Sequence[RolloutRequest], sampling: SamplingParams) -> list[list[SampledSequence]]:
        results: list[list[SampledSequence | None]] = [[None] * len(request.seeds) for request in requests]
        queue = deque(self._parts(requests))
        batch = _Batch(self._cache_for(requests, sampling), sampling, self._end_tokens)
        while queue or batch.size:
            new = self._admit(queue, batch.size)
            logits = batch.decode(self._model)
            for parts in new:
                logits.append(batch.prefill(self._model, parts))
            for request, sample, token_ids, logprobs, stopped in batch.draw(torch.cat(logits)):
                reason: FinishReason = "stop" if stopped else "length"
                versions = (self._policy_version,) * len(token_ids)
                results[request][sample] = SampledSequence(token_ids, logprobs, reason, versions)
        return [[sequence for sequence in row if sequence is not None] for row in results]

    def _parts(self, requests: Sequence[RolloutRequest]) -> list[_Part]:
        """Requests cut so that each part fits the cache's rows."""
        return [
            _Part(index, first, request.prompt_ids, request.seeds[first : first + self._max_sequences])
            for index, request in enumerate(requests)
            for first in range(0, len(request.seeds), self._max_sequences)
        ]

    def _admit(self, queue: deque[_Part], busy: int) -> list[list[_Part]]:
        """Parts to start now, in prefill batches. Waits until an eighth of the rows is free: a prefill for
        each single free row would cost more than the row."""
        free = self._max_sequences - busy
        if busy and free < self._max_sequences // 8:
            return []
        batches: list[list[_Part]] = []
        width = 0
        while queue and len(queue[0].seeds) <= free:
            part = queue.popleft()
            free -= len(part.seeds)
            width = max(width, len(part.prompt_ids))
            if not batches or width * (len(batches[-1]) + 1) > PREFILL_TOKENS:
                batches.append([])
                width = len(part.prompt_ids)
            batches[-1].append(part)
        return batches

    def _cache_for(self, requests: Sequence[RolloutRequest], sampling: SamplingParams) -> KeyValueCache:
        longest = max((len(request.prompt_ids) for request in requests), default=0)
        needed = longest + sampling.max_completion_tokens
        if self._cache is None or self._cache.tokens < needed:
            self._cache = None  # freed before the larger one is made
            rounded = -(-needed // CACHE_STEP_TOKENS) * CACHE_STEP_TOKENS
            self._cache = KeyValueCache(self._model, self._max_sequences, rounded)
        return self._cache


def _read_tensors(folder: Path, model: Any) -> dict[str, Tensor]:
    """A folder's weights, checked against a model: each tensor once, by name and shape. Raises ModelError."""
    try:
        files = sorted(folder.glob("model*.safetensors"))
        tensors = {name: tensor for file in files for name, tensor in safetensors.torch.load_file(file).items()}
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"The weights in {folder} cannot be read: {error}. Give a folder in Hub layout.") from None
    if not files:
        raise ModelError(f"There are no weights (model*.safetensors) in {folder}. Give a folder in Hub layout.")
    own = model.state_dict()
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    wrong = dict.fromkeys(own.keys() - tensors.keys() - tied, "missing")
    wrong |= dict.fromkeys(tensors.keys() - own.keys(), "unknown")
    wrong |= {
        name: "of another shape" for name in own.keys() & tensors.keys() if own[name].shape != tensors[name].shape
    }
    if wrong:
        shown = ", ".join(f"{name} is {what}" for name, what in sorted(wrong.items())[:3])
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise ModelError(f"The weights in {folder} do not fit the engine's model: {shown}{more}. Give a folder of it.")
    return tensors


Finished = tuple[int, int, tuple[int, ...], tuple[float, ...], bool]
"""Request, sample, token ids, log-probs, and whether an end token was sampled."""


class _Batch:
    """The sequences in flight: row i of every tensor and of the cache is one of them, for i < size."""

    def __init__(self, cache: KeyValueCache, sampling: SamplingParams, end_tokens: Tensor) -> None:
        rows, cap, device = cache.rows, sampling.max_completion_tokens, cache.keys.device
        self._cache, self._sampling, self._end_tokens = cache, sampling, end_tokens
        self._owners: list[tuple[int, int]] = []
        self._prompt_tokens = torch.zeros(rows, dtype=torch.int64, device=device)
        self._drawn = torch.zeros_like(self._prompt_tokens)
        self._uniforms = torch.zeros(rows, cap, dtype=torch.float64, device=device)
        self._tokens = torch.zeros(rows, cap, dtype=torch.int64, device=device)
        self._logprobs = torch.zeros(rows, cap, dtype=torch.float32, device=device)

    @property
    def size(self) -> int:
        return len(self._owners)

    def decode(self, model: Any) -> list[Tensor]:
        """Logits of the rows in flight, as a list of one; of none if there are none."""
        if not self.size:
            return []
        n = self.size
        last = self._drawn[:n] - 1
        tokens = self._tokens[torch.arange(n, device=last.device), last]
        return [decode(model, self._cache, tokens, self._prompt_tokens[:n] + last)]

    def prefill(self, model: Any, parts: list[_Part]) -> Tensor:
        """Start sequences after those in flight; returns their first logits."""
        row = self.size
        copies = [len(part.seeds) for part in parts]
        logits = prefill(model, self._cache, [part.prompt_ids for part in parts], copies, row)
        for part in parts:
            for sample, seed in enumerate(part.seeds, start=part.first_sample):
                self._prompt_tokens[self.size] = len(part.prompt_ids)
                stream = uniform_stream(seed, self._sampling.max_completion_tokens)
                self._uniforms[self.size] = torch.from_numpy(stream)
                self._owners.append((part.request, sample))
        self._drawn[row : self.size] = 0
        return logits

    def draw(self, logits: Tensor) -> list[Finished]:
        """Sample a token for every row; remove the finished rows and return them."""
        n = self.size
        rows, drawn = torch.arange(n, device=logits.device), self._drawn[:n]
        tokens, logprobs = draw_tokens(logits, self._uniforms[rows, drawn], self._sampling)
        self._tokens[rows, drawn] = tokens
        self._logprobs[rows, drawn] = logprobs
        self._drawn[:n] += 1
        stopped = torch.isin(tokens, self._end_tokens)
        # A row with non-finite logits leaves with the finished ones, so that the check costs no extra sync.
        done = stopped | (self._drawn[:n] >= self._sampling.max_completion_tokens) | ~logprobs.isfinite()
        if not done.any():
            return []
        refuse_broken(logprobs)
        return self._retire(done.nonzero().squeeze(-1).tolist(), stopped.tolist())

    def _retire(self, done: list[int], stopped: list[bool]) -> list[Finished]:
        finished = []
        for row in done:
            count = int(self._drawn[row])
            token_ids = tuple(self._tokens[row, :count].tolist())
            logprobs = tuple(self._logprobs[row, :count].tolist())
            finished.append((*self._owners[row], token_ids, logprobs, stopped[row]))
        self._close_gaps(done)
        return finished

    def _close_gaps(self, done: list[int]) -> None:
        """Move the last rows in flight into the freed rows: only as many copies as gaps."""
        left = self.size - len(done)
        gone = set(done)
        targets = [row for row in done if row < left]
        sources = [row for row in range(left, self.size) if row not in gone]
        for source, target in zip(sources, targets, strict=True):
            self._owners[target] = self._owners[source]
        del self._owners[left:]
        if not targets:
            return
        device = self._tokens.device
        at, to = torch.tensor(sources, device=device), torch.tensor(targets, device=device)
        for tensor in (self._prompt_tokens, self._drawn, self._uniforms, self._tokens, self._logprobs):
            tensor[to] = tensor[at]
        self._cache.move_rows(at, to)
