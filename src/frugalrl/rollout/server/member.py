"""One server of a run: reached or launched, sent the weights, probed, and brought back after a fault.

A server that failed is started (or waited for), sent the
same weights again and probed again before it samples another token.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from frugalrl.errors import ModelError
from frugalrl.rollout.server.client import Server, ServerFault
from frugalrl.rollout.server.freshness import Witness
from frugalrl.rollout.server.launch import LaunchedServer
from frugalrl.rollout.server.protocol import UnusableReplyError, read_scores, scoring_request
from frugalrl.rollout.server.transfer import Transfer

logger = logging.getLogger(__name__)


Probe = list[tuple[tuple[int, ...], tuple[int, ...]]]
"""Prompts with completions."""


@dataclass(frozen=True)
class Limits:
    """What servers are held to."""

    vocab_size: int
    needed_tokens: int
    connections: int
    request_seconds: float
    start_seconds: float
    max_restarts: int


class Member:
    """A server that takes part in a run."""

    def __init__(self, where: str | LaunchedServer, transfer: Transfer, limits: Limits, dtype: str = "") -> None:
        """where: the url of a running server, or one to launch, with its dtype."""
        self._launched = where if isinstance(where, LaunchedServer) else None
        self._transfer, self._limits = transfer, limits
        self._server: Server | None = None
        self._url = "" if self._launched is not None else str(where)
        self.faults = 0
        """That made it necessary to bring it back."""
        self.lock = threading.Lock()
        """Held while weights are sent or the server is brought back."""
        self.epoch = 0
        """How often it was brought back: a request that failed in an earlier one says nothing about this one."""
        self.is_lost = self.is_asleep = False
        self.dtype = dtype

    @property
    def server(self) -> Server:
        """Its client, once connected."""
        if self._server is None:
            raise ModelError("A server is used before it is connected.")
        return self._server

    @property
    def name(self) -> str:
        """For messages."""
        return f"the server {self._url}" if self._url else "the launched server"

    def begin(self) -> None:
        """Start it if it is to be launched, without waiting for it; connect to it if it runs. Raises ModelError."""
        if self._launched is not None:
            self._url = self._launched.start()
        else:
            self.connect()

    def connect(self) -> None:
        """Wait for it if it was launched, and check that it is a server to train with. Raises ModelError."""
        if self._server is not None:
            return
        try:
            self._reach()
        except ServerFault as fault:
            raise ModelError(f"{_sentence(fault)} Start it, or check rollout.engine.url.") from None

    def _reach(self) -> None:
        if self._server is not None:
            self._server.close()
        server = Server(self._url, self._limits.connections, self._limits.request_seconds)
        if self._launched is not None:
            self._launched.wait_until(lambda: server.is_healthy, self._limits.start_seconds)
        self.dtype = server.greet(self._limits.vocab_size, self._limits.needed_tokens)
        self._transfer.connect(server)
        self._server = server

    def push(self, version: str, mode: str = "wait") -> None:
        """Give it what the transfer holds, under this name. mode: of vLLM's pause. Raises ServerFault, ModelError.

        If it is asleep, it is woken first: its memory is there again then, and what was in it is not.
        """
        if self.is_asleep:
            said = self.server.control("/wake_up")
            if not isinstance(said, dict) or said.get("status") != "awake":
                raise ServerFault(f"{self.name} does not wake up")
            self.is_asleep = False
        self._transfer.update(self.server, version, mode, self._limits.request_seconds)

    def sleep(self) -> None:
        """Make it give back the memory of its device. Raises ServerFault, ModelError.

        At vLLM's level 2, which throws the weights away: it is sent others, or the same again, before it samples.
        """
        self.server.control("/sleep?level=2&mode=wait", seconds=self._limits.request_seconds)
        self.is_asleep = True

    def witness(self, probe: Probe, name: str | None) -> Witness:
        """What it says and computes now. probe: prompts with completions. Raises ServerFault, ModelError."""
        server = self.server
        version = str(server.look("/weight_info")["weight_version"])
        received: list[Mapping[str, str]] = [one["received"] for one in server.reports()]
        return Witness(version, received, self.scores(probe, name))

    def scores(self, probe: Probe, name: str | None) -> list[float]:
        """Its log-probs of the completions' tokens, by the weights of this name. Raises ServerFault, ModelError."""
        logprobs: list[float] = []
        for prompt, completion in probe:
            token_ids = (*prompt, *completion)
            try:
                given = read_scores(self.server.generate(scoring_request(token_ids, name)), token_ids)
            except UnusableReplyError as wrong:
                raise ModelError(f"The server {self._url} answers with {wrong}. Use vLLM 0.32.") from None
            logprobs += given[len(prompt) - 1 :]
        return logprobs

    def bring_back(self, fault: ServerFault, restore: Any) -> None:
        """Reach a server that failed again, and give it its weights back by `restore(self)`, which also probes it.

        Gives up after `max_restarts` faults in all: then it `is_lost`. The caller holds the lock. Raises ModelError for
        weights that are stale after that.
        """
        while not self.is_lost:
            self.faults += 1
            self.epoch += 1
            if self.faults > self._limits.max_restarts:
                self.is_lost = True
                logger.warning("%s It is given up after %d faults.", _sentence(fault), self.faults)
                return
            logger.warning("%s It is brought back, and what it lost is sampled again.", _sentence(fault))
            try:
                self._reach_again()
                restore(self)
            except ServerFault as again:
                fault = again
            else:
                return

    def _reach_again(self) -> None:
        """Start a launched server anew; wait for another one to answer. Raises ServerFault and ModelError."""
        if self._launched is not None:
            self.is_asleep = False
            self._url = self._launched.start()
            self._reach()
            return
        until = time.monotonic() + self._limits.start_seconds
        while not self.server.is_healthy:
            if self.is_lost:
                raise ServerFault(f"{self.name} is not needed any more")
            if time.monotonic() > until:
                raise ServerFault(f"{self.name} did not come back within {self._limits.start_seconds:g} seconds")
            time.sleep(0.5)
        self._reach()

    def close(self) -> None:
        """End it if it was launched, and close its connections. Whoever still waits for it gives up."""
        self.is_lost = True
        if self._launched is not None:
            self._launched.end()
        if self._server is not None:
            self._server.close()


def _sentence(fault: ServerFault) -> str:
    text = str(fault).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
