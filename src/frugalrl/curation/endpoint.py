"""A solver behind an OpenAI-compatible server: requests by the standard library, a bounded number at once.

Decisions:
- Transient failures (no connection, a time-out, 429, 5xx, an error in a reply of status 200) are retried after a pause
  that grows to minutes; a server's `Retry-After` applies to all requests.
- A problem whose retries are used up is `failed`, with the reason, and the others continue. `sampling` decides how many
  may fail.
- A request that the server refuses for its content makes that problem `refused`.
- A server that stopped answering, a wrong key, url or model are no faults of problems. When several in a row have
  failed, or the first few were refused, or the first reply is about the settings, one that was answered before (or a
  trivial one) is asked again, and if that has no answer either the run ends. Nothing of it is kept as failed.

Not covered: streaming; a template that opens ``<think>`` in the prompt, which a server does not tell.
"""

import hashlib
import http.client
import json
import random
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed

from frugalrl.config.curation_schema import EndpointSolver
from frugalrl.config.schema import PromptSettings
from frugalrl.curation.replies import Fault, fault_of_status, one_line, read_reply
from frugalrl.curation.solver import FAILED, REFUSED, Answer, Ask
from frugalrl.data.prompts import messages_for
from frugalrl.errors import ModelError
from frugalrl.rollout.backoff import Clock, SystemClock, pause_seconds, retry_after_seconds
from frugalrl.rollout.collect import completion_seed

_IN_A_ROW = 5
"""So many problems that failed (or, at first, were refused) without an answer between them make the server suspect."""
_TRIVIAL = Ask("What is 1 + 1?", 0)
"""Asked of a suspect server that has not answered anything yet; a resumed run may have only hopeless problems left."""
_TRIES_AT_FIRST = 3
"""Of a server that cannot be reached and never was: a wrong url should not take minutes to be found."""


class Endpoint:
    """See `frugalrl.curation.solver.Solver`."""

    def __init__(self, settings: EndpointSolver, seed: int, api_key: str | None, clock: Clock | None = None) -> None:
        self._settings = settings
        self._seed = seed
        self._key = api_key
        self._clock = clock or SystemClock()
        self._jitter = random.Random(f"backoff/{seed}")
        self._prompt = PromptSettings(system=settings.system, template=settings.template)
        self._lock, self._probing = threading.Lock(), threading.Lock()
        self._refused_in_a_row, self._taken = 0, 0
        self._held_until = 0.0
        self._failed_in_a_row: set[str] = set()
        self._answered: Ask | None = None
        """The last one, to be asked again when the server is suspect."""
        self._stopped = threading.Event()

    @property
    def solver_id(self) -> str:
        return self._settings.model

    @property
    def asked(self) -> str:
        one = self._settings
        sampling = (one.temperature, one.top_p, one.max_completion_tokens, self._seed)
        return hashlib.blake2b(json.dumps([one.template, one.system, *sampling]).encode(), digest_size=8).hexdigest()

    @property
    def batch(self) -> int:
        return 4 * self._settings.concurrency

    @property
    def most_failed(self) -> float:
        return self._settings.most_failed

    def answers(self, asks: Sequence[Ask]) -> Iterator[tuple[int, Answer]]:
        """See `Solver.answers`."""
        self._stopped.clear()
        threads = ThreadPoolExecutor(self._settings.concurrency)
        try:
            pending = {threads.submit(self._answer, ask): at for at, ask in enumerate(asks)}
            fault: BaseException | None = None
            for future in as_completed(pending):
                try:
                    answer = future.result()
                except CancelledError:
                    continue
                except ModelError as error:
                    # Requests under way are paid for: they are waited for and kept, others are not begun.
                    fault = fault or error
                    self._stopped.set()
                    for other in pending:
                        other.cancel()
                    continue
                yield pending[future], answer
            if fault is not None:
                raise fault
        finally:
            self._stopped.set()  # threads that wait for another attempt, or have not begun, give up
            threads.shutdown(cancel_futures=True)

    # ---------------------------------------------------------------------------------------- one problem

    def _answer(self, ask: Ask) -> Answer:
        request = self._request(ask)
        attempt = 0
        while True:
            self._pause(max(0.0, self._held_until - self._clock.now()))
            outcome = self._attempt(request)
            if isinstance(outcome, Answer):
                self._note_answer(ask, outcome)
                return outcome
            if outcome.kind == "content":
                return self._refusal(outcome)
            attempt += 1
            if attempt >= self._tries(outcome):
                return self._failure(ask, outcome, attempt)
            with self._lock:
                seconds = pause_seconds(attempt - 1, outcome.retry_after_seconds, self._jitter.random())
                if outcome.retry_after_seconds is not None:
                    self._held_until = max(self._held_until, self._clock.now() + seconds)
            self._pause(seconds)

    def _request(self, ask: Ask) -> urllib.request.Request:
        settings = self._settings
        body = {
            "model": settings.model,
            "messages": messages_for(ask.text, self._prompt),
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_completion_tokens,
            "seed": completion_seed("curate", self._seed, ask.text, ask.sample) % 2**31,
        }
        key = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return urllib.request.Request(
            settings.url.rstrip("/") + "/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **key},
        )

    def _attempt(self, request: urllib.request.Request) -> Answer | Fault:
        try:
            with urllib.request.urlopen(request, timeout=self._settings.timeout_seconds) as response:
                return read_reply(response.read())
        except urllib.error.HTTPError as error:
            asked = retry_after_seconds(error.headers.get("Retry-After"), self._clock.now())
            return fault_of_status(error.code, _said(error), asked)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Fault("no_connection", f"no connection: {one_line(str(getattr(error, 'reason', None) or error))}")

    def _tries(self, fault: Fault) -> int:
        most = self._settings.retries + 1
        if fault.kind == "settings" or (fault.kind == "no_server" and self._taken == 0):
            return 1
        return min(most, _TRIES_AT_FIRST) if fault.kind == "no_connection" and self._taken == 0 else most

    def _pause(self, seconds: float) -> None:
        if self._stopped.is_set() or (seconds > 0 and self._clock.wait(seconds, self._stopped)):
            raise self._error("was not asked further, because another request ended the run")

    # ------------------------------------------------------------------------------------- what they add up to

    def _note_answer(self, ask: Ask, answer: Answer) -> None:
        with self._lock:
            self._taken += answer.finish_reason != REFUSED
            self._failed_in_a_row.clear()
            self._answered = ask

    def _refusal(self, fault: Fault) -> Answer:
        with self._lock:
            self._refused_in_a_row += 1
            suspect = self._taken == 0 and self._refused_in_a_row >= _IN_A_ROW
        if suspect:
            self._probe(f"refuses every problem; the last time it said {fault.said}")
        return Answer("", REFUSED, 0, said=fault.said)

    def _failure(self, ask: Ask, fault: Fault, tries: int) -> Answer:
        """The problem as failed. Raises ModelError if it is the server that fails."""
        with self._lock:
            self._failed_in_a_row.add(ask.text)
            count = len(self._failed_in_a_row)
        if self._taken == 0 and fault.kind in ("settings", "no_server"):
            self._probe(f"answers {fault.said}")
        elif count >= _IN_A_ROW:
            also = ", and so did one that was answered before" if self._answered is not None else ""
            self._probe(f"does not answer: {count} problems in a row failed{also}; the last time it said {fault.said}")
        return Answer("", FAILED, 0, said=f"{fault.said} ({tries} {'try' if tries == 1 else 'tries'})")

    def _probe(self, happened: str) -> None:
        """Ask what was answered before, or a trivial problem. Raises ModelError if that has no answer either."""
        with self._probing:
            with self._lock:
                is_settled = self._taken > 0 and len(self._failed_in_a_row) < _IN_A_ROW
            if is_settled:  # another thread has asked meanwhile
                return
            outcome = self._attempt(self._request(self._answered or _TRIVIAL))
            if isinstance(outcome, Fault):
                self._stopped.set()
                raise self._error(happened)
            with self._lock:
                self._taken += 1
                self._refused_in_a_row = 0
                self._failed_in_a_row.clear()

    def _error(self, happened: str) -> ModelError:
        return ModelError(
            f"The endpoint {self._settings.url} with the model {self._settings.model!r} {happened}. Check that it "
            "runs, and its url (which ends in /v1), model and api_key_env; what was sampled so far is kept, resume "
            "with --resume."
        )


def _said(error: urllib.error.HTTPError) -> str:
    try:
        text = error.read(2000).decode("utf-8", "replace")
    except OSError:
        return str(error.reason)
    return one_line(text) or str(error.reason)
