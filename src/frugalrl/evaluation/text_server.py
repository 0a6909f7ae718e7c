"""A model behind an OpenAI-compatible server, asked for text: one request a sample, a bounded number at once.

Decisions:
- ``chat`` by default: the server renders its model's own chat template, and a reasoning field in the reply is put
  before the answer in ``<think>`` tags. ``completions`` sends the prompt that a local tokenizer renders, as `eval` does
  in process: for servers whose template is not the model's.
- Transient failures (no connection, a time-out, 429, 5xx) are retried after a growing pause; a server's `Retry-After`
  holds all requests back. What the server refuses for its content is a sample without an answer (`refused`), unless it
  refuses everything.
- A wrong key, url or model ends the evaluation, and so do several failures in a row. What is finished is kept.

Not covered: streaming; a template that opens ``<think>``, which a chat server does not tell (``reasoning_open``).
"""

import http.client
import json
import queue
import random
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from frugalrl.errors import ModelError
from frugalrl.rollout.backoff import Clock, SystemClock, pause_seconds, retry_after_seconds
from frugalrl.rollout.engine import SamplingParams
from frugalrl.types import FinishReason

Api = Literal["chat", "completions"]
REFUSED = "refused"
_MAY_PASS = frozenset({408, 409, 425, 429})
_OF_THE_CONTENT = frozenset({400, 413, 422})
_IN_A_ROW = 5
_MOST_SAID = 300


@dataclass(frozen=True)
class ServerSettings:
    """Where the server is, and how it is asked."""

    url: str
    """Ends in /v1."""
    model: str
    """As the server calls it."""
    api: Api = "chat"
    key: str | None = field(default=None, repr=False)
    concurrency: int = 32
    retries: int = 6
    timeout_seconds: float = 3600.0
    """For one reply: 32,768 tokens at ten a second."""


@dataclass(frozen=True)
class Asked:
    """One sample that is wanted: a place for the caller, a prompt and a seed."""

    place: int
    prompt: str | tuple[dict[str, str], ...]
    """Text for ``completions``, messages for ``chat``."""
    seed: int


@dataclass(frozen=True)
class Reply:
    """One sample as the server gave it."""

    place: int
    text: str
    finish_reason: FinishReason
    completion_tokens: int | None
    prompt_tokens: int | None
    is_refused: bool = False


@dataclass(frozen=True)
class _Fault:
    kind: Literal["may_pass", "content", "settings", "no_connection"]
    said: str
    retry_after_seconds: float | None = None


class TextServer:
    """Asks one server; one evaluation at a time."""

    def __init__(self, settings: ServerSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self._clock = clock or SystemClock()
        self._jitter = random.Random(f"eval/{settings.model}")
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._held_until = 0.0
        self._taken, self._refused, self._failed_in_a_row = 0, 0, 0

    def context_tokens(self) -> int | None:
        """The context that the server states for its model (vLLM does), if any.

        A server without `/models` says nothing. Raises ModelError if it has other models.
        """
        outcome = self._sent(urllib.request.Request(self._place("models"), headers=self._headers()), 30.0)
        listed = outcome.get("data") if isinstance(outcome, dict) else None
        if not isinstance(listed, list) or not listed:
            return None
        known = {str(one.get("id")): one for one in listed if isinstance(one, dict)}
        if self.settings.model not in known:
            raise ModelError(
                f"The server {self.settings.url} has no model {self.settings.model!r}. It has {', '.join(known)}."
            )
        context = known[self.settings.model].get("max_model_len")
        return context if isinstance(context, int) else None

    def replies(self, wanted: Sequence[Asked], sampling: SamplingParams) -> Iterator[Reply]:
        """A reply for each sample that is wanted, in the order of their arrival. Raises ModelError."""
        self._stopped.clear()
        work: queue.SimpleQueue[Asked] = queue.SimpleQueue()
        for one in wanted:
            work.put(one)
        done: queue.SimpleQueue[Reply | ModelError] = queue.SimpleQueue()
        threads = [
            threading.Thread(target=self._serve, args=(work, done, sampling), daemon=True)
            for _ in range(min(self.settings.concurrency, len(wanted)))
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in wanted:
                reply = done.get()
                if isinstance(reply, ModelError):
                    raise reply
                yield reply
        finally:
            self._stopped.set()

    # -------------------------------------------------------------------------------------------- one sample

    def _serve(
        self, work: "queue.SimpleQueue[Asked]", done: "queue.SimpleQueue[Reply | ModelError]", sampling: SamplingParams
    ) -> None:
        while not self._stopped.is_set():
            try:
                asked = work.get_nowait()
            except queue.Empty:
                return
            try:
                done.put(self._reply(asked, sampling))
            except ModelError as error:
                done.put(error)
                return
            except Exception as error:  # whatever else: the evaluation must not wait for a thread that has died
                done.put(self._error(f"gave a reply that cannot be read ({type(error).__name__}: {error})"))
                return

    def _reply(self, asked: Asked, sampling: SamplingParams) -> Reply:
        request = self._request(asked, sampling)
        for attempt in range(self.settings.retries + 1):
            self._wait(max(0.0, self._held_until - self._clock.now()))
            outcome = self._sent(request, self.settings.timeout_seconds)
            reply = self._read(asked.place, outcome) if isinstance(outcome, dict) else outcome
            if isinstance(reply, Reply):
                with self._lock:
                    self._taken += 1
                    self._failed_in_a_row = 0
                return reply
            if reply.kind == "content":
                return self._refusal(asked.place, reply)
            if reply.kind == "settings" or (reply.kind == "no_connection" and not self._taken and attempt >= 2):
                raise self._error(f"said {reply.said}")
            with self._lock:
                seconds = pause_seconds(attempt, reply.retry_after_seconds, self._jitter.random())
                if reply.retry_after_seconds is not None:
                    self._held_until = max(self._held_until, self._clock.now() + seconds)
            said = reply.said
            if attempt < self.settings.retries:
                self._wait(seconds)
        raise self._error(f"did not answer in {self.settings.retries + 1} attempts; the last time it said {said}")

    def _refusal(self, place: int, fault: _Fault) -> Reply:
        with self._lock:
            self._refused += 1
            hopeless = not self._taken and self._refused >= _IN_A_ROW
        if hopeless:
            raise self._error(f"refuses every problem; the last time it said {fault.said} (try a smaller --max-tokens)")
        return Reply(place, "", "stop", 0, 0, is_refused=True)

    def _request(self, asked: Asked, sampling: SamplingParams) -> urllib.request.Request:
        is_chat = self.settings.api == "chat"
        body = {
            "model": self.settings.model,
            **({"messages": list(asked.prompt)} if is_chat else {"prompt": asked.prompt}),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_completion_tokens,
            "seed": asked.seed % 2**31,
        }
        place = self._place("chat/completions" if is_chat else "completions")
        return urllib.request.Request(place, data=json.dumps(body).encode(), headers=self._headers())

    def _place(self, name: str) -> str:
        return f"{self.settings.url.rstrip('/')}/{name}"

    def _headers(self) -> dict[str, str]:
        key = {"Authorization": f"Bearer {self.settings.key}"} if self.settings.key else {}
        return {"Content-Type": "application/json", **key}

    def _sent(self, request: urllib.request.Request, seconds: float) -> dict[str, Any] | _Fault:
        try:
            with urllib.request.urlopen(request, timeout=seconds) as response:
                value = json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                words = f"{error.code}: {_one_line(error.read(2000).decode('utf-8', 'replace') or str(error.reason))}"
            if error.code in _OF_THE_CONTENT:
                return _Fault("content", words)
            if error.code in _MAY_PASS or error.code >= 500:
                asked = retry_after_seconds(error.headers.get("Retry-After"), self._clock.now())
                return _Fault("may_pass", words, asked)
            return _Fault("settings", words)
        except json.JSONDecodeError:
            return _Fault("settings", "200 with a body that is not JSON")
        except (OSError, http.client.HTTPException, ValueError) as error:
            return _Fault("no_connection", f"no connection: {_one_line(str(getattr(error, 'reason', None) or error))}")
        return value if isinstance(value, dict) else _Fault("settings", f"200 with {_one_line(str(value))!r}")

    def _read(self, place: int, body: dict[str, Any]) -> Reply | _Fault:
        if body.get("error"):
            return _Fault("may_pass", f"200 with the error {_one_line(str(body['error']))!r}")
        choices = body.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return _Fault("may_pass", "200 without any choice")
        choice: dict[str, Any] = choices[0]
        usage: dict[str, Any] = body["usage"] if isinstance(body.get("usage"), dict) else {}
        has_message = isinstance(choice.get("message"), dict)
        message: dict[str, Any] = choice["message"] if has_message else {"content": choice.get("text")}
        reason = str(choice.get("finish_reason") or "stop")
        text = _with_reasoning(message)
        if reason == "content_filter" or (not text and message.get("refusal")):
            return _Fault("content", reason)
        counts = [usage.get(name) for name in ("completion_tokens", "prompt_tokens")]
        tokens = [count if isinstance(count, int) and count >= 0 else None for count in counts]
        return Reply(place, text, "length" if reason == "length" else "stop", tokens[0], tokens[1])

    def _wait(self, seconds: float) -> None:
        if self._stopped.is_set() or (seconds > 0 and self._clock.wait(seconds, self._stopped)):
            raise self._error("was not asked further")

    def _error(self, happened: str) -> ModelError:
        return ModelError(
            f"The server {self.settings.url} with the model {self.settings.model!r} {happened}. Check that it runs, "
            "its url (which ends in /v1), model and key; what is finished is kept, the same command resumes."
        )


def _with_reasoning(message: dict[str, Any]) -> str:
    """A message's text, with the reasoning that some servers send beside it."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    answer = str(content or "")
    if not isinstance(reasoning, str) or not reasoning:
        return answer
    return f"<think>{reasoning}</think>{answer}" if answer else f"<think>{reasoning}"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_MOST_SAID]
