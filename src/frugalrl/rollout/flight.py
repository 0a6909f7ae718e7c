"""The sequences in flight: what each has drawn, where it stands, and the step that feeds and draws one token of all.

Row i of every tensor and of the cache is one sequence, for i < size. Everything that a step reads or writes lies in
tensors that are allocated once, and what the host needs to know (how long a row is) it counts itself; so a step asks
the device one thing only, which rows are done, and can be recorded as a CUDA graph (`graphs.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from frugalrl.rollout.blocked_cache import BlockedCache
from frugalrl.rollout.decoder import Decoder
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.graphs import StepRunner
from frugalrl.rollout.kv_cache import SdpaCache
from frugalrl.rollout.projections import FEWEST_ROWS
from frugalrl.rollout.sampling import draw_tokens, refuse_broken, uniform_stream


@dataclass(frozen=True)
class Part:
    """Completions of one request that start together."""

    request: int
    first_sample: int
    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Finished:
    """One completion."""

    owner: tuple[int, int]
    """Request and sample."""
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    stopped: bool
    """Whether an end token was sampled."""


class Flight:
    """Starts, steps and retires sequences."""

    def __init__(
        self,
        decoder: Decoder,
        cache: SdpaCache | BlockedCache,
        sampling: SamplingParams,
        end_tokens: Sequence[int],
        device: torch.device,
    ) -> None:
        rows, cap = cache.rows, sampling.max_completion_tokens
        self._decoder, self._cache, self._sampling, self._device = decoder, cache, sampling, device
        self._ends = torch.zeros(decoder.weights.shape.vocabulary, dtype=torch.bool, device=device)
        self._ends[[token for token in end_tokens if token < len(self._ends)]] = True
        self._owners: list[tuple[int, int]] = []
        self._host_held = np.zeros(rows, dtype=np.int64)
        """Tokens of each row, prompt and drawn: the same numbers as on the device, without asking it."""
        self._prompt_tokens = torch.zeros(rows, dtype=torch.int64, device=device)
        self._drawn = torch.ones_like(self._prompt_tokens)
        self._uniforms = torch.zeros(rows, cap, dtype=torch.float64, device=device)
        self._tokens = torch.zeros(rows, cap, dtype=torch.int64, device=device)
        self._logprobs = torch.zeros(rows, cap, dtype=torch.float32, device=device)
        self._stopped = torch.zeros(rows, dtype=torch.bool, device=device)
        self._done = torch.zeros(rows, dtype=torch.bool, device=device)
        restricted = sampling.top_p < 1 or sampling.top_k > 0
        self._logits = torch.zeros(rows, len(self._ends), device=device) if restricted else None
        """Of a step, where a draw sorts the vocabulary, which cannot be recorded."""

    @property
    def size(self) -> int:
        return len(self._owners)

    def start(self, parts: Sequence[Part], batches: Sequence[Sequence[Part]]) -> None:
        """Start parts after the sequences in flight, and draw their first tokens. batches: the parts, in order, as
        their prompts are read together."""
        first = row = self.size
        hidden = []
        for batch in batches:
            copies = [len(part.seeds) for part in batch]
            hidden.append(self._decoder.prefill(self._cache, [part.prompt_ids for part in batch], copies, row))
            row += sum(copies)
        repeats = torch.tensor([len(part.seeds) for part in parts], device=self._device)
        logits = self._decoder.logits(torch.cat(hidden)).repeat_interleave(repeats, dim=0)
        lengths = [len(part.prompt_ids) for part in parts for _ in part.seeds]
        streams = [uniform_stream(seed, self._sampling.max_completion_tokens) for part in parts for seed in part.seeds]
        self._owners += [(part.request, part.first_sample + i) for part in parts for i in range(len(part.seeds))]
        self._host_held[first:row] = lengths
        self._prompt_tokens[first:row] = torch.tensor(lengths, device=self._device)
        self._uniforms[first:row] = torch.from_numpy(np.stack(streams)).to(self._device)
        self._drawn[first:row] = 0
        self._draw(logits, first)
        self._host_held[first:row] += 1

    def step(self, runner: StepRunner) -> None:
        """Feed the last token of every row, and draw the next."""
        rows, longest = max(self.size, FEWEST_ROWS), int(self._host_held[: self.size].max())
        if self._logits is None:
            runner.run(self._feed_and_draw, rows, longest)
        else:
            runner.run(self._feed, rows, longest)
            self._draw(self._logits[:rows], 0)
        self._host_held[: self.size] += 1

    def retire(self) -> list[Finished]:
        """Remove the rows that are done, and return them. Raises ModelError if one had logits that are not finite."""
        done = self._done[: self.size].nonzero().squeeze(-1).tolist()
        if not done:
            return []
        rows = torch.tensor(done, device=self._device)
        refuse_broken(self._logprobs[rows, self._drawn[rows] - 1])
        stopped, drawn = self._stopped[rows].tolist(), self._drawn[rows].tolist()
        tokens, logprobs = self._tokens[rows].cpu(), self._logprobs[rows].cpu()
        finished = [
            Finished(
                self._owners[row],
                tuple(tokens[i, :count].tolist()),
                tuple(logprobs[i, :count].tolist()),
                stopped[i],
            )
            for i, (row, count) in enumerate(zip(done, drawn, strict=True))
        ]
        self._close_gaps(done)
        return finished

    def _feed_and_draw(self, rows: int, width: int) -> None:
        """On the device alone, with nothing but the two shapes from outside. Rows that hold no sequence are fed as
        well, and what they draw means nothing."""
        self._draw(self._next_logits(rows, width), 0)

    def _feed(self, rows: int, width: int) -> None:
        if self._logits is not None:
            self._logits[:rows] = self._next_logits(rows, width)

    def _next_logits(self, rows: int, width: int) -> Tensor:
        last = (self._drawn[:rows] - 1).clamp(min=0, max=self._sampling.max_completion_tokens - 1)
        tokens = self._tokens[:rows].gather(1, last[:, None]).squeeze(1)
        positions = (self._prompt_tokens[:rows] + last).clamp(max=width - 1)
        return self._decoder.decode(self._cache, tokens, positions, width)

    def _draw(self, logits: Tensor, first: int) -> None:
        """Draw a token for rows `first` to `first` + B."""
        rows, cap = slice(first, first + logits.shape[0]), self._sampling.max_completion_tokens
        at = self._drawn[rows].clamp(max=cap - 1)[:, None]
        tokens, logprobs = draw_tokens(logits, self._uniforms[rows].gather(1, at).squeeze(1), self._sampling)
        self._tokens[rows].scatter_(1, at, tokens[:, None])
        self._logprobs[rows].scatter_(1, at, logprobs[:, None])
        self._drawn[rows] += 1
        self._stopped[rows] = self._ends[tokens]
        # A row with non-finite logits leaves with the finished ones, so that the check costs no extra sync.
        self._done[rows] = self._stopped[rows] | (self._drawn[rows] >= cap) | ~logprobs.isfinite()

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
        self._host_held[targets] = self._host_held[sources]
        at, to = torch.tensor(sources, device=self._device), torch.tensor(targets, device=self._device)
        for tensor in (self._prompt_tokens, self._drawn, self._uniforms, self._tokens, self._logprobs):
            tensor[to] = tensor[at]
        self._cache.move_rows(at, to)
