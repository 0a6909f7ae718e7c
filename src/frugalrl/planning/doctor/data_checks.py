"""The problems of a run: golds that can be verified, and problems that are apart, new to the benchmarks, and enough."""

import math
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from frugalrl.config.schema import ProblemSource, TrainRecipe
from frugalrl.data.normalise import canonical
from frugalrl.errors import UserError
from frugalrl.evaluation.benchmark_loading import load_benchmark
from frugalrl.evaluation.benchmarks import BENCHMARKS, benchmark_in
from frugalrl.planning.doctor.finding import Finding, Level
from frugalrl.planning.doctor.gold_forms import gold_form_finding
from frugalrl.planning.doctor.held_out_checks import held_out_findings
from frugalrl.tasks.judging import compares_answers
from frugalrl.training.problem_sets import ProblemSets
from frugalrl.types import Problem
from frugalrl.verify.answers import default_pool
from frugalrl.verify.golds import GoldCheck, check_golds

_GOLDS = 64
"""Distinct golds that are tried, about ten comparisons each."""
_UNFIT: Mapping[str, str] = {
    "unparseable": "cannot be read",
    "not_itself": "are not accepted for themselves",
    "accepts_wrong": "accept a wrong answer",
    "slow": "take too long to compare",
}
_NEVER_PAID = ("unparseable", "not_itself")
_MANY_UNFIT, _MANY_TWICE, _MANY_CONFLICTS, _MANY_KNOWN = 0.1, 0.5, 0.02, 0.01
_SOME_TWICE = 0.05
_ONE_GOLD = 0.9
_HELD_OUT_GOLDS = 16
_DIFFERENT = 0.5
"""A column of answers has about as many values as there are problems."""
_FEW = 20
"""Problems below which one gold may be shared by most of them."""
_EPOCHS = 30
_MANY_PROBLEMS = 200_000
"""A run reads, renders and checks all of them before it starts."""
_LEAKED = 0.2
_LONG_GOLD_CHARS = 200


def data_findings(recipe: TrainRecipe, problems: ProblemSets, notes: Sequence[str]) -> list[Finding]:
    """What the problems show without a benchmark at hand. notes: what was said when they were loaded."""
    train = [prompt.problem for prompt in problems.train]

    def judged(split: str, held_out: Sequence[Problem]) -> list[Finding]:
        golds = golds_finding(recipe, held_out, recipe.seed, _HELD_OUT_GOLDS, split)
        return [golds, *_golds_at_sight(recipe, held_out, split)]

    return [
        _is_a_benchmark(recipe),
        golds_finding(recipe, train, recipe.seed),
        *_golds_at_sight(recipe, train),
        *held_out_findings(recipe, problems, judged),
        _twice(train),
        _enough(recipe, len(train)),
        _left_out(recipe, problems, notes),
    ]


def _golds_at_sight(recipe: TrainRecipe, problems: Sequence[Problem], split: str = "train") -> list[Finding]:
    """What is wrong with golds and problems without comparing answers."""
    compared = [problem for problem in problems if compares_answers(problem)]
    form = gold_form_finding(compared, lambda: _other_column(recipe, compared, "red", split))
    return [form, _one_gold(problems), _gold_in_the_prompt(problems)]


def _is_a_benchmark(recipe: TrainRecipe) -> Finding:
    source = recipe.data.train
    name = benchmark_in(source.source, source.split, source.subset)
    if name is not None:
        return Finding(
            "data/benchmark",
            "red",
            f"The training data are the benchmark {name}: no number measured on it would mean anything afterwards.",
            f"--set data.train.source=FILE of other problems, or {_other_split(recipe)}",
        )
    return Finding("data/benchmark", "green", "the training data are no known benchmark by name")


def _other_split(recipe: TrainRecipe) -> str:
    return "--set data.train.split=train" if recipe.data.train.split != "train" else "drop data.test"


def golds_finding(
    recipe: TrainRecipe, problems: Sequence[Problem], seed: int, most: int = _GOLDS, split: str = "train"
) -> Finding:
    """Whether golds can be read, and verify against themselves, on a sample of the distinct ones."""
    name = "data/golds"
    compared = [problem for problem in problems if compares_answers(problem)]
    if not compared:
        return Finding(name, "green", "answers are judged by tests or a checker, not by comparing golds")
    distinct = sorted({problem.gold for problem in compared})
    drawn = random.Random(seed).sample(distinct, min(most, len(distinct)))
    checks = check_golds(drawn, default_pool())
    weight = Counter(problem.gold for problem in compared)
    total = sum(weight[check.gold] for check in checks)
    lost = sum(weight[one.gold] for one in checks if any(problem in _NEVER_PAID for problem in one.problems))
    unfit = [check for check in checks if any(problem in _UNFIT for problem in check.problems)]
    long = sum(len(check.gold) > _LONG_GOLD_CHARS for check in checks)
    if not unfit and long <= len(checks) / 2:
        return Finding(name, "green", f"{len(checks)} of {len(distinct):,} different golds tried: all can be verified")
    level: Level = "red" if lost >= _MANY_UNFIT * total or long > len(checks) / 2 else "yellow"
    example = unfit[0] if unfit else max(checks, key=lambda check: len(check.gold))
    message = (
        f"{len(unfit)} of {len(checks)} golds tried {_why(unfit)}" if unfit else f"{long} golds are whole solutions"
    )
    return Finding(
        name,
        level,
        f"{message}, e.g. {_short(example.gold)!r} ({example.detail or 'very long'}).",
        _other_column(recipe, compared, level, split),
    )


def _why(unfit: Sequence[GoldCheck]) -> str:
    counts = Counter(problem for check in unfit for problem in check.problems if problem in _UNFIT)
    return " or ".join(_UNFIT[problem] for problem, _ in counts.most_common(2))


def _other_column(recipe: TrainRecipe, problems: Sequence[Problem], level: Level, split: str = "train") -> str:
    """A column of the rows whose entries can be verified, if the recipe's cannot; else where to see every one."""
    source: ProblemSource = getattr(recipe.data, split)
    listing = f"frugalrl check-golds {source.source} lists every one"
    if level != "red":
        return f"{listing}; correct those rows or take them out"
    names = {name for problem in problems[:_FEW] for name, value in problem.columns.items() if _is_short(value)}
    for name in sorted(
        filter(_may_hold_answers, names), key=lambda name: ("answer" not in name, "gold" not in name, name)
    ):
        values = sorted({str(one.columns[name]) for one in problems[:_FEW] if _is_short(one.columns.get(name))})
        if len(values) < 2 or len(values) < _DIFFERENT * len({one.text for one in problems[:_FEW]}):
            continue  # an index, a source or a level
        checks = check_golds(values, default_pool())
        if not any(set(check.problems) & set(_NEVER_PAID) for check in checks):
            return f"--set data.{split}.answer_field={name} (its entries can be verified); {listing}"
    return f"{listing}; name the column of the answers with --set data.{split}.answer_field=COLUMN, or correct the rows"


def _may_hold_answers(name: str) -> bool:
    return re.search(r"(^|_)(id|idx|index|row|number|level|source|url|key)$", name.lower()) is None


def _is_short(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool) and 0 < len(str(value)) < 40


def _one_gold(problems: Sequence[Problem]) -> Finding:
    golds = Counter(problem.gold for problem in problems if compares_answers(problem))
    if golds.total() >= _FEW and golds.most_common(1)[0][1] >= _ONE_GOLD * golds.total():
        gold, count = golds.most_common(1)[0]
        return Finding(
            "data/one_gold",
            "red",
            f"{count} of {golds.total()} problems have the same gold, {_short(gold)!r}: the policy would learn to "
            "write it without reading the problem.",
            "--set data.train.answer_field=COLUMN, the column of the answers",
        )
    return Finding("data/one_gold", "green", f"{len(golds):,} different golds")


def _gold_in_the_prompt(problems: Sequence[Problem]) -> Finding:
    """Whether the text of the problems is, or holds, their solutions."""
    compared = [problem for problem in problems if compares_answers(problem) and problem.gold]
    told = [problem for problem in compared if _tells(problem)]
    if len(told) > _LEAKED * max(1, len(compared)):
        return Finding(
            "data/leak",
            "red",
            f"{len(told)} of {len(compared)} problems state their gold as the answer in their own text, e.g. "
            f"{_short(told[0].text[-80:])!r}: the policy would learn to copy.",
            "--set data.train.problem_field=COLUMN, the column of the question alone",
        )
    return Finding("data/leak", "green", "the problems do not state their own answers")


def _tells(problem: Problem) -> bool:
    gold = re.escape(problem.gold)
    words = r"(?i:final|result|solution|therefore|thus|hence)\W+(?:\w+\W+){0,2}"
    spelled = rf"\\boxed\{{\s*{gold}\s*\}}|####\s*{gold}(?!\w)|(?i:answer(?: is|:)?)\s*\$?{gold}\$?(?![\w.]*\w)"
    spelled += rf"|=\s*\$?{gold}\$?\s*[.!]?\s*$|{words}\$?{gold}(?![\w.]*\w)"
    return re.search(spelled, problem.text) is not None


def _twice(problems: Sequence[Problem]) -> Finding:
    """Problems that stand in the data more than once, and those that do so with different golds."""
    name = "data/duplicates"
    golds: dict[str, set[str]] = {}
    for problem in problems:
        golds.setdefault(canonical(problem.text), set()).add(problem.gold)
    repeated = len(problems) - len(golds)
    conflicts = sum(len(own) > 1 for own in golds.values())
    share = repeated / len(problems)
    if share <= _SOME_TWICE and not conflicts:
        return Finding(name, "green", f"{len(golds):,} different problems, {repeated:,} of them more than once")
    is_red = share >= _MANY_TWICE or conflicts > _MANY_CONFLICTS * len(golds)
    return Finding(
        name,
        "red" if is_red else "yellow",
        f"{repeated:,} of {len(problems):,} problems are copies of others, and {conflicts:,} have different golds in "
        "different rows: what is right there is a matter of luck.",
        "frugalrl curate SPEC with the step duplicates, which also settles golds (docs/curation.md), then "
        "--set data.train.source=CURATED FILE",
    )


def _enough(recipe: TrainRecipe, count: int) -> Finding:
    per_step, steps = recipe.rollout.prompts_per_step, recipe.training.steps
    epochs = per_step * steps / count
    size = f"{count:,} training problems, {per_step:,} a step: each is seen {epochs:,.1f} times in {steps:,} steps"
    if count < per_step:
        return Finding(
            "data/enough",
            "red" if 2 * count <= per_step else "yellow",
            f"{size}, and some more than once in the same step.",
            _enough_problems(recipe, count),
        )
    if epochs > _EPOCHS:
        message = f"{size}: it will learn them by heart."
        return Finding("data/enough", "yellow", message, _enough_problems(recipe, count))
    return Finding("data/enough", "green", size)


def _enough_problems(recipe: TrainRecipe, count: int) -> str:
    """More of them where a limit holds them back; else steps that take fewer."""
    per_step, steps = min(recipe.rollout.prompts_per_step, count), recipe.training.steps
    if recipe.data.train.limit is not None and recipe.data.train.limit <= 1.1 * count:
        needed = max(recipe.rollout.prompts_per_step, math.ceil(recipe.rollout.prompts_per_step * steps / _EPOCHS))
        if needed <= _MANY_PROBLEMS:
            return f"--set data.train.limit={math.ceil(1.1 * needed)}"
    fewer = max(1, min(steps, int(count * _EPOCHS // per_step)))
    return f"--set rollout.prompts_per_step={per_step} --set training.steps={fewer}, or more problems"


def _left_out(recipe: TrainRecipe, problems: ProblemSets, notes: Sequence[str]) -> Finding:
    """How much of the training data the limits and the other splits take away."""
    lost = sum(int(found.replace(",", "")) for line in notes for found in re.findall(r"^Left out ([\d,]+) ", line))
    whole = lost + len(problems.train) + len(problems.held_out)
    said = " ".join(line for line in notes if line.startswith("Left out")) or "no problem is left out"
    if lost > _MANY_TWICE * whole:
        return Finding(
            "data/left_out",
            "yellow",
            f"{lost:,} of {whole:,} problems are not used: {said}",
            f"--set rollout.max_prompt_tokens={2 * recipe.rollout.max_prompt_tokens} if prompts are too long; give "
            "disjoint files for data.validation and data.test if they overlap",
        )
    return Finding("data/left_out", "green", said)


def overlap_finding(problems: Sequence[Problem], data_folder: Path) -> Finding:
    """Training problems that are problems of benchmarks in the shared data folder: same tokens, whatever the spelling.

    `frugalrl curate` finds restated ones too. Generated tasks keep their splits apart by themselves.
    """
    known: dict[str, str] = {}
    for benchmark in BENCHMARKS.values():
        is_local = benchmark.local_file is not None and (data_folder / benchmark.local_file).is_file()
        if is_local:
            try:
                loaded = load_benchmark(benchmark.name, data_folder)
            except UserError:
                continue
            known.update((canonical(one.text), benchmark.name) for one in loaded.problems)
    names = sorted(set(known.values()))
    if not names:
        return Finding("data/overlap", "green", f"not compared: there are no benchmarks in {data_folder}")
    found = Counter(known[key] for problem in problems if (key := canonical(problem.text)) in known)
    compared = f"compared with {', '.join(names)}"
    if not found:
        return Finding("data/overlap", "green", f"no training problem is in a benchmark ({compared})")
    worst = max(found[name] / BENCHMARKS[name].size for name in found)
    return Finding(
        "data/overlap",
        "red" if worst >= _MANY_KNOWN else "yellow",
        f"{found.total():,} training problems are benchmark problems ({', '.join(f'{n} {c}' for n, c in found.items())}"
        f"; {compared}): scores there would measure memory.",
        "frugalrl curate SPEC with the step decontaminate (docs/curation.md), then "
        "--set data.train.source=CURATED FILE",
    )


def _short(text: str, most_chars: int = 60) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most_chars else flat[: most_chars - 3] + "..."
