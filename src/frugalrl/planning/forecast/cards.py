"""What cards can do and cost, each figure with where it was read. Pure.

Memory in GB (10^9 bytes, what torch reports as usable), bandwidth in GB/s, matrix rate in dense bf16 TFLOP/s with fp32
accumulation. Most figures were read in public tables that quote the makers' datasheets, not in the datasheets; from
memory are the usable memory, the A100-80GB's bandwidth (of the SXM board; the table has the PCIe board's 1,940) and the
RTX-3090's rate. None has been measured on a card.

Prices are dated list prices of one provider (RunPod), as others have transcribed them from its page; prices move, so
give your own with ``--usd-per-hour`` or `budget.usd_per_hour`. Open-RS paid $42 for 24 hours of four A40s, $0.44 an
hour, in the spring of 2025 (arXiv 2503.16219).
"""

import difflib
from dataclasses import dataclass

from frugalrl.errors import RecipeError


@dataclass(frozen=True)
class Price:
    """Of an hour, where and when."""

    usd_per_hour: float
    source: str


@dataclass(frozen=True)
class Card:
    """One accelerator."""

    name: str
    memory_gb: float
    bandwidth_gb: float
    tflops: float
    price: Price | None
    source: str
    """Of memory, bandwidth and rate."""


_TABLE = "github.com/astroC86/gpu-datasheet, which quotes NVIDIA's datasheet"
_SPECS = "github.com/winston-zhang-orz/gpu-specs (dense rate)"
_HALF = "half of its rate, which is with sparsity"

_ALL = (
    Card(
        "A40",
        47.7,
        696,
        149.7,
        Price(0.44, "RunPod secure, 2026-08-19, huggingface.co/datasets/privum/ai-compute-prices; as Open-RS paid"),
        _TABLE,
    ),
    Card("A100-40GB", 42.3, 1555, 312, None, _TABLE),
    Card(
        "A100-80GB",
        85.0,
        2039,
        312,
        Price(1.79, "RunPod secure, 2026-10-19, huggingface.co/datasets/600me/gpu-cloud-h100-a100-pricing-benchmark"),
        f"{_TABLE}; bandwidth from memory",
    ),
    Card("L4", 23.7, 300, 121, None, f"{_SPECS}; bandwidth: store.sourcecode.com"),
    Card("L40S", 47.7, 864, 362, None, f"{_SPECS}; bandwidth: www.mullet.se, which quotes NVIDIA's datasheet"),
    Card("RTX-3090", 25.4, 936, 71, None, f"{_TABLE}; rate from memory (GA102 whitepaper, fp32 accumulation)"),
    Card(
        "RTX-4090",
        25.3,
        1008,
        165.2,
        None,
        "gist.github.com/mikasenghaas/d63ded03f1f0417b1677627119bacc0d (165, 1,008)",
    ),
    Card(
        "H100",
        85.0,
        3350,
        989.4,
        Price(3.99, "RunPod secure, SXM, 2026-11-09, github.com/datareceipts/data-receipts, 109-gpu-pricing"),
        f"{_TABLE}, {_HALF}",
    ),
    Card(
        "H200",
        150.0,
        4800,
        989.4,
        Price(4.59, "RunPod, 2026-10-07, github.com/api-evangelist/runpod"),
        f"{_TABLE}, {_HALF}",
    ),
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
