"""What a recipe may say about the optimizer: its rates, its schedule, and where and how exactly its states are kept."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from frugalrl.config.section import Fraction, NonNegative, PositiveFloat, Section

_MAX_LEARNING_RATE = 1e3


class OptimizerSettings(Section):
    """AdamW (or Muon for hidden matrices) and its learning-rate schedule."""

    name: Literal["adamw", "muon"] = Field("adamw", description="muon: hidden matrices by Muon, the rest by AdamW")
    learning_rate: PositiveFloat = Field(
        1e-6,
        allow_inf_nan=True,
        description="AdamW's full rate, after the warm-up; 1e-6 (1.5B) to 3e-3 (the tiny model) have worked here; "
        "1e-5 by default in an SFT recipe",
    )
    muon_learning_rate: PositiveFloat = Field(
        0.02, allow_inf_nan=True, description="of the hidden matrices, if name is muon"
    )
    beta1: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="of AdamW: decay of the mean of gradients")
    beta2: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.999, description="of AdamW: decay of the mean of their squares"
    )
    epsilon: PositiveFloat = Field(1e-8, description="of AdamW: added to the divisor")
    weight_decay: NonNegative = Field(0.0, description="of both optimizers")
    max_grad_norm: PositiveFloat = Field(1.0, description="the gradient's norm is clipped to it")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="of the rate after the warm-up")
    warmup_fraction: Fraction = Field(0.1, description="share of all steps in which the rate rises linearly from 0")
    min_lr_fraction: Fraction = Field(0.1, description="the floor, as a share of the full rate")
    state_bits: Literal[32, 8] = Field(
        32,
        description="of each of AdamW's two moments; 8: matrices but the embedding, by bitsandbytes: 2 bytes a weight "
        "instead of 8, and other numbers; see docs/scale.md",
    )
    offload: bool = Field(
        False,
        description="keep fp32 masters and moments in host memory and update there: the same arithmetic, less GPU "
        "memory, some seconds an update; see docs/scale.md",
    )

    @field_validator("learning_rate", "muon_learning_rate")
    @classmethod
    def _rate_can_be_meant(cls, rate: float) -> float:
        """AdamW moves each weight by about the rate. A rate too high but meant is for the alarms, which end a run; with
        a large epsilon AdamW is SGD, whose rates may well be above 1."""
        if rate > _MAX_LEARNING_RATE:
            raise ValueError(
                f"a learning rate of {rate:g} destroys any model at the first update: 1e-6 (1.5B) to 3e-3 (the tiny "
                f"model) have worked, 0.02 for Muon, and {_MAX_LEARNING_RATE:g} is the most that is taken"
            )
        return rate

    @model_validator(mode="after")
    def _decay_leaves_something(self) -> Self:
        rate = max(self.learning_rate, self.muon_learning_rate if self.name == "muon" else 0.0)
        if rate * self.weight_decay >= 1:
            raise ValueError("learning rate x weight_decay is 1 or more: each step would turn the weights' signs")
        return self

    @model_validator(mode="after")
    def _savings_are_of_adamw(self) -> Self:
        if self.name == "muon" and self.state_bits != 32:
            raise ValueError("state_bits is of AdamW's moments, and muon keeps one of its own: use adamw, or 32")
        if self.name == "muon" and self.offload:
            raise ValueError("muon multiplies matrices at each update, too slow on the host: use adamw, or no offload")
        return self
