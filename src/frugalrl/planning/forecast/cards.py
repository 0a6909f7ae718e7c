"""What cards can do, by their makers' datasheets, written down from memory: compare before you rely on one. Pure.

Memory in GB (10^9 bytes, what torch reports as usable), bandwidth in GB/s, matrix rate in dense bf16 TFLOP/s with fp32
accumulation. Prices move weekly, so they are the user's: ``--usd-per-hour``, or `budget.usd_per_hour`. The one that
stands here is what Open-RS paid, $42 for 24 hours of four A40s, in the spring of 2025 (arXiv 2503.16219).
"""

import difflib
from dataclasses import dataclass

from frugalrl.errors import RecipeError

PRICE_SOURCE = "what Open-RS paid in spring 2025"


@dataclass(frozen=True)
class Card:
    """One accelerator."""

    name: str
    memory_gb: float
    bandwidth_gb: float
    tflops: float
    usd_per_hour: float | None
    source: str
    """Of memory, bandwidth and rate."""


_ALL = (
    Card("A40", 47.7, 696, 149.7, 0.44, "NVIDIA A40 datasheet (PB-10035)"),
    Card("A100-40GB", 42.3, 1555, 312, None, "NVIDIA A100 datasheet"),
    Card("A100-80GB", 85.0, 2039, 312, None, "NVIDIA A100 80GB SXM datasheet"),
    Card("L4", 23.7, 300, 121, None, "NVIDIA L4 datasheet; half of the rate stated with sparsity"),
    Card("L40S", 47.7, 864, 362, None, "NVIDIA L40S datasheet; half of the rate stated with sparsity"),
    Card("RTX-3090", 25.4, 936, 71, None, "NVIDIA GA102 whitepaper, appendix; bf16 with fp32 accumulation"),
    Card("RTX-4090", 25.3, 1008, 165.2, None, "NVIDIA Ada whitepaper, appendix A; bf16 with fp32 accumulation"),
    Card("H100", 85.0, 3350, 989.4, None, "NVIDIA H100 SXM datasheet; half of the rate stated with sparsity"),
    Card("H200", 150.0, 4800, 989.4, None, "NVIDIA H200 datasheet; half of the rate stated with sparsity"),
)
CARDS = {card.name.lower(): card for card in _ALL}


def card_named(name: str) -> Card:
    """The card of that name, however it is spelled. Raises RecipeError with the nearest one."""
    key = name.lower().replace(" ", "-").replace("_", "-").removeprefix("nvidia-")
    key = {"a100": "a100-80gb", "4090": "rtx-4090", "3090": "rtx-3090"}.get(key, key)
    if key in CARDS:
        return CARDS[key]
    close = difflib.get_close_matches(key, CARDS, n=1, cutoff=0.4)
    hint = f"Did you mean {CARDS[close[0]].name}? " if close else ""
    raise RecipeError(f"There is no card {name!r} in the table. {hint}Give one of {', '.join(c.name for c in _ALL)}.")
