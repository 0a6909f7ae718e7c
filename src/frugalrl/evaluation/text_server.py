"""A served model as an evaluation asks it: a reply for each sample, and one message where that cannot be.

Decisions:
- ``chat`` by default: the server renders its model's own chat template, and a reasoning field in the reply is put
  before the answer in ``<think>`` tags. ``completions`` sends the prompt that a local tokenizer renders, as `eval` does
  in process: for servers whose template is not the model's. ``tokens`` asks a vLLM server that rolls out for training.
- What the server refuses for its content is a sample without an answer (`refused`), unless it refuses everything.
- A wrong key, url or model ends the evaluation, and so does a request that fails in all its tries (`clients.texts`).
  What is finished is kept.

Not covered: a template that opens ``<think>``, which a chat server does not tell (``reasoning_open``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from frugalrl.clients.backoff import Clock
from frugalrl.clients.faults import Fault
from frugalrl.clients.replies import Text
from frugalrl.clients.texts import ServerSettings, TextClient, Wanted
from frugalrl.errors import ModelError
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.server.token_texts import TokenTexts
from frugalrl.types import FinishReason

Api = Literal["chat", "completions", "tokens"]
REFUSED = "refused"
_IN_A_ROW = 5
_CONTEXT_SECONDS = 30.0


@dataclass(frozen=True)
class Asked:
    """One sample that is wanted: a place for the caller, a prompt and a seed."""

    place: int
    prompt: str | tuple[dict[str, str], ...]
    """Text for ``completions`` and ``tokens``, messages for ``chat``."""
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


class TextServer:
    """Asks one server; one evaluation at a time."""

    def __init__(
        self, settings: ServerSettings, api: Api = "chat", tokens: TokenTexts | None = None, clock: Clock | None = None
    ) -> None:
        """tokens: for the api of that name."""
        self.settings, self.api, self._tokens = settings, api, tokens
        self._client = TextClient(settings, f"eval/{settings.model}", clock)

    def context_tokens(self) -> int | None:
        """The context that the server states for its model (vLLM does), if any.

        A server without `/models` says nothing. Raises ModelError if it has other models.
        """
        outcome = self._client.look("models", _CONTEXT_SECONDS)
        listed = None if isinstance(outcome, Fault) else outcome.get("data")
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
        for _, reply in self._client.each(wanted, lambda asked: self._reply(asked, sampling)):
            yield reply

    def _reply(self, asked: Asked, sampling: SamplingParams) -> Reply:
        outcome = self._client.ask(self._request(asked, sampling))
        if isinstance(outcome, Text):
            reason: FinishReason = "length" if outcome.finish_reason == "length" else "stop"
            return Reply(
                asked.place, _with_reasoning(outcome), reason, outcome.completion_tokens, outcome.prompt_tokens
            )
        if outcome.kind == "content":
            return self._refusal(asked.place, outcome)
        tried = "said" if outcome.tries == 1 else f"did not answer in {outcome.tries} attempts; the last time it said"
        raise self._error(f"{tried} {outcome.said}")

    def _refusal(self, place: int, fault: Fault) -> Reply:
        if not self._client.answered and self._client.refused >= _IN_A_ROW:
            raise self._error(f"refuses every problem; the last time it said {fault.said} (try a smaller --max-tokens)")
        return Reply(place, "", "stop", 0, 0, is_refused=True)

    def _request(self, asked: Asked, sampling: SamplingParams) -> Wanted:
        values = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_completion_tokens,
        }
        if isinstance(asked.prompt, str):
            if self._tokens is not None:
                return self._tokens.wanted(asked.prompt, asked.seed, sampling)
            return self._client.completion(asked.prompt, asked.seed, values)
        return self._client.chat(asked.prompt, asked.seed, values)

    def _error(self, happened: str) -> ModelError:
        return ModelError(
            f"The server {self.settings.url} with the model {self.settings.model!r} {happened}. Check that it runs, "
            "its url (which ends in /v1), model and key; what is finished is kept, the same command resumes."
        )


def _with_reasoning(text: Text) -> str:
    if not text.reasoning:
        return text.content
    return f"<think>{text.reasoning}</think>{text.content}" if text.content else f"<think>{text.reasoning}"
