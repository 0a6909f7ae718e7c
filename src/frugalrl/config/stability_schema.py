"""What a recipe may say about stability: the guard and the length schedule.

Each signal of the guard has a section of its own, so that its threshold has a unit that can be read: a factor, a
share, or a number of its own noise. Where the defaults come from is in docs/guard.md.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from frugalrl.config.section import Fraction, NonNegative, Positive, PositiveFloat, Section

Highest = Literal["none", "warn", "rollback"]
Factor = Annotated[float, Field(gt=1)]
Share = Annotated[float, Field(gt=0, le=1)]


class SignalSettings(Section):
    """What every signal of the guard has."""

    action: Highest = Field("rollback", description="the most it may cause; none switches the signal off")


class RatioSignal(SignalSettings):
    """Fires at a multiple of the early level, or of `floor` where that is larger."""

    threshold: Factor = Field(10.0, description="times the early level")
    floor: NonNegative = Field(0.0, description="the least early level that is believed")


class ShareSignal(SignalSettings):
    """Fires when a share rises above its early level by more than the threshold."""

    threshold: Share = Field(0.25, description="rise above the early level, in 0..1")


class KlSignal(RatioSignal):
    """`policy/kl`; absent where no reference is held."""

    floor: NonNegative = Field(0.03, description="nats: KL starts at 0, so a multiple of its start means little")


class EntropyLowSignal(RatioSignal):
    """`policy/entropy` collapsing: below the early level divided by the threshold."""

    threshold: Factor = Field(10.0, description="the early level is divided by it")


class EntropyHighSignal(RatioSignal):
    """`policy/entropy` exploding."""

    threshold: Factor = 3.0
    floor: NonNegative = Field(0.05, description="nats")


class GradNormSignal(RatioSignal):
    """`policy/grad_norm`, before clipping."""

    threshold: Factor = 10.0


class ClippedSignal(ShareSignal):
    """`policy/clipped_frac`."""

    threshold: Share = 0.2


class TruncatedSignal(ShareSignal):
    """`completion/truncated_frac`."""

    threshold: Share = 0.25


class ZeroStdSignal(ShareSignal):
    """`group/zero_std_frac`, while the reward is not above its early level: answers that are alike and no better."""

    threshold: Share = 0.25


class RepetitionSignal(ShareSignal):
    """`meter/repeated_frac`."""

    threshold: Share = 0.1


class LanguageSignal(ShareSignal):
    """`meter/foreign_completion_frac`. Accuracy can hold meanwhile, and a rollback leaves what drew it."""

    action: Highest = Field("warn", description="as above")
    threshold: Share = 0.25


class RewardSignal(SignalSettings):
    """`reward/mean` falling below its best level."""

    threshold: PositiveFloat = Field(4.0, description="fall from the best level, in standard deviations of a step")


class ValidationSignal(SignalSettings):
    """`validation/avg_at_k` below its best by more than the noise of both."""

    threshold: PositiveFloat = Field(2.0, description="fall from the best, in the joint half-width of both intervals")


class GamingSignal(SignalSettings):
    """The training reward rose since the best validation accuracy, which fell by more than its interval."""

    threshold: PositiveFloat = Field(3.0, description="fall from the best, in half-widths of the interval")


class NonFiniteSignal(SignalSettings):
    """A loss or gradient that is not finite, or an update that was skipped for it. Acts at once."""


class GuardSettings(Section):
    """Watches a run, warns, rolls back, and stops. See docs/guard.md."""

    enabled: bool = Field(False, description="act on what is seen; `frugalrl guard RUN` replays any run")
    baseline_steps: Positive = Field(10, description="the run's own first steps, which are its early level")
    noise: NonNegative = Field(3.0, description="a limit is at least this many deviations from the early level")
    smoothing: Positive = Field(5, description="steps whose median is looked at: a single step never counts")
    patience: Positive = Field(5, description="smoothed steps over the limit, of the last `window`, before it fires")
    window: Positive = 8
    clear_at: Fraction = Field(0.5, description="clears below this share of the way from early level to limit")
    escalate_steps: Positive = Field(5, description="steps a signal fires on before the warning becomes a rollback")
    severe: Factor = Field(1.75, description="times the way from early level to limit: roll back without a warning")
    trust_validation: bool = Field(
        True, description="no rollback past an evaluation that is later than the signal and as good as the best"
    )
    cooldown_steps: Positive = Field(10, description="steps from a rollback until anything is done again")
    max_rollbacks: Annotated[int, Field(ge=0)] = Field(2, description="then stop and keep the best")
    lr_factor: Share = Field(0.5, description="what the learning rate is multiplied with at each rollback")
    kl: KlSignal = KlSignal()
    entropy_low: EntropyLowSignal = EntropyLowSignal()
    entropy_high: EntropyHighSignal = EntropyHighSignal()
    grad_norm: GradNormSignal = GradNormSignal()
    clipped: ClippedSignal = ClippedSignal()
    truncated: TruncatedSignal = TruncatedSignal()
    zero_std: ZeroStdSignal = ZeroStdSignal()
    repetition: RepetitionSignal = RepetitionSignal()
    language: LanguageSignal = LanguageSignal()
    reward: RewardSignal = RewardSignal()
    validation: ValidationSignal = ValidationSignal()
    gaming: GamingSignal = GamingSignal()
    nonfinite: NonFiniteSignal = NonFiniteSignal()

    @model_validator(mode="after")
    def _patience_fits_the_window(self) -> Self:
        if self.patience > self.window:
            raise ValueError(f"patience {self.patience} can never be reached in a window of {self.window} steps")
        return self


class GuardPart(Section):
    """The part of a recipe that a replay needs."""

    guard: GuardSettings = GuardSettings()


class LengthStage(Section):
    """A cap and how long it holds."""

    cap_tokens: Positive
    steps: Positive = Field(description="relative: stages are stretched so that together they fill training.steps")


class LengthScheduleSettings(Section):
    """How the cap on completion tokens of the rollouts moves. See docs/guard.md."""

    kind: Literal["adaptive", "stages", "deepscaler", "fastcurl"] = "adaptive"
    stages: tuple[LengthStage, ...] = Field((), description="of kind stages")
    scale: PositiveFloat = Field(1.0, description="a published schedule's caps are multiplied by it")
    least_tokens: Positive | None = Field(None, description="of kind adaptive; null: half of max_completion_tokens")
    most_tokens: Positive | None = Field(None, description="of kind adaptive; null: twice max_completion_tokens")
    every: Positive = Field(10, description="steps measured before each decision, of kind adaptive")
    factor: Factor = Field(1.25, description="the cap is multiplied or divided by it, of kind adaptive")
    grow_above: Fraction = Field(0.2, description="truncated share from which the cap grows")
    shrink_below: Fraction = Field(0.02, description="truncated share up to which the cap may shrink")
    tolerance: Fraction = Field(0.05, description="fall of reward per token, as a share, that counts as one")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.kind == "stages") != bool(self.stages):
            raise ValueError("`stages` belong to kind stages, which needs at least one")
        if self.shrink_below >= self.grow_above:
            raise ValueError("shrink_below must lie below grow_above, or the cap would go up and down for ever")
        if self.least_tokens and self.most_tokens and self.least_tokens > self.most_tokens:
            raise ValueError("least_tokens is above most_tokens")
        return self
