"""What a recipe may say about a run's length: steps, checkpoints, budget, and when to end early.

Pure shape, as the rest of the schema: whether a budget holds is checked by the run (training/limits).
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from frugalrl.config.section import Positive, PositiveFloat, Section

MirrorUrl = Annotated[
    str | None,
    Field(
        min_length=1,
        description="URL that the run's folder is copied to as it grows (s3://, gs://, file:///..., hf://org/name); "
        "--resume takes up from it on a fresh machine; see docs/rented-gpu.md; null: none",
    ),
]


class TrainingSettings(Section):
    """How long, how much at once, and what is kept."""

    steps: Positive = Field(description="batches of rollouts to learn from; the learning-rate schedule ends with them")
    micro_batch_tokens: Positive = Field(
        16384,
        description="tokens of a forward pass at most, the prompt of each completion included; on a CPU at most 2048",
    )
    logits_chunk_tokens: Positive = Field(1024, description="tokens whose logits exist at once")
    save_every: Positive | None = Field(
        None,
        description="steps between checkpoints to resume from; null: none between. The best by validation, the last "
        "step and the kept model are saved in any case, and the newest step after an error or a request to stop",
    )
    keep_last: Positive | None = Field(
        None, description="newest checkpoints to keep, beside best and the one to resume from; null: all"
    )
    keep_steps: tuple[Positive, ...] = Field((), description="steps whose checkpoints are never removed")
    mirror: MirrorUrl = None


class BudgetSettings(Section):
    """What a run may cost. It ends in time to evaluate and save within the cap; see docs/checkpoints.md."""

    hours: PositiveFloat | None = Field(None, description="by the clock, over all resumes")
    usd: PositiveFloat | None = Field(None, description="hours x usd_per_hour; needs usd_per_hour")
    usd_per_hour: PositiveFloat | None = Field(None, description="price of the machine; alone, it only logs the cost")
    tokens: Positive | None = Field(None, description="completion tokens sampled, evaluations included")
    steps: Positive | None = Field(None, description="fewer than training.steps, under the same schedule")

    @model_validator(mode="after")
    def _dollars_need_a_price(self) -> Self:
        if self.usd is not None and self.usd_per_hour is None:
            raise ValueError("a budget in usd needs the machine's price: give usd_per_hour")
        return self


class SelectionSettings(Section):
    """Which checkpoint is kept: the best on validation, see docs/reading-the-numbers.md."""

    patience: Positive | None = Field(
        None,
        description="end the run after so many evaluations in a row that did not beat the best one, or when one is "
        "worse than it with p < 0.05; null: never",
    )
