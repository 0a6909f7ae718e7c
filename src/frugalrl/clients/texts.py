"""Many texts from one server: a bounded number at once, what may pass tried again, one stop for all.

Decisions:
- Transient failures (no connection, a time-out, 429, 5xx, an error in a reply of status 200) are retried after a pause
  that grows to minutes; a server's `Retry-After` holds all requests back.
- A server that was never reached is tried three times: a wrong url should not take minutes to be found. What the key,
  the model or the url is to blame for is not tried again.
- After an error no request is begun. Those under way are paid for: they are waited for and handed over first.

Not covered: streaming. What a fault means for a problem is the caller's.
"""

import random
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Any, TypeVar

from frugalrl.clients.backoff import Clock, SystemClock, pause_seconds, retry_after_seconds
from frugalrl.clients.connection import Answered, Connection
from frugalrl.clients.faults import Fault
from frugalrl.clients.replies import Text, json_object, read_reply

T = TypeVar("T")
R = TypeVar("R")
_TRIES_AT_FIRST = 3


@dataclass(frozen=True)
class ServerSettings:
    """Where a server is, and how patiently it is asked."""

    url: str
    """Ends in /v1."""
    model: str
    """As the server calls it."""
    key: str | None = field(default=None, repr=False)
    concurrency: int = 32
    retries: int = 6
    timeout_seconds: float = 3600.0
    """For one reply: 32,768 tokens at ten a second."""


@dataclass(frozen=True)
class Wanted:
    """One request for a text."""

    route: str
    """Below the url; from the server's root if it begins with a slash."""
    body: Mapping[str, Any]
    read: Callable[[bytes], Text | Fault] = read_reply


class StoppedError(Exception):
    """Another request has ended them all."""


class TextClient:
    """Asks one server; one batch at a time."""

    def __init__(self, settings: ServerSettings, seed: str, clock: Clock | None = None) -> None:
        """seed: of the jitter of pauses."""
        self.settings = settings
        self._clock = clock or SystemClock()
        self._connection = Connection(settings.url, key=settings.key, through_proxy=True)
        self._jitter, self._lock = random.Random(seed), threading.Lock()
        self._stopped, self._held_until = threading.Event(), 0.0
        self.answered = self.refused = 0
        """Texts so far, and requests that were refused for their content."""

    def each(self, items: Sequence[T], call: Callable[[T], R]) -> Iterator[tuple[int, R]]:
        """What `call` makes of each item, with its position, in the order they are finished.

        Raises what `call` raised, after handing over what was under way. A caller that leaves waits for nothing.
        """
        self._stopped = stopped = threading.Event()
        left, done = deque(range(len(items))), SimpleQueue[tuple[int, R] | BaseException | None]()

        def work() -> None:
            while left and not stopped.is_set():
                try:
                    at = left.popleft()
                    done.put((at, call(items[at])))
                except (IndexError, StoppedError):
                    break
                except BaseException as error:
                    stopped.set()
                    done.put(error)
            done.put(None)

        threads = min(self.settings.concurrency, len(items))
        for _ in range(threads):
            threading.Thread(target=work, daemon=True).start()
        try:
            yield from _handed_over(done, threads)
        finally:
            stopped.set()  # threads that wait for another attempt, or have not begun, give up

    def ask(self, wanted: Wanted) -> Text | Fault:
        """A text, tried again while that may help. Raises StoppedError."""
        attempt = 0
        while True:
            self._wait(max(0.0, self._held_until - self._clock.now()))
            outcome = self.ask_once(wanted)
            attempt += 1
            if isinstance(outcome, Text):
                return outcome
            if attempt >= self._tries(outcome):
                return replace(outcome, tries=attempt)
            with self._lock:
                asked = retry_after_seconds(outcome.retry_after, self._clock.now())
                seconds = pause_seconds(attempt - 1, asked, self._jitter.random())
                if asked is not None:
                    self._held_until = max(self._held_until, self._clock.now() + seconds)
            self._wait(seconds)

    def ask_once(self, wanted: Wanted) -> Text | Fault:
        """A single attempt."""
        given = self._connection.send("POST", self._place(wanted.route), wanted.body, self.settings.timeout_seconds)
        outcome = wanted.read(given.data) if isinstance(given, Answered) else given
        with self._lock:
            self.answered += isinstance(outcome, Text)
            self.refused += isinstance(outcome, Fault) and outcome.kind == "content"
        return outcome

    def look(self, route: str, seconds: float) -> dict[str, Any] | Fault:
        """GET what a route says."""
        given = self._connection.send("GET", self._place(route), None, seconds)
        return json_object(given.data) if isinstance(given, Answered) else given

    def chat(self, messages: Sequence[Mapping[str, str]], seed: int, sampling: Mapping[str, Any]) -> Wanted:
        """Of a server that renders its model's template. sampling: temperature, top_p, max_tokens."""
        return self._wanted("chat/completions", {"messages": list(messages)}, seed, sampling)

    def completion(self, prompt: str, seed: int, sampling: Mapping[str, Any]) -> Wanted:
        """Of a prompt that is rendered."""
        return self._wanted("completions", {"prompt": prompt}, seed, sampling)

    def _wanted(self, route: str, prompt: Mapping[str, Any], seed: int, sampling: Mapping[str, Any]) -> Wanted:
        # Some servers take no seed beyond 31 bits.
        return Wanted(route, {"model": self.settings.model, **prompt, **sampling, "seed": seed % 2**31})

    def _place(self, route: str) -> str:
        url = self.settings.url.rstrip("/")
        return url.removesuffix("/v1") + route if route.startswith("/") else f"{url}/{route}"

    def _tries(self, fault: Fault) -> int:
        most = self.settings.retries + 1
        if fault.kind in ("content", "settings") or (fault.kind == "no_server" and not self.answered):
            return 1
        return min(most, _TRIES_AT_FIRST) if fault.kind == "no_connection" and not self.answered else most

    def _wait(self, seconds: float) -> None:
        stopped = self._stopped
        if stopped.is_set() or (seconds > 0 and self._clock.wait(seconds, stopped)):
            raise StoppedError


def _handed_over(done: "SimpleQueue[tuple[int, R] | BaseException | None]", threads: int) -> Iterator[tuple[int, R]]:
    """What threads have put there until each has put its None. Raises the first error at the end."""
    fault: BaseException | None = None
    while threads:
        found = done.get()
        if found is None:
            threads -= 1
        elif isinstance(found, BaseException):
            fault = fault or found
        else:
            yield found
    if fault is not None:
        raise fault
