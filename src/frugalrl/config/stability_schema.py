"""What a recipe may say about stability: the guard and the length schedule.

The guard's signs are not settings: their limits are calibrated together (training/guard/signs.py), and a sign only
requests an evaluation. docs/guard.md says where the defaults come from.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from frugalrl.config.section import Fraction, Positive, PositiveFloat, Section

Factor = Annotated[float, Field(gt=1)]
Share = Annotated[float, Field(gt=0, le=1)]


class GuardSettings(Section):
    """Watches a run, evaluates when something looks wrong, rolls back, and stops. See docs/guard.md."""

    enabled: bool = Field(True, description="watch, evaluate when needed, and act; `frugalrl guard RUN` replays")
    evaluation_share: Share = Field(
        0.05, description="tokens of the evaluations that the guard requests, as a share of those sampled for training"
    )
    error_rate: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05, description="probability of a rollback in a run whose accuracy never falls"
    )
    least_fall: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.05, description="a smaller drop in accuracy from the best evaluation is ignored"
    )
    confirm_steps: Positive = Field(5, description="a drop must still be there this many steps after it was found")
    max_rollbacks: Annotated[int, Field(ge=0)] = Field(2, description="then stop and keep the best")
    lr_factor: Share = Field(0.5, description="factor on the learning rate at each rollback")
    held_out: Annotated[int, Field(ge=0)] = Field(
        100, description="training problems held out for evaluation if there are no validation problems; 0: none"
    )


class LengthStage(Section):
    """A cap and how long it holds."""

    cap_tokens: Positive = Field(description="cap on completion tokens")
    steps: Positive = Field(
        description="how long it holds; relative: stages are stretched so that together they fill training.steps"
    )


class LengthScheduleSettings(Section):
    """How the cap on completion tokens of the rollouts moves. See docs/guard.md."""

    kind: Literal["adaptive", "stages", "deepscaler", "fastcurl"] = Field(
        "adaptive", description="adaptive: by what is measured; stages: your own; the others are published stages"
    )
    stages: tuple[LengthStage, ...] = Field((), description="of kind stages: caps in order")
    scale: PositiveFloat = Field(1.0, description="a published schedule's caps are multiplied by it")
    least_tokens: Positive | None = Field(
        None, description="of kind adaptive: smallest cap; null: half of max_completion_tokens"
    )
    most_tokens: Positive | None = Field(
        None, description="of kind adaptive: largest cap; null: twice max_completion_tokens"
    )
    every: Positive = Field(10, description="steps measured before each decision, of kind adaptive")
    factor: Factor = Field(1.25, description="the cap is multiplied or divided by it, of kind adaptive")
    grow_above: Fraction = Field(0.2, description="truncated share from which the cap grows")
    shrink_below: Fraction = Field(0.02, description="truncated share up to which the cap may shrink")
    tolerance: Fraction = Field(0.05, description="relative drop in reward per token that counts as one")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.kind == "stages") != bool(self.stages):
            raise ValueError("`stages` belong to kind stages, which needs at least one")
        if self.shrink_below >= self.grow_above:
            raise ValueError("shrink_below must lie below grow_above, or the cap would oscillate forever")
        if self.least_tokens and self.most_tokens and self.least_tokens > self.most_tokens:
            raise ValueError("least_tokens is above most_tokens")
        return self
