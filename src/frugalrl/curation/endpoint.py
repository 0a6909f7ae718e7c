"""A solver behind an OpenAI-compatible server: requests by the standard library, a bounded number at once.

Decisions:
- What may pass (no connection, a time-out, 429, 5xx) is tried again after a growing pause. What will not (a wrong
  key, an unknown model) ends the run at once, with the server's own words.
- A request that the server refuses for its content (400, 413, 422: most often a prompt beyond the context) makes that
  problem `refused`. If it refuses the first few and has taken none, that is a fault of the settings, and an error.

Not covered: streaming; a template that opens ``<think>`` in the prompt, which a server does not tell.
"""

import hashlib
import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from typing import Any

from frugalrl.config.curation_schema import EndpointSolver
from frugalrl.config.schema import PromptSettings
from frugalrl.curation.solver import REFUSED, Answer, Ask
from frugalrl.data.prompts import messages_for
from frugalrl.errors import ModelError
from frugalrl.rollout.collect import completion_seed

_MAY_PASS = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_OF_THE_CONTENT = frozenset({400, 413, 422})
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0
_REFUSED_AT_FIRST = 5
"""So many refusals before the first answer are no accident of single problems."""


class Endpoint:
    """See `frugalrl.curation.solver.Solver`."""

    def __init__(self, settings: EndpointSolver, seed: int, api_key: str | None) -> None:
        self._settings = settings
        self._seed = seed
        self._key = api_key
        self._prompt = PromptSettings(system=settings.system, template=settings.template)
        self._lock = threading.Lock()
        self._refused, self._taken = 0, 0
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

    def answers(self, asks: Sequence[Ask]) -> Iterator[tuple[int, Answer]]:
        """See `Solver.answers`."""
        self._stopped.clear()
        with ThreadPoolExecutor(self._settings.concurrency) as threads:
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

    def _answer(self, ask: Ask) -> Answer:
        settings = self._settings
        body = {
            "model": settings.model,
            "messages": messages_for(ask.text, self._prompt),
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_completion_tokens,
            "seed": completion_seed("curate", self._seed, ask.text, ask.sample) % 2**31,
        }
        request = urllib.request.Request(
            settings.url.rstrip("/") + "/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **self._authorization()},
        )
        for attempt in range(settings.retries + 1):
            try:
                with urllib.request.urlopen(request, timeout=settings.timeout_seconds) as response:
                    answer = self._read(json.loads(response.read()))
            except urllib.error.HTTPError as error:
                refused = self._after_status(error, last=attempt == settings.retries)
                if refused is not None:
                    return refused
            except (OSError, http.client.HTTPException, ValueError) as error:
                if attempt == settings.retries:
                    raise self._unreachable(getattr(error, "reason", None) or error) from None
            else:
                with self._lock:
                    self._taken += 1
                return answer
            if self._stopped.wait(min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**attempt)):
                raise self._unreachable("another request failed for good")
        raise self._unreachable("no attempt was made")

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    def _read(self, response: Any) -> Answer:
        try:
            choice = response["choices"][0]
            text = choice["message"].get("content") or ""
            tokens = (response.get("usage") or {}).get("completion_tokens", -1)
            return Answer(str(text), str(choice.get("finish_reason") or "stop"), int(tokens))
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ModelError(
                f"{self._settings.url} answered something that is no chat completion: {str(response)[:200]!r}. Check "
                "that the url ends in /v1 and is an OpenAI-compatible server's."
            ) from None

    def _after_status(self, error: urllib.error.HTTPError, last: bool) -> Answer | None:
        """A refusal, or None if another attempt may help. Raises ModelError otherwise."""
        said = _said(error)
        if error.code in _OF_THE_CONTENT:
            with self._lock:
                self._refused += 1
                hopeless = self._taken == 0 and self._refused >= _REFUSED_AT_FIRST
            if not hopeless:
                return Answer("", REFUSED, 0)
        elif error.code in _MAY_PASS and not last:
            return None
        raise ModelError(
            f"{self._settings.url} answers {error.code} for the model {self._settings.model!r}: {said}. Check url, "
            "model, api_key_env and sampling; what was sampled so far is kept, --resume goes on from there."
        )

    def _unreachable(self, reason: object) -> ModelError:
        return ModelError(
            f"The endpoint {self._settings.url} cannot be reached: {reason}. Start the server or mend the url; what "
            "was sampled so far is kept, --resume goes on from there."
        )


def _said(error: urllib.error.HTTPError) -> str:
    try:
        text = error.read(2000).decode("utf-8", "replace")
    except OSError:
        return str(error.reason)
    return " ".join(text.split())[:300] or str(error.reason)
