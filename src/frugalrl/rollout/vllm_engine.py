"""The rollout engine behind vLLM servers: token ids over HTTP, several servers sharing the load, weights pushed.

Decisions:
- One request for each completion, with its own seed: what a fault or an abort loses is sampled again, alike.
- Every token keeps the version of the weights that sampled it. Tokens of weights that this run never sent are dropped.
- After each update of the weights every server is probed (server/freshness.py); a stale one ends the run.
- A server that fails is brought back with the same weights, and given up after `max_restarts` faults; the run ends when
  none is left.

In fp32 the log-probs are the trainer's within 6e-6, in bf16 within 0.2 nats (docs/servers.md).
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch

from frugalrl.algorithms.logprobs import token_logprobs
from frugalrl.errors import ModelError
from frugalrl.rollout.engine import (
    AdapterFolder,
    OnFinished,
    RolloutRequest,
    SampledSequence,
    SamplingParams,
    SharedModel,
    WeightSource,
)
from frugalrl.rollout.server.client import ServerFault
from frugalrl.rollout.server.fleet import Assignment
from frugalrl.rollout.server.freshness import Bounds, Gap, after_first, bounds_for, ceiling_of, staleness
from frugalrl.rollout.server.member import Member, Probe
from frugalrl.rollout.server.protocol import UnknownVersionError, UnusableReplyError, read_completion, sampling_request
from frugalrl.rollout.server.transfer import AdapterTransfer, Transfer

_PROBE_TOKENS = 64
"""Of a completion of the probe: 16 of them are about 1,000 tokens, scored in less than a second."""


@dataclass(frozen=True)
class ProbeSettings:
    """How servers are probed."""

    prompts: tuple[tuple[int, ...], ...]
    """Real ones of the run; completions of them are sampled once."""
    longest_tokens: int
    """Of a prompt and its completion together."""
    completions: int
    mean: float | None
    largest: float | None
    """The recipe's bounds; None stands for those by dtype."""


@dataclass(frozen=True)
class Sent:
    """The weights that the servers have."""

    version: str
    checksums: Mapping[str, str]
    trainer: Sequence[float]
    """The trainer's log-probs of the probe."""


class VllmEngine:
    """See `RolloutEngine`."""

    def __init__(
        self,
        members: Sequence[Member],
        transfer: Transfer,
        end_token_ids: frozenset[int],
        max_sequences: int,
        dtype: str,
        probe: ProbeSettings,
        sleeps: bool = False,
    ) -> None:
        """dtype: the trainer's. max_sequences: requests under way at once, on all servers together.

        sleeps: servers share the trainer's device, and leave it to the trainer while they rest.
        """
        self._members, self._transfer = tuple(members), transfer
        self._end_tokens, self._threads = end_token_ids, max_sequences
        self._dtype, self._probing, self._sleeps = dtype, probe, sleeps
        self._run = uuid.uuid4().hex[:8]
        self._updates = 0
        self._versions: dict[str, int] = {}
        self._probe: Probe = []
        self._bounds: Bounds | None = None
        self._sent: Sent | None = None
        self._before: dict[int, tuple[Sequence[float], Sequence[float]]] = {}
        self._gaps: dict[int, Gap] = {}
        self._metrics: dict[str, float] = {}

    @property
    def logprobs_are_exact(self) -> bool:
        """Whether both sides compute in fp32."""
        return all(dtype == "float32" for dtype in (self._dtype, *(member.dtype for member in self._members)))

    @property
    def metrics(self) -> Mapping[str, float]:
        """What the last load of weights measured."""
        return self._metrics

    def generate(
        self,
        requests: Sequence[RolloutRequest],
        sampling: SamplingParams,
        on_finished: OnFinished | None = None,
    ) -> list[list[SampledSequence]]:
        """See `RolloutEngine.generate`."""
        if any(member.is_asleep for member in self._members):
            self._wake()
        asked = [(number, sample) for number, one in enumerate(requests) for sample in range(len(one.seeds))]
        bodies = [
            sampling_request(
                requests[number].prompt_ids, requests[number].seeds[sample], sampling, self._end_tokens, self._name
            )
            for number, sample in asked
        ]

        def read(reply: Any) -> SampledSequence | None:
            try:
                return read_completion(reply, sampling.max_completion_tokens, self._end_tokens, self._versions)
            except UnknownVersionError as unknown:
                if ":" in unknown.version:
                    raise ModelError(
                        f"Another run has sent its weights {unknown.version!r} to a vLLM server of this one. Give each "
                        "run servers of its own, and resume."
                    ) from None
                raise ServerFault(f"a server samples with its first weights, {unknown}: it was restarted") from None
            except UnusableReplyError as wrong:
                raise ModelError(
                    f"A vLLM server answered with {wrong}. Use vLLM 0.32, started as docs/servers.md says."
                ) from None

        def tell(index: int, sequence: SampledSequence) -> None:
            if on_finished is not None:
                on_finished(*asked[index], sequence)

        found = iter(Assignment(self._members, bodies, read, self._restore, tell).answers(self._threads))
        return [[next(found) for _ in request.seeds] for request in requests]

    def load_weights(self, source: WeightSource, policy_version: int) -> None:
        """Send the weights to all servers and probe each. Raises ModelError if one is stale, with the cause."""
        began = time.monotonic()
        # Not by the policy's version: at its end a run may return to an earlier checkpoint under the same one.
        self._updates += 1
        version = f"{self._run}:{self._updates}"
        first = self._sent is None
        if first:
            self._together(lambda member: member.connect())
        checksums = self._transfer.prepare(source, version)
        self._versions = {version: policy_version}
        self._sent = Sent(version, checksums, ())
        if first:
            self._make_probe(self._members[0], version)
        assert isinstance(source, SharedModel | AdapterFolder)  # others no transfer takes
        self._sent = Sent(version, checksums, trainer_logprobs(source.model, self._probe))
        self._wake()
        if first and self._probing.mean is None:
            self._bounds = after_first(self._table, max(self._gaps.values(), key=lambda gap: gap.mean))
        self._metrics = {
            "sync/seconds": time.monotonic() - began,
            "sync/probe_mean": max(gap.mean for gap in self._gaps.values()),
            "sync/probe_max": max(gap.largest for gap in self._gaps.values()),
            "sync/faults": float(sum(member.faults for member in self._members)),
        }

    def rest(self) -> None:
        """Put the servers to sleep, where they share the trainer's device. Raises ModelError."""
        if self._sleeps:
            self._together(self._put_to_sleep)

    def begin(self) -> None:
        """Start the servers that are to be launched, for which the first load of weights waits; connect to others."""
        for member in self._members:
            member.begin()

    def close(self) -> None:
        """End launched servers, and remove what was written for them."""
        self._together(lambda member: member.close())
        self._transfer.close()

    @property
    def takes_adapters(self) -> bool:
        """Whether it is given adapters alone, not weights that they are merged into."""
        return isinstance(self._transfer, AdapterTransfer)

    @property
    def _name(self) -> str | None:
        return None if self._sent is None else self._transfer.served_name(self._sent.version)

    @property
    def _table(self) -> Bounds:
        return bounds_for([self._dtype, *(member.dtype for member in self._members)])

    def _together(self, call: Any) -> None:
        """Call for all servers at once; the first error is raised when all have ended."""
        with ThreadPoolExecutor(len(self._members)) as threads:
            for done in [threads.submit(call, member) for member in self._members]:
                done.result()

    def _make_probe(self, member: Member, version: str) -> None:
        """Sample the completions that are scored after each update, and fix the bounds for the first."""
        prompts, self._probe = self._probing.prompts, []
        try:
            member.push(version)
            for number in range(self._probing.completions):
                prompt = prompts[number % len(prompts)]
                cap = max(1, min(_PROBE_TOKENS, self._probing.longest_tokens - len(prompt)))
                body = sampling_request(prompt, number, SamplingParams(cap), self._end_tokens, self._name)
                sampled = read_completion(member.server.generate(body), cap, self._end_tokens, self._versions)
                if sampled is not None:
                    self._probe.append((prompt, sampled.token_ids))
        except (ServerFault, UnusableReplyError) as wrong:
            raise ModelError(f"The first weights did not reach {member.name}: {wrong}. Look at its log.") from None
        if not self._probe:
            raise ModelError(f"{member.name} aborts every request. Look for what else controls it, and start it again.")
        given = self._probing
        self._bounds = ceiling_of(self._table)
        if given.mean is not None or given.largest is not None:
            own = self._table
            self._bounds = Bounds(given.mean or own.mean, given.largest or own.largest, own.moved)

    def _wake(self) -> None:
        """Send all servers the weights that they should have, waking those that sleep. Raises ModelError."""
        if self._sleeps and torch.cuda.is_available():
            torch.cuda.empty_cache()  # what the update held is theirs now
        self._gaps = {}
        self._together(self._update)
        if not self._gaps:
            raise ModelError("No vLLM server is left; the warnings above say why. Start them, and resume.")

    def _put_to_sleep(self, member: Member) -> None:
        if member.is_lost:
            return
        with member.lock:
            try:
                member.sleep()
            except ServerFault as fault:
                member.bring_back(fault, lambda one: one.sleep())

    def _update(self, member: Member) -> None:
        """Send the weights to a server and probe it, bringing it back if it fails meanwhile."""
        if member.is_lost:
            return
        with member.lock:
            try:
                self._send(member, "wait")
            except ServerFault as fault:
                member.bring_back(fault, self._restore)

    def _restore(self, member: Member) -> None:
        self._send(member, "abort")

    def _send(self, member: Member, mode: str) -> None:
        assert self._sent is not None
        assert self._bounds is not None
        member.push(self._sent.version, mode)
        witness = member.witness(self._probe, self._name)
        key, sent = id(member), self._sent
        wrong = staleness(sent.version, sent.checksums, witness, sent.trainer, self._bounds, self._before.get(key))
        if wrong is not None:
            raise ModelError(
                f"The weights of {member.name} are stale: after update {self._versions[sent.version]} it {wrong}. "
                "Nothing was learned from them. Restart the server and resume; docs/servers.md lists the causes."
            )
        self._before[key] = (witness.logprobs, sent.trainer)
        self._gaps[key] = Gap.between(witness.logprobs, sent.trainer)


@torch.no_grad()
def trainer_logprobs(model: Any, probe: Probe) -> list[float]:
    """Log-probs of the completions' tokens under a transformers causal LM at temperature 1, one list for all."""
    device = next(model.parameters()).device
    width = max(len(prompt) + len(completion) for prompt, completion in probe)
    input_ids = torch.zeros(len(probe), width, dtype=torch.int64)
    wanted = torch.zeros_like(input_ids, dtype=torch.bool)
    for row, (prompt, completion) in enumerate(probe):
        end = len(prompt) + len(completion)
        input_ids[row, :end] = torch.tensor(prompt + completion)
        wanted[row, len(prompt) : end] = True
    input_ids, wanted = input_ids.to(device), wanted.to(device)
    hidden = model.model(input_ids=input_ids, use_cache=False).last_hidden_state
    before = hidden[:, :-1][wanted[:, 1:]]
    logprobs, _ = token_logprobs(before, model.lm_head.weight, input_ids[wanted], chunk_tokens=256)
    found: list[float] = logprobs.tolist()
    return found
