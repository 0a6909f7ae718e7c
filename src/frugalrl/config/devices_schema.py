"""What a recipe may say about the GPUs of a machine: the section `devices`, for trainers and servers."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from frugalrl.config.section import Section

Gpu = Annotated[int, Field(ge=0)]


class DeviceSettings(Section):
    """Which GPU of a machine does what, by numbers as the run sees them; see docs/scale.md."""

    train: tuple[Gpu, ...] = Field(
        (), description="GPU of each training process on a machine, in order; empty: the first ones that serve nothing"
    )
    serve: tuple[Annotated[tuple[Gpu, ...], Field(min_length=1)], ...] = Field(
        (),
        description="GPUs of each server that the run launches: [[2], [3]] for two, [[2, 3]] for one split over both; "
        "empty: one on each GPU that nobody trains on",
    )

    @model_validator(mode="after")
    def _nothing_is_given_twice(self) -> Self:
        serving = [gpu for server in self.serve for gpu in server]
        for name, gpus in (("train", list(self.train)), ("serve", serving)):
            if len(set(gpus)) < len(gpus):
                raise ValueError(f"{name} names a GPU twice")
        return self

    def refuse_for(self, device: str, launches: bool, arguments: Sequence[str]) -> None:
        """Raise ValueError for what contradicts the rest of a recipe.

        device: of the model. launches: whether the run launches servers. arguments: of those.
        """
        if self.serve and not launches:
            raise ValueError("devices.serve is of servers to launch: give rollout.engine with launch: true")
        if self.train and device == "cpu":
            raise ValueError("devices.train names GPUs and model.device is cpu: leave one of them out")
        shared = [gpu for server in self.serve for gpu in server if gpu in self.train]
        if shared and not any(one.startswith("--gpu-memory-utilization") for one in arguments):
            raise ValueError(
                f"devices lets GPU {shared[0]} train and serve, and vLLM takes nearly all of its memory: bound it with "
                "--gpu-memory-utilization in rollout.engine.arguments, or use another GPU"
            )
