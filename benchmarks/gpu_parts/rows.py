"""What a measurement yields, and what all of them are given."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from frugalrl.training.model.policy import Policy


@dataclass(frozen=True)
class Row:
    """One measured number, beside what was predicted and what the hardware allows."""

    part: str
    what: str
    value: float
    unit: str
    predicted: float | None = None
    limit: float | None = None
    """The best that the hardware of this run allows, in the same unit."""
    note: str = ""

    @property
    def share_of_limit(self) -> float | None:
        """1.0 is the limit: for times limit / value, for rates value / limit."""
        if self.limit is None or not self.value or math.isnan(self.value):
            return None
        return self.limit / self.value if self.unit in ("s", "ms", "GB") else self.value / self.limit


@dataclass(frozen=True)
class Limits:
    """Measured in the same run, on the same device."""

    copy_bytes_per_second: float
    """Read and written bytes of a large copy."""
    matrix_flops: float
    """Of a large square product in the model's dtype."""


@dataclass(frozen=True)
class Sizes:
    """How much work each measurement does."""

    batches: tuple[int, ...]
    widths: tuple[int, ...]
    tokens: int
    """Decoded twice as many in the long run of a pair, so that what a call costs besides is left out."""
    update_tokens: tuple[int, ...]
    completion_tokens: int
    prompt_tokens: int
    train_steps: int
    train_overrides: tuple[str, ...]


TOY = Sizes(
    (1, 4), (16, 32), 4, (256,), 24, 16, 2,
    ("rollout.prompts_per_step=2", "rollout.group_size=2", "rollout.max_completion_tokens=32",
     "data.prompt.system=null"),
)  # fmt: skip
REAL = Sizes((1, 18, 24, 72), (512, 1024, 2048, 4096), 32, (8192, 16384, 32768), 1990, 128, 3, ())
"""Of the issue: batches of 1 to 72 rows, widths to 4,096, a mean completion of 1,990 tokens (Open-RS, experiment 2)."""


@dataclass(frozen=True)
class Setup:
    """What a measurement is given."""

    folder: Path
    """For files; removed at the end."""
    model: Path
    policy: Policy
    dtype: str
    limits: Limits
    sizes: Sizes
    repeats: int
    recipe: str
    is_recomputing: bool
    """Whether the backward pass computes activations again."""
    vllm: Path | None
    """An environment that holds vLLM."""

    @property
    def device(self) -> torch.device:
        return self.policy.device

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"


def seconds_of(run: Callable[[], object], device: torch.device, repeats: int) -> float:
    """The median time of a call, after one call that does not count; the device has finished its work."""
    times = []
    for _ in range(repeats + 1):
        synchronize(device)
        began = time.perf_counter()
        run()
        synchronize(device)
        times.append(time.perf_counter() - began)
    return sorted(times[1:])[repeats // 2]


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
