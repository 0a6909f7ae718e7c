"""The remedies that benchmarks/remedies.py measures: a name, and what it replaces in recipes/mini/collapse.yaml.

Values are those of the source that proposes the remedy, where they carry over to a tiny model; the sources are named in
docs/stability-options.md and docs/rewards.
"""

PLAIN = "plain"
_FORMAT = "{name: format, weight: 1.0}"
_ACCURACY = "{name: accuracy, weight: 2.0}"


def _preset(name: str) -> tuple[str, ...]:
    """A published combination in place of the recipe's algorithm; KL is measured and not felt, as in the recipe."""
    return (f"algorithm={{preset: {name}, updates_per_batch: 2, loss: {{kl_coef: 1.0e-6}}}}",)


def _rewards(*added: str) -> str:
    return f"rewards=[{', '.join((_FORMAT, _ACCURACY, *added))}]"


OPTIONS: dict[str, tuple[str, ...]] = {
    PLAIN: (),
    # A control: what a person would try first.
    "half-rate": ("optimizer.learning_rate=2.5e-4",),
    "kl": ("algorithm.loss.kl_coef=0.04",),
    "no-std": ("algorithm.advantage.divisor=none",),
    "token-mean": ("algorithm.loss.aggregation=token",),
    "clip-higher": ("algorithm.loss.clip_high=0.28",),
    "dynamic-sampling": ("rollout.max_extra_groups=2.0",),
    "kl-reset": ("algorithm.loss.kl_coef=0.04", "algorithm.reference_reset_every=10"),
    "gspo": _preset("gspo"),
    "cispo": _preset("cispo"),
    "sapo": _preset("sapo"),
    "dr_grpo": _preset("dr_grpo"),
    "dapo": _preset("dapo"),
    # The paper's target of 0.2 is for its model; 0.08 nats is what the tiny base has in its first steps.
    "adaptive-entropy": ("algorithm.entropy={adaptive: true, target: 0.08, step: 0.005}",),
    "length-gated": (_rewards("{name: length, weight: 0.5, gate_group_accuracy: 0.5}"),),
    "language": (_rewards("{name: language, weight: 0.5}"),),
    "soft-overlong": (_rewards("{name: soft_overlong, weight: 1.0, args: {cache_tokens: 32}}"),),
    "mask-truncated": ("algorithm.mask_truncated=true",),
    # In fp32 the engine computes what the trainer does, so every weight is 1 up to rounding.
    "tis": ("algorithm.loss.mismatch=tis",),
}
