"""What is said to a vLLM server and what its replies mean: pure, token ids in, token ids and log-probs out.

Written against `/inference/v1/generate` of vLLM 0.32. Each completion is a request of its own with its own seed (vLLM
would give `n` completions the seeds s, s + 1, ...), so one that is lost is sampled again alone, and alike.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from frugalrl.rollout.engine import SampledSequence, SamplingParams
from frugalrl.types import FinishReason


class UnusableReplyError(Exception):
    """A reply that is not what the protocol says; the message says what is wrong with it."""


def sampling_request(
    prompt_ids: Sequence[int],
    seed: int,
    sampling: SamplingParams,
    end_tokens: Collection[int],
    name: str | None = None,
) -> dict[str, Any]:
    """The body that asks for one completion. name: of the adapters to sample with; None: without."""
    return {
        **({} if name is None else {"model": name}),
        "token_ids": list(prompt_ids),
        "sampling_params": {
            "max_tokens": sampling.max_completion_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k or -1,
            "seed": seed,
            "logprobs": 0,  # of the sampled token, without further candidates
            "stop_token_ids": sorted(end_tokens),
            "ignore_eos": True,  # the end tokens are the trainer's, not those of the server's files
            "detokenize": False,
        },
    }


def scoring_request(token_ids: Sequence[int], name: str | None = None) -> dict[str, Any]:
    """The body that asks for the log-probs of given tokens, at temperature 1. name: as above."""
    model = {} if name is None else {"model": name}
    sampling = {"max_tokens": 1, "temperature": 1.0, "prompt_logprobs": 0, "ignore_eos": True, "detokenize": False}
    return {**model, "token_ids": list(token_ids), "sampling_params": sampling}


def read_completion(
    reply: Any, cap: int, end_tokens: Collection[int], versions: Mapping[str, int]
) -> SampledSequence | None:
    """The completion in a reply; None if it was aborted: its tokens are no sample of the policy.

    versions: the policy version behind each name that weights were given on the server. Raises UnusableReplyError.
    """
    choice = _first_choice(reply)
    if choice.get("finish_reason") not in ("stop", "length"):
        return None
    token_ids, logprobs = _tokens(choice)
    if not token_ids or len(token_ids) > cap:
        raise UnusableReplyError(f"a completion of {len(token_ids)} tokens where 1 to {cap} were asked for")
    reason: FinishReason = "stop" if token_ids[-1] in end_tokens else "length"
    if reason == "length" and len(token_ids) < cap:
        raise UnusableReplyError(
            f"a completion that ends after {len(token_ids)} of {cap} tokens without an end token: the server's "
            "--max-model-len may be too small"
        )
    return SampledSequence(token_ids, logprobs, reason, _token_versions(choice, len(token_ids), versions))


def read_scores(reply: Any, token_ids: Sequence[int]) -> list[float]:
    """The log-prob of each given token but the first. Raises UnusableReplyError."""
    given = reply.get("prompt_logprobs") if isinstance(reply, dict) else None
    if not isinstance(given, list) or len(given) != len(token_ids):
        raise UnusableReplyError("no log-probs of the given tokens")
    try:
        return [float(entry[str(token)]["logprob"]) for entry, token in zip(given[1:], token_ids[1:], strict=True)]
    except (KeyError, TypeError, ValueError):
        raise UnusableReplyError("log-probs of other tokens than those given") from None


def _first_choice(reply: Any) -> Mapping[str, Any]:
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise UnusableReplyError("not exactly one completion")
    return choices[0]


def _tokens(choice: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    token_ids = choice.get("token_ids")
    content = (choice.get("logprobs") or {}).get("content")
    if not isinstance(token_ids, list) or not isinstance(content, list):
        raise UnusableReplyError("a completion without token ids or without log-probs")
    try:
        sampled = [int(entry["token_id"]) for entry in content]
        logprobs = tuple(float(entry["logprob"]) for entry in content)
    except (KeyError, TypeError, ValueError):
        raise UnusableReplyError("log-probs that cannot be read") from None
    if sampled != token_ids:
        raise UnusableReplyError("log-probs of other tokens than those sampled")
    return tuple(sampled), logprobs


def _token_versions(choice: Mapping[str, Any], tokens: int, versions: Mapping[str, int]) -> tuple[int, ...]:
    """The policy version of each token, from the spans of weight versions."""
    spans = choice.get("weight_versions")
    if not isinstance(spans, list):
        raise UnusableReplyError("no weight versions: this vLLM is too old (0.32 is known to work)")
    found: list[int] = []
    for span in spans:
        if span["version"] not in versions:
            raise UnknownVersionError(str(span["version"]))
        if span["start"] != len(found):
            raise UnusableReplyError("weight versions with a gap")
        found += [versions[span["version"]]] * (span["end"] - span["start"])
    if len(found) != tokens:
        raise UnusableReplyError(f"weight versions of {len(found)} tokens for a completion of {tokens}")
    return tuple(found)


class UnknownVersionError(UnusableReplyError):
    """Tokens that were sampled by weights that this run never sent."""

    def __init__(self, version: str) -> None:
        super().__init__(f"tokens sampled by the weights {version!r}, which this run did not send")
        self.version = version
