"""The benchmarks by name: where each comes from, how its golds are read, the prompt, how many samples.

Decisions:
- Published golds stay as they were published. What else is accepted (a lost exponent, a unit, a spelling that
  the verifier cannot read) is added in the tables below, keyed by the gold's text, so that a local copy and the
  Hub's are read alike; docs/benchmarks says why for each.
- The `aliases` of the local Minerva file are not taken over: 39 of the 136 rows that have any hold one that answers
  another sub-problem.
- A tolerance is used only where the data set states one.

Nothing is loaded here: `benchmark_loading` does that.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from frugalrl.config.schema import ARITHMETIC
from frugalrl.errors import DataError
from frugalrl.verify.maths.exact_numbers import TooLargeError, read_number

BOXED_TEMPLATE = "{problem}\n\nPlease reason step by step, and put your final answer within \\boxed{}."
"""What the authors of R1-Distill and Qwen2.5-Math recommend for mathematics."""
OPEN_RS_TEMPLATE = (
    "Solve the following math problem efficiently and clearly.  The last line of your response should be of the "
    "following format: 'Therefore, the final answer is: $\\boxed{ANSWER}$. I hope it is correct' (without quotes) "
    "where ANSWER is just the final number or expression that solves the problem. Think step by step before "
    "answering.\n\n{problem}"
)
"""The query template of the released evaluation tasks, two spaces after the first sentence included."""

DEFAULT_MAX_TOKENS = 4096
"""Of a completion without --max-tokens or a preset, or what the model's context leaves if that is less."""

GoldKind = Literal["integer", "latex"]


@dataclass(frozen=True)
class Benchmark:
    """Where a benchmark's rows are, and how they are asked and read."""

    name: str
    size: int
    """Problems in all; of the endless arithmetic task, how many are taken."""
    samples: int
    """k where nobody says otherwise: more where there are few problems."""
    hub_id: str | None = None
    hub_subset: str | None = None
    hub_split: str = "test"
    hub_problem_field: str = "problem"
    hub_answer_field: str = "answer"
    """A row without it gives the last box of `solution`."""
    local_file: str | None = None
    """Under the data folder; its fields are `problem` and `answer`."""
    golds: GoldKind = "latex"
    """integer: zero-padded ("025" is 25)."""
    template: str = BOXED_TEMPLATE


@dataclass(frozen=True)
class Preset:
    """A published way to ask and to sample."""

    template: str
    temperature: float
    top_p: float
    max_completion_tokens: int


@dataclass(frozen=True)
class Golds:
    """What counts as right for one problem."""

    accepted: tuple[str, ...]
    """The published gold first; any of them will do. Answers that are right together are one gold with commas."""
    tolerance: Fraction | None = None
    """A number as far as this from the published gold is right, too."""


PRESETS = {"open-rs": Preset(OPEN_RS_TEMPLATE, temperature=0.6, top_p=0.95, max_completion_tokens=32768)}
"""open-rs: arXiv 2503.16219, one sample a problem there."""

_ALL = (
    Benchmark(
        "aime24", 30, 16, "HuggingFaceH4/aime_2024", hub_split="train", local_file="bench/aime24.jsonl", golds="integer"
    ),
    Benchmark(
        "aime25", 30, 16, "yentinglin/aime_2025", hub_split="train", local_file="bench/aime25.jsonl", golds="integer"
    ),
    Benchmark("math500", 500, 4, "HuggingFaceH4/MATH-500", local_file="bench/math500.jsonl"),
    Benchmark("amc23", 40, 16, "knoveleng/AMC-23", hub_split="train", local_file="bench/amc23.jsonl"),
    Benchmark("minerva", 272, 4, "knoveleng/Minerva-Math", hub_split="train", local_file="bench/minerva_math.jsonl"),
    Benchmark(
        "olympiadbench", 675, 4, "knoveleng/OlympiadBench", hub_split="train", hub_problem_field="question",
        local_file="bench/olympiadbench.jsonl",
    ),
    Benchmark(
        "gsm8k", 1319, 1, "openai/gsm8k", hub_subset="main", hub_problem_field="question",
        local_file="bench/gsm8k_test.jsonl",
    ),
    Benchmark("arithmetic", 306, 4, template="{problem}"),
)  # fmt: skip
BENCHMARKS: Mapping[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}

_ALSO_ACCEPTED: Mapping[str, tuple[str, ...]] = {
    "np.arcsin(10/13)": ("\\arcsin{\\frac{10}{13}}",),
    "0.003": ("0.003^{\\prime \\prime}",),
    "6630": ("6630.65",),
    "0.264": ("0.265",),
    "4.4677": ("4.4677 \\times 10^{14}",),
    "(t + \\frac{1}{2} \\sin{2t}) u(t)": ("(t - \\frac{1}{2}\\sin(2t))u(t)",),
    "x^{\\prime}+\\frac{r}{V} x-r c=0": ("x' + \\frac{r}{V}x - rc = 0",),
    "\\frac{4 A}{3+3 i} e^{i t}": ("\\frac{4A}{3+3i}e^{it}",),
    "\\frac{e^{2 i t}}{(2+2 i)}": ("\\frac{e^{2it}}{2+2i}",),
    "\\frac{e^{2 i t}}{(2+2 i)}+C e^{-2 t}": ("\\frac{e^{2it}}{2+2i} + Ce^{-2t}",),
    "$t(0,4]$": ("(0,4]",),
}
"""Published gold -> what is accepted beside it. The last is OlympiadBench's, all others are Minerva's."""

UNREADABLE_GOLDS = {"minerva-27": "an equation of a derivative with \\odot as a subscript"}
"""Golds of which only the published spelling is recognised: another answer is `unknown`, never `correct`."""


def benchmark_named(name: str) -> Benchmark:
    """The benchmark of that name. Raises DataError with the nearest one."""
    if name in BENCHMARKS:
        return BENCHMARKS[name]
    close = difflib.get_close_matches(name.lower(), BENCHMARKS, n=1, cutoff=0.4)
    hint = f"Did you mean {close[0]}? " if close else ""
    raise DataError(
        f"There is no benchmark {name!r}. {hint}The benchmarks are {', '.join(BENCHMARKS)}; "
        "your own is the path of a .jsonl file."
    )


def benchmark_in(source: str, split: str, subset: str | None) -> str | None:
    """The benchmark that a data source is, by its Hub id or the name of its file; None if it is none we know.

    The training split of a benchmark that has one (GSM8K) is not the benchmark.
    """
    file = source.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".gz")
    for benchmark in _ALL:
        is_file = benchmark.local_file is not None and file == benchmark.local_file.rsplit("/", 1)[-1]
        on_the_hub = (benchmark.hub_id, benchmark.hub_split, benchmark.hub_subset)
        if is_file or on_the_hub == (source, split, subset):
            return benchmark.name
    return "arithmetic" if (source, split) == (ARITHMETIC, "test") else None


def preset_named(name: str) -> Preset:
    """The preset of that name. Raises DataError with those there are."""
    if name not in PRESETS:
        raise DataError(f"There is no preset {name!r}. Use {' or '.join(PRESETS)}, or leave --preset out.")
    return PRESETS[name]


def golds_of(kind: GoldKind, gold: str, columns: Mapping[str, Any]) -> Golds:
    """What counts as right, from a row's gold and its other columns (`unit`, `error` where it has them)."""
    published = str(int(gold)) if kind == "integer" and gold.isdecimal() else gold
    accepted = [published, *_ALSO_ACCEPTED.get(published, ())]
    unit = columns.get("unit")
    if isinstance(unit, str) and unit.strip():
        accepted.append(f"{published.strip('$')} {_written_unit(unit.strip().strip('$'))}")
    return Golds(tuple(accepted), _tolerance(columns.get("error")))


def is_within_tolerance(answer: str, golds: Golds) -> bool:
    """Whether a number is as near to the published gold as the data set allows."""
    if golds.tolerance is None:
        return False
    value, gold = _number(answer), _number(golds.accepted[0])
    return value is not None and gold is not None and abs(value - gold) <= golds.tolerance


def _written_unit(unit: str) -> str:
    return "\\%" if unit == "%" else unit


def _tolerance(error: object) -> Fraction | None:
    """Of a stated error such as ``"1e-1"``; None where there is none or it is no positive number."""
    try:
        value = float(str(error)) if error is not None else math.nan
    except ValueError:
        return None
    return Fraction(str(error)) if math.isfinite(value) and value > 0 else None


def _number(text: str) -> Fraction | None:
    try:
        number = read_number(text.strip().strip("$").removesuffix("%").removesuffix("\\").strip())
    except TooLargeError:
        return None
    return None if number is None else number.value
