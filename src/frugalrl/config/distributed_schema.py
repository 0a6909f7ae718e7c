"""What a recipe may say about several processes: the section `distributed`, which a run in one process ignores."""

from typing import Annotated, Literal

from pydantic import Field

from frugalrl.config.section import Section

_DAY_SECONDS = 86400.0


class DistributedSettings(Section):
    """How the processes of `torchrun` share a run; ignored by a run in one process. See docs/scale.md."""

    weights: Literal["auto", "replicated", "sharded"] = Field(
        "auto",
        description="replicated: each process holds model and optimizer whole, and gradients are added up once an "
        "update; sharded: each holds its part of them (FSDP2); auto: replicated where that takes at most half of the "
        "memory of the smallest device",
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=_DAY_SECONDS)] = Field(
        1800.0, description="how long a process waits for a slower one before the run ends"
    )
