"""What a recipe may say about LoRA: low-rank adapters are trained, and the model itself stays as it is."""

import difflib
from typing import Annotated

from pydantic import Field, field_validator

from frugalrl.config.section import Positive, PositiveFloat, Section

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The projections of a layer, whose names Qwen2, Qwen3 and Llama share."""


class LoraSettings(Section):
    """Low-rank adapters (LoRA, arXiv 2106.09685) by peft: less memory, small checkpoints; see docs/lora.md."""

    rank: Positive = Field(32, description="of the two matrices that are trained beside each target")
    alpha: PositiveFloat = Field(128.0, description="the product of the two counts alpha / rank times")
    target: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        TARGETS, description=f"projections that get an adapter, of {', '.join(TARGETS)}"
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="on the input of an adapter, in the pass that learns only: never while sampling or measuring"
    )

    @field_validator("target")
    @classmethod
    def _targets_are_projections(cls, target: tuple[str, ...]) -> tuple[str, ...]:
        for name in target:
            if name not in TARGETS:
                close = difflib.get_close_matches(name, TARGETS, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(TARGETS)}"
                raise ValueError(f"there is no projection {name!r} ({hint})")
        if len(set(target)) < len(target):
            raise ValueError("a projection is named twice")
        return target
