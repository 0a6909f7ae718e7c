"""From prompts to groups of completions, through any rollout engine."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from frugalrl.rollout.engine import (
    OnFinished,
    RolloutEngine,
    RolloutRequest,
    SampledSequence,
    SamplingParams,
    generate,
)
from frugalrl.types import Completion, Prompt, RolloutGroup

OnText = Callable[[int, int, str], None]
"""Told of a finished completion: the numbers of its prompt and of its sample among those asked for, and its text."""


def completion_seed(*parts: str | int) -> int:
    """A seed from what identifies a completion, e.g. run seed, step, problem id, sample: the same on every machine."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def collect_groups(
    engine: RolloutEngine,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    group_size: int,
    sampling: SamplingParams,
    seed_parts: tuple[str | int, ...],
    on_text: OnText | None = None,
) -> list[RolloutGroup]:
    """`group_size` completions of each prompt, in order.

    seed_parts: what tells these completions from others of the same problem (run seed, step). Sample i of
    a problem gets the same seed whatever the group size, so more samples only add.
    on_text: called as `RolloutEngine.generate` calls its `on_finished`.
    """
    samples = [range(group_size)] * len(prompts)
    return collect_samples(engine, tokenizer, prompts, samples, sampling, seed_parts, on_text)


def collect_samples(
    engine: RolloutEngine,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    samples: Sequence[Sequence[int]],
    sampling: SamplingParams,
    seed_parts: tuple[str | int, ...],
    on_text: OnText | None = None,
) -> list[RolloutGroup]:
    """The requested samples of each prompt, in order: those of `collect_groups` that the caller still lacks."""
    requests = requests_of(prompts, samples, seed_parts)
    told = None if on_text is None else text_teller(tokenizer, on_text)
    answers = generate(engine, requests, sampling, told)
    return groups_of(tokenizer, prompts, requests, answers)


def text_teller(tokenizer: Any, on_text: OnText) -> OnFinished:
    """What is told of a sequence is its text."""
    return lambda request, sample, sequence: on_text(request, sample, completion_text(tokenizer, sequence))


def requests_of(
    prompts: Sequence[Prompt], samples: Sequence[Sequence[int]], seed_parts: tuple[str | int, ...]
) -> list[RolloutRequest]:
    """What is asked of an engine for the samples of each prompt."""
    return [
        RolloutRequest(
            prompt.token_ids, tuple(completion_seed(*seed_parts, prompt.problem.id, sample) for sample in own)
        )
        for prompt, own in zip(prompts, samples, strict=True)
    ]


def groups_of(
    tokenizer: Any,
    prompts: Sequence[Prompt],
    requests: Sequence[RolloutRequest],
    answers: Sequence[Sequence[SampledSequence]],
) -> list[RolloutGroup]:
    """The completions that an engine's answers are, with their texts."""
    return [
        RolloutGroup(
            prompt,
            tuple(_completion(tokenizer, sequence, seed) for sequence, seed in zip(answer, request.seeds, strict=True)),
        )
        for prompt, request, answer in zip(prompts, requests, answers, strict=True)
    ]


def completion_text(tokenizer: Any, sequence: SampledSequence) -> str:
    """The text of a sequence, without its end token."""
    shown = sequence.token_ids[:-1] if sequence.finish_reason == "stop" else sequence.token_ids
    return str(tokenizer.decode(shown, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _completion(tokenizer: Any, sequence: SampledSequence, seed: int) -> Completion:
    return Completion(
        text=completion_text(tokenizer, sequence),
        token_ids=sequence.token_ids,
        rollout_logprobs=sequence.logprobs,
        finish_reason=sequence.finish_reason,
        policy_versions=sequence.policy_versions,
        seed=seed,
        loss_mask=sequence.loss_mask,
    )
