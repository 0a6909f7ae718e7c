"""A solver behind an OpenAI-compatible server: what becomes of a problem, and when it is the server that fails.

Decisions (how requests are made and tried again: `clients.texts`):
- A problem whose tries are used up is `failed`, with the reason, and the others continue. `sampling` decides how many
  may fail.
- A request that the server refuses for its content makes that problem `refused`.
- A server that stopped answering, a wrong key, url or model are no faults of problems. When several in a row have
  failed, or the first few were refused, or the first reply is about the settings, one that was answered before (or a
  trivial one) is asked again, and if that has no answer either the run ends. Nothing of it is kept as failed.

Not covered: a template that opens ``<think>`` in the prompt, which a chat server does not tell.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence

from frugalrl.clients.backoff import Clock
from frugalrl.clients.faults import Fault
from frugalrl.clients.replies import Text
from frugalrl.clients.texts import ServerSettings, TextClient, Wanted
from frugalrl.config.curation_schema import EndpointSolver
from frugalrl.config.schema import PromptSettings
from frugalrl.curation.solver import FAILED, REFUSED, Answer, Ask
from frugalrl.data.fingerprint import prompt_hash
from frugalrl.data.prompts import messages_for, render
from frugalrl.errors import ModelError
from frugalrl.rollout.collect import completion_seed
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.server.token_texts import TokenTexts

_IN_A_ROW = 5
"""So many problems that failed (or, at first, were refused) without an answer between them make the server suspect."""
_TRIVIAL = Ask("What is 1 + 1?", 0)
"""Asked of a suspect server that has not answered anything yet; a resumed run may have only hopeless problems left."""


class Endpoint:
    """See `frugalrl.curation.solver.Solver`."""

    def __init__(
        self,
        settings: EndpointSolver,
        seed: int,
        api_key: str | None,
        clock: Clock | None = None,
        tokens: TokenTexts | None = None,
    ) -> None:
        """tokens: for the api of that name."""
        self._settings = settings
        self._seed, self._tokens = seed, tokens
        server = ServerSettings(
            url=settings.url,
            model=settings.model,
            key=api_key,
            concurrency=settings.concurrency,
            retries=settings.retries,
            timeout_seconds=settings.timeout_seconds,
        )
        self._client = TextClient(server, f"backoff/{seed}", clock)
        self._prompt = PromptSettings(system=settings.system, template=settings.template)
        self._lock, self._probing = threading.Lock(), threading.Lock()
        self._failed_in_a_row: set[str] = set()
        self._answered: Ask | None = None
        """The last one, to be asked again when the server is suspect."""

    @property
    def solver_id(self) -> str:
        return self._settings.model

    @property
    def asked(self) -> str:
        one = self._settings
        sampling = (one.temperature, one.top_p, one.max_completion_tokens, self._seed)
        template = [] if self._tokens is None else [prompt_hash(self._tokens.tokenizer, self._prompt)]
        asked = [one.template, one.system, *sampling, *template]
        return hashlib.blake2b(json.dumps(asked).encode(), digest_size=8).hexdigest()

    @property
    def batch(self) -> int:
        return 4 * self._settings.concurrency

    @property
    def most_failed(self) -> float:
        return self._settings.most_failed

    def answers(self, asks: Sequence[Ask]) -> Iterator[tuple[int, Answer]]:
        """See `Solver.answers`."""
        return self._client.each(asks, self._answer)

    def _answer(self, ask: Ask) -> Answer:
        outcome = self._client.ask(self._request(ask))
        if isinstance(outcome, Fault):
            return self._refusal(outcome) if outcome.kind == "content" else self._failure(ask, outcome)
        with self._lock:
            self._failed_in_a_row.clear()
            self._answered = ask
        return _answer_of(outcome)

    def _request(self, ask: Ask) -> Wanted:
        settings, messages = self._settings, messages_for(ask.text, self._prompt)
        seed = completion_seed("curate", self._seed, ask.text, ask.sample)
        if self._tokens is not None:
            sampling = SamplingParams(settings.max_completion_tokens, settings.temperature, settings.top_p)
            return self._tokens.wanted(render(self._tokens.tokenizer, messages), seed, sampling)
        values = {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_completion_tokens,
        }
        return self._client.chat(messages, seed, values)

    def _refusal(self, fault: Fault) -> Answer:
        if self._client.answered == 0 and self._client.refused >= _IN_A_ROW:
            self._probe(f"refuses every problem; the last time it said {fault.said}")
        return Answer("", REFUSED, 0, said=fault.said)

    def _failure(self, ask: Ask, fault: Fault) -> Answer:
        """The problem as failed. Raises ModelError if it is the server that fails."""
        with self._lock:
            self._failed_in_a_row.add(ask.text)
            count = len(self._failed_in_a_row)
        if self._client.answered == 0 and fault.kind in ("settings", "no_server"):
            self._probe(f"answers {fault.said}")
        elif count >= _IN_A_ROW:
            also = ", and so did one that was answered before" if self._answered is not None else ""
            self._probe(f"does not answer: {count} problems in a row failed{also}; the last time it said {fault.said}")
        return Answer("", FAILED, 0, said=f"{fault.said} ({fault.tries} {'try' if fault.tries == 1 else 'tries'})")

    def _probe(self, happened: str) -> None:
        """Ask what was answered before, or a trivial problem. Raises ModelError if that has no answer either."""
        with self._probing:
            with self._lock:
                is_settled = self._client.answered > 0 and len(self._failed_in_a_row) < _IN_A_ROW
            if is_settled:  # another thread has asked meanwhile
                return
            if isinstance(self._client.ask_once(self._request(self._answered or _TRIVIAL)), Fault):
                raise self._error(happened)
            with self._lock:
                self._failed_in_a_row.clear()

    def _error(self, happened: str) -> ModelError:
        return ModelError(
            f"The endpoint {self._settings.url} with the model {self._settings.model!r} {happened}. Check that it "
            "runs, and its url (which ends in /v1), model and api_key_env; what was sampled so far is kept, resume "
            "with --resume."
        )


def _answer_of(text: Text) -> Answer:
    counts = [-1 if count is None else count for count in (text.completion_tokens, text.prompt_tokens)]
    return Answer(text.content, text.finish_reason, counts[0], text.reasoning_open, counts[1])
