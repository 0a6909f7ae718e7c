"""The remedies that benchmarks/remedies.py measures: a name, and what it replaces in recipes/mini/collapse.yaml.

Values are those of the source that proposes the remedy, where they carry over to a tiny model; the sources are named in
docs/stability-options.md and docs/rewards.
"""

PLAIN = "plain"
_FORMAT = "{name: format, weight: 1.0}"
_ACCURACY = "{name: accuracy, weight: 2.0}"


def _rewards(*added: str) -> str:
    return f"rewards=[{', '.join((_FORMAT, _ACCURACY, *added))}]"


OPTIONS: dict[str, tuple[str, ...]] = {
    PLAIN: (),
    # A control: what a person would try first.
    "half-rate": ("optimizer.learning_rate=2.5e-4",),
    # The loss.
    "clip-higher": ("algorithm.loss.clip_high=0.28",),
    "token-mean": ("algorithm.loss.aggregation=token",),
    "no-std": ("algorithm.advantage.divisor=none",),
    "kl": ("algorithm.loss.kl_coef=0.04",),
    # Rewards.
    "soft-overlong": (_rewards("{name: soft_overlong, weight: 1.0, args: {cache_tokens: 32}}"),),
    "length-gated": (_rewards("{name: length, weight: 0.5, gate_group_accuracy: 0.5}"),),
    "language": (_rewards("{name: language, weight: 0.5}"),),
}
