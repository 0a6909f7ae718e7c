"""What a recipe may say about its algorithm: advantages, loss, entropy, truncation, reference.

docs/stability-options.md has every option's formula, source and cost. A named preset (`config/presets.py`) is
expanded before a recipe is validated, so the sections here always hold the effective values. The names of
surrogates, advantage rules and presets are those of their tables (`functions.py`, `config/presets.py`).
"""

from functools import partial
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from frugalrl.config.presets import PRESETS
from frugalrl.config.section import Fraction, NonNegative, Positive, PositiveFloat, Section
from frugalrl.functions import ADVANTAGE_PRESETS, ADVANTAGE_RULES, SURROGATES, Setting, known_name

PresetName = Annotated[str, AfterValidator(partial(known_name, table=PRESETS, what="preset", dotted=False))]
AdvantagePresetName = Annotated[
    str, AfterValidator(partial(known_name, table=ADVANTAGE_PRESETS, what="preset of advantages", dotted=False))
]
AdvantageRuleName = Annotated[str, AfterValidator(partial(known_name, table=ADVANTAGE_RULES, what="advantage rule"))]
SurrogateName = Annotated[str, AfterValidator(partial(known_name, table=SURROGATES, what="surrogate"))]


class AdvantageSettings(Section):
    """Group advantages: a preset, each part of which can be overridden. See algorithms/advantages.py."""

    rule: AdvantageRuleName = Field(
        "group", description="group: relative to the group; or the dotted path of your own function"
    )
    args: dict[str, Setting] = Field({}, description="settings of your own rule")
    preset: AdvantagePresetName = Field("trl", description=f"{', '.join(ADVANTAGE_PRESETS)}: the numbers to start from")
    center: Literal["mean", "leave_one_out", "none"] | None = Field(
        None, description="what is subtracted from a reward; null: as the preset says"
    )
    divisor: Literal["std", "none"] | None = Field(
        None, description="what the difference is divided by; null: as the preset says"
    )
    correction: Literal[0, 1] | None = Field(
        None, description="0: population std, 1: sample std; null: as the preset says"
    )
    epsilon: NonNegative | None = Field(None, description="added to the divisor; null: as the preset says")


class LossSettings(Section):
    """The surrogate, its masks and weights, the KL term and the aggregation of token losses."""

    surrogate: SurrogateName = Field(
        "ppo",
        description="ppo: token ratio clipped, gspo: sequence ratio clipped, cispo: clipped weight, sapo: soft gate; "
        "or the dotted path of your own function",
    )
    args: dict[str, Setting] = Field({}, description="settings of your own surrogate")
    clip_low: Fraction = Field(0.2, description="the ratio is clipped below 1 - clip_low")
    clip_high: NonNegative = Field(0.2, description="the ratio is clipped above 1 + clip_high")
    delta: PositiveFloat | None = Field(
        None, description="bound on the ratio where the advantage is negative (ppo, gspo); null: none"
    )
    tau_pos: PositiveFloat = Field(1.0, description="of sapo: temperature of the gate for positive advantages")
    tau_neg: PositiveFloat = Field(1.05, description="of sapo: for advantages that are not positive")
    kl_coef: NonNegative = Field(0.0, description="weight of the KL term; 0: no reference model is held")
    kl_estimator: Literal["k1", "k2", "k3", "k3_unbiased"] = Field(
        "k3", description="how KL is estimated from the sampled tokens; see docs/grpo.md"
    )
    aggregation: Literal["token", "sequence", "constant"] = Field(
        "token", description="token mean over the whole batch, mean of sequence means, or sum / constant"
    )
    constant_tokens: Positive | None = Field(None, description="the constant; null: max_completion_tokens")
    mismatch: Literal["none", "tis", "icepop", "sequence_mask"] = Field(
        "none", description="correction where engine and trainer disagree on log-probs; recomputes the old ones"
    )
    mismatch_cap: PositiveFloat | None = Field(
        None,
        description="of tis: the weight of a token is at most this; of sequence_mask: a completion whose weight is "
        "above is left out; null: 2 and 3",
    )
    mismatch_low: NonNegative = Field(0.5, description="of icepop: a token whose weight is below is masked")
    mismatch_high: PositiveFloat = Field(5.0, description="of icepop: a token whose weight is above is masked")
    off_policy_mask: PositiveFloat | None = Field(
        None,
        description="leave out completions with a negative advantage that are further off policy than this, "
        "nats a token; null: none",
    )

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> Self:
        if self.delta is not None and self.delta <= 1 + self.clip_high:
            raise ValueError("delta must be above 1 + clip_high, the bound for positive advantages")
        if self.mismatch_low >= self.mismatch_high:
            raise ValueError("mismatch_low must be below mismatch_high, or every token would be masked")
        return self


class EntropySettings(Section):
    """A bonus on the entropy of the policy: fixed, or held near a target. See algorithms/entropy.py."""

    coef: NonNegative = Field(0.0, description="weight of the bonus; where it starts if adaptive")
    adaptive: bool = Field(
        False, description="move coef by `step` a step, up while entropy is at most `target`, else down"
    )
    target: PositiveFloat = Field(0.2, description="nats a token; the bonus is off while entropy is above")
    step: PositiveFloat = Field(0.005, description="how far an adaptive coef moves after each step")
    coef_max: PositiveFloat = Field(1.0, description="the coefficient goes no higher")


class AlgorithmSettings(Section):
    """GRPO and its relatives."""

    preset: PresetName | None = Field(
        None, description=f"a published combination ({', '.join(PRESETS)}); keys set in the recipe win"
    )
    advantage: AdvantageSettings = Field(AdvantageSettings(), description="how rewards become advantages")
    loss: LossSettings = Field(
        LossSettings(), description="the surrogate, its corrections, the KL term and the aggregation"
    )
    entropy: EntropySettings = Field(EntropySettings(), description="a bonus on the policy's entropy")
    mask_truncated: bool = Field(
        False, description="truncated completions count in their group's baseline but not in the loss"
    )
    updates_per_batch: Positive = Field(1, description="optimizer updates made from one batch of rollouts")
    old_logprobs: Literal["auto", "rollout", "recompute"] = Field(
        "auto", description="auto: the rollout's when the engine computes exactly what the trainer does"
    )
    reference_place: Literal["auto", "device", "host"] = Field(
        "auto",
        description="device: the reference's weights lie beside the policy's; host: they wait in host memory and are "
        "on the GPU only while they score a batch, with the same bits; auto: host where weights, gradients and "
        "optimizer states would take more than half of the GPU's memory",
    )
    reference_reset_every: Positive | None = Field(
        None,
        description="steps after which the policy becomes the reference and the optimizer is reset; null: never",
    )

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if self.reference_reset_every is not None and self.loss.kl_coef == 0:
            raise ValueError("reference_reset_every resets the reference of the KL term, and loss.kl_coef is 0")
        if self.loss.mismatch != "none" and self.old_logprobs == "rollout":
            raise ValueError("loss.mismatch compares rollout with recomputed log-probs: old_logprobs can't be rollout")
        return self
