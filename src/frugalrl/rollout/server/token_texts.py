"""Texts from a vLLM server that rolls out for training: token ids out and in, a seed each, by one set of weights.

For evaluation and curation. The prompt is rendered and tokenized here, as in process: nothing hangs on the server's
chat template. A run that moves the server's weights meanwhile is noticed by the version that each reply names.
"""

import threading
from typing import Any

from frugalrl.clients.faults import Fault
from frugalrl.clients.replies import Text, json_object
from frugalrl.clients.texts import Wanted
from frugalrl.data.prompts import tokenize
from frugalrl.rollout.collect import completion_text
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.server.protocol import UnusableReplyError, read_completion, sampling_request
from frugalrl.text.reasoning import prefills_think


class TokenTexts:
    """Makes requests of token ids, and texts of what comes back."""

    def __init__(self, tokenizer: Any, end_tokens: frozenset[int]) -> None:
        """end_tokens: any of these ends a completion."""
        self.tokenizer = tokenizer
        self._end_tokens = end_tokens
        self._lock, self._version = threading.Lock(), ""

    def wanted(self, prompt: str, seed: int, sampling: SamplingParams) -> Wanted:
        """A request for one completion of a rendered prompt."""
        ids = tokenize(self.tokenizer, prompt)
        body = sampling_request(ids, seed, sampling, self._end_tokens)

        def read(data: bytes) -> Text | Fault:
            return self._read(data, sampling.max_completion_tokens, len(ids), prefills_think(prompt))

        return Wanted("/inference/v1/generate", body, read)

    def _read(self, data: bytes, cap: int, prompt_tokens: int, reasoning_open: bool) -> Text | Fault:
        reply = json_object(data)
        if isinstance(reply, Fault):
            return reply
        versions = _versions(reply)
        try:
            sequence = read_completion(reply, cap, self._end_tokens, dict.fromkeys(versions, 0))
        except UnusableReplyError as wrong:
            return Fault("no_server", f"200 with {wrong}")
        if sequence is None:
            return Fault("may_pass", "200 with a completion that was aborted")
        with self._lock:
            self._version = self._version or versions[0]
        others = [one for one in versions if one != self._version]
        if others:
            return Fault("settings", f"its weights changed from {self._version!r} to {others[0]!r} meanwhile")
        text = completion_text(self.tokenizer, sequence)
        return Text(text, "", sequence.finish_reason, len(sequence.token_ids), prompt_tokens, reasoning_open)


def _versions(reply: dict[str, Any]) -> list[str]:
    """The weights that a reply names; `read_completion` says what is wrong with one that names none."""
    try:
        return [str(span["version"]) for span in reply["choices"][0]["weight_versions"]]
    except (KeyError, IndexError, TypeError):
        return []
