"""Rewards of TRL's and open-r1's recipes as terms of ours."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from frugalrl.convert.report import Fate
from frugalrl.convert.trl_reading import as_number

Say = Callable[[str, Fate, str], None]
_NAMES: Mapping[str, str] = {
    "accuracy": "accuracy", "format": "format", "tag_count": "tag_count", "reasoning_steps": "reasoning_steps",
    "cosine": "cosine", "repetition_penalty": "repetition", "length": "length", "code": "code", "binary_code": "code",
    "code_format": "code_format", "soft_overlong_punishment": "soft_overlong", "accuracy_reward": "accuracy",
    "reasoning_accuracy_reward": "accuracy", "think_format_reward": "format",
    "get_soft_overlong_punishment": "soft_overlong",
}  # fmt: skip
REWARD_KEYS = (
    "cosine_min_value_wrong", "cosine_max_value_wrong", "cosine_min_value_correct", "cosine_max_value_correct",
    "cosine_max_len", "repetition_n_grams", "repetition_max_penalty", "max_completion_len", "soft_punish_cache",
)  # fmt: skip
"""Keys of a recipe that are settings of rewards."""


def reward_terms(
    names: Sequence[str], weights: Sequence[float] | None, values: Mapping[str, Any], cap_tokens: int, say: Say
) -> list[dict[str, Any]]:
    """The terms, in order. cap_tokens: of a completion; what has no counterpart is said and left out."""
    terms: list[dict[str, Any]] = []
    for number, name in enumerate(names):
        ours = _NAMES.get(name, name if "." in name else None)
        if ours is None:
            say(f"reward_funcs: {name}", "missing", "no such reward here; write it as a function, module.function")
            continue
        if any(term["name"] == ours for term in terms):
            say(f"reward_funcs: {name}", "changed", f"is {ours} here, which is there already: left out")
            continue
        args = _ARGUMENTS[ours](values, cap_tokens, say) if ours in _ARGUMENTS else {}
        weight = 1.0 if weights is None else float(weights[number])
        terms.append({"name": ours, "weight": weight, **({"args": args} if args else {})})
        if ours in _MEANINGS:
            say(f"reward_funcs: {name}", "changed", _MEANINGS[ours])
    return terms


_MEANINGS = {
    "accuracy": "an answer whose gold cannot be read is unknown and earns nothing; open-r1 pays it in full",
    "format": "asks for one closed <think>, also where the template opens it; docs/rewards/format.md",
    "length": "is compared within the group; open-r1's was compared over the batch",
}


def _cosine(values: Mapping[str, Any], cap_tokens: int, say: Say) -> dict[str, Any]:
    given = {key: values[key] for key in REWARD_KEYS[:4] if key in values}
    bound = int(as_number("cosine_max_len", values.get("cosine_max_len", cap_tokens)))
    if "cosine_max_len" in values:
        say(
            "cosine_max_len",
            "changed",
            f"{bound} -> args.max_length_tokens, in tokens; the released code counted characters",
        )
    else:
        say(
            "cosine_max_len",
            "added",
            f"not set: {bound} tokens, the cap of a completion; the script's default was 1,000 characters",
        )
    args = {
        "max_length_tokens": bound,
        "correct_at_zero": as_number("cosine_max_value_correct", values.get("cosine_max_value_correct", 1.0)),
        "correct_at_max": as_number("cosine_min_value_correct", values.get("cosine_min_value_correct", 0.5)),
        "wrong_at_zero": as_number("cosine_min_value_wrong", values.get("cosine_min_value_wrong", -0.5)),
        "wrong_at_max": as_number("cosine_max_value_wrong", values.get("cosine_max_value_wrong", 0.0)),
    }
    if "cosine_min_value_wrong" in given or "cosine_max_value_wrong" in given:
        say(
            "cosine_min_value_wrong",
            "changed",
            "as the released code applies it: what no tokens earn; max_value_wrong is at the bound",
        )
    else:
        say(
            "cosine_min_value_wrong", "added",
            "not set: a long wrong answer loses least, as documented; the script's defaults did the opposite "
            "(wrong_at_zero: 0, wrong_at_max: -0.5)",
        )  # fmt: skip
    return args


def _repetition(values: Mapping[str, Any], cap_tokens: int, say: Say) -> dict[str, Any]:
    args: dict[str, Any] = {}
    if "repetition_n_grams" in values:
        args["ngram_size"] = int(as_number("repetition_n_grams", values["repetition_n_grams"]))
        say("repetition_n_grams", "translated", f"{args['ngram_size']} -> args.ngram_size")
    if "repetition_max_penalty" in values:
        args["max_penalty"] = as_number("repetition_max_penalty", values["repetition_max_penalty"])
        say("repetition_max_penalty", "translated", f"{args['max_penalty']} -> args.max_penalty")
    return args


def _soft_overlong(values: Mapping[str, Any], cap_tokens: int, say: Say) -> dict[str, Any]:
    cache = int(as_number("soft_punish_cache", values.get("soft_punish_cache", max(1, cap_tokens // 5))))
    say("soft_punish_cache", "translated", f"{cache} -> args.cache_tokens")
    if "max_completion_len" in values:
        say("max_completion_len", "changed", "the bound is rollout.max_completion_tokens")
    return {"cache_tokens": cache}


_ARGUMENTS = {"cosine": _cosine, "repetition": _repetition, "soft_overlong": _soft_overlong}
