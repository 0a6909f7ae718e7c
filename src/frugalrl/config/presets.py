"""Published combinations of settings by name, and how a recipe uses one.

A preset gives defaults: a key set in the recipe wins, and every other key of the preset appears in the resolved recipe
that is saved with the run. Expansion is idempotent, so a saved recipe loads to itself. A paper's other settings (batch
sizes, mini-batches, learning rates) belong in the recipe.
"""

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # 2402.03300: std of the group, mean of completion means, KL 0.04 (its section 4.2), PPO's clip of 0.2.
    "grpo": {
        "algorithm": {
            "advantage": {"preset": "paper"},
            "loss": {
                "surrogate": "ppo", "clip_low": 0.2, "clip_high": 0.2,
                "kl_coef": 0.04, "kl_estimator": "k3", "aggregation": "sequence",
            },
        },
    },
    # 2503.14476: clip-higher, token mean, no KL, dynamic sampling, soft overlong punishment over the last fifth.
    # The paper samples until a batch is full; here at most twice the batch is sampled again.
    "dapo": {
        "algorithm": {
            "advantage": {"preset": "paper"},
            "loss": {
                "surrogate": "ppo", "clip_low": 0.2, "clip_high": 0.28,
                "kl_coef": 0.0, "aggregation": "token",
            },
        },
        "rollout": {"max_extra_groups": 2.0},
    },
    # 2503.20783: no division by the deviation, a constant in place of lengths, no KL.
    "dr_grpo": {
        "algorithm": {
            "advantage": {"preset": "dr_grpo"},
            "loss": {
                "surrogate": "ppo", "clip_low": 0.2, "clip_high": 0.2,
                "kl_coef": 0.0, "aggregation": "constant",
            },
        },
    },
    # 2507.18071, section 5.1: sequence ratio, its own small clip range, no KL.
    "gspo": {
        "algorithm": {
            "advantage": {"preset": "paper"},
            "loss": {
                "surrogate": "gspo", "clip_low": 3e-4, "clip_high": 4e-4,
                "kl_coef": 0.0, "aggregation": "sequence",
            },
        },
    },
    # 2506.13585, section 3.1: no lower bound, no KL, token mean. The paper does not print its upper bound; a
    # weight of at most 5 is within ScaleRL's range (2510.13786) and TRL's suggestion.
    "cispo": {
        "algorithm": {
            "advantage": {"preset": "paper"},
            "loss": {
                "surrogate": "cispo", "clip_low": 1.0, "clip_high": 4.0,
                "kl_coef": 0.0, "aggregation": "token",
            },
        },
    },
    # 2511.20347: soft gate, negative advantages decay faster, mean of completion means, no KL.
    "sapo": {
        "algorithm": {
            "advantage": {"preset": "paper"},
            "loss": {
                "surrogate": "sapo", "tau_pos": 1.0, "tau_neg": 1.05,
                "kl_coef": 0.0, "aggregation": "sequence",
            },
        },
    },
}  # fmt: skip

OVERLONG_FRACTION = 5
"""DAPO's soft overlong punishment begins a fifth before the cap: 4,096 of 20,480 tokens."""


def expand_preset(raw: Mapping[str, Any], default_cap_tokens: int) -> dict[str, Any]:
    """A training recipe as read, with the preset that `algorithm.preset` names as its defaults.

    default_cap_tokens: the cap on completions of a recipe that sets none.
    A recipe without a preset, or one that validation will reject (an unknown name, a section that is not a mapping), is
    returned unchanged.
    """
    recipe = dict(raw)
    algorithm = recipe.get("algorithm")
    name = algorithm.get("preset") if isinstance(algorithm, Mapping) else None
    if not isinstance(name, str) or name not in PRESETS:
        return recipe
    recipe = _with_defaults(PRESETS[name], recipe)
    if name == "dapo":
        recipe["rewards"] = _with_soft_overlong(recipe, default_cap_tokens)
    return recipe


def _with_defaults(preset: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(given)
    for key, value in preset.items():
        if not isinstance(value, Mapping):
            merged.setdefault(key, value)
        elif given.get(key) is None or isinstance(given[key], Mapping):
            merged[key] = _with_defaults(value, given.get(key) or {})
    return merged


def _with_soft_overlong(recipe: Mapping[str, Any], default_cap_tokens: int) -> Any:
    """The rewards with DAPO's length term at weight 1, unless the recipe has that term with a weight of its own."""
    rewards = recipe.get("rewards")
    if not isinstance(rewards, list) or any(_name_of(term).startswith("soft_overlong") for term in rewards):
        return rewards
    rollout = recipe["rollout"] if isinstance(recipe["rollout"], Mapping) else {}
    cap = rollout.get("max_completion_tokens", default_cap_tokens)
    if not isinstance(cap, int) or cap < OVERLONG_FRACTION:
        return rewards
    term = {"name": "soft_overlong", "weight": 1.0, "args": {"cache_tokens": cap // OVERLONG_FRACTION}}
    return [*rewards, term]


def _name_of(term: Any) -> str:
    return str(term.get("name", "")) if isinstance(term, Mapping) else ""
