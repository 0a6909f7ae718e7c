"""The benchmarks by name: where each comes from, how its golds are read, the prompt, how many samples.

Decisions:
- What is accepted besides a published gold, a unit or a stated tolerance belongs to each problem: `tasks.maths`.
- The `aliases` of the local Minerva file are not taken over: 39 of the 136 rows that have any hold one that answers
  another sub-problem.

Nothing is loaded here: `benchmark_loading` does that.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from frugalrl.errors import DataError
from frugalrl.tasks.choice import GPQA_PROMPT
from frugalrl.tasks.code import TASK as CODE
from frugalrl.tasks.maths import BOXED_TEMPLATE

OPEN_RS_TEMPLATE = (
    "Solve the following math problem efficiently and clearly.  The last line of your response should be of the "
    "following format: 'Therefore, the final answer is: $\\boxed{ANSWER}$. I hope it is correct' (without quotes) "
    "where ANSWER is just the final number or expression that solves the problem. Think step by step before "
    "answering.\n\n{problem}"
)
"""The query template of the released evaluation tasks, two spaces after the first sentence included."""

DEFAULT_MAX_TOKENS = 32768
"""The cap without --max-tokens or a preset, or what the model's context leaves if that is less: what reasoning models
are evaluated with (Open-RS, open-r1)."""

GoldKind = Literal["integer", "latex"]


@dataclass(frozen=True)
class Benchmark:
    """Where a benchmark's rows are, and how they are prompted and read."""

    name: str
    size: int
    """Problems in all; of an endless task, how many are taken."""
    samples: int
    """The default k: more if there are few problems."""
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
    task: str | None = None
    """The task that generates it; None: it is a table."""
    judged_by: str | None = None
    """The task that judges its rows; None: told by the rows."""
    max_tokens: int = DEFAULT_MAX_TOKENS
    """The default cap on a completion."""


@dataclass(frozen=True)
class Preset:
    """A published prompt and sampling setting."""

    template: str
    temperature: float
    top_p: float
    max_completion_tokens: int


PRESETS = {"open-rs": Preset(OPEN_RS_TEMPLATE, temperature=0.6, top_p=0.95, max_completion_tokens=32768)}
"""open-rs: arXiv 2503.16219, one sample per problem there."""

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
        local_file="bench/gsm8k_test.jsonl", max_tokens=8192,
    ),
    Benchmark(
        "gpqa-diamond", 198, 8, "Idavidrein/gpqa", hub_subset="gpqa_diamond", hub_split="train",
        hub_problem_field="Question", hub_answer_field="Correct Answer", local_file="bench/gpqa_diamond.jsonl",
        template=GPQA_PROMPT, judged_by="choice",
    ),
    Benchmark(
        "humaneval", 164, 8, "openai/openai_humaneval", hub_problem_field="prompt",
        hub_answer_field="canonical_solution", local_file="bench/humaneval.jsonl", template=CODE.prompt,
        judged_by="code", max_tokens=16384,
    ),
    Benchmark(
        "mbpp", 399, 4, local_file="bench/mbpp_399.jsonl", template=CODE.prompt, judged_by="code", max_tokens=16384
    ),
    Benchmark("logic", 300, 4, task="logic", template="{problem}", max_tokens=16384),
    Benchmark("arithmetic", 306, 4, task="arithmetic", template="{problem}", max_tokens=4096),
)  # fmt: skip
BENCHMARKS: Mapping[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}


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
        is_of_a_task = benchmark.task is not None and (source, split) == (benchmark.task, "test")
        if is_file or is_of_a_task or on_the_hub == (source, split, subset):
            return benchmark.name
    return None


def preset_named(name: str) -> Preset:
    """The preset of that name. Raises DataError with those there are."""
    if name not in PRESETS:
        raise DataError(f"There is no preset {name!r}. Use {' or '.join(PRESETS)}, or leave --preset out.")
    return PRESETS[name]
