"""Verdicts and rewards for stored completions, as training would give them.

A row out for each row in, in order, with every column it had, and `verdict`, `extracted`, `reason`, `seconds` and a
column for each reward. Rows that follow each other with the same problem are one group. Without a column of token ids,
lengths in tokens are estimated, and the summary says so.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from frugalrl.data.columns import GOLD_NAMES, conversation, has, several_golds, value_at
from frugalrl.errors import DataError
from frugalrl.rewards.rubric import Rubric, term_values
from frugalrl.tasks.judging import compares_answers, judge_groups_timed
from frugalrl.tasks.loading import row_problem, task_of
from frugalrl.tasks.registry import task_named
from frugalrl.text.reasoning import prefills_think
from frugalrl.types import Check, Completion, Problem, Prompt, RolloutGroup
from frugalrl.verify.workers.pool import Judgement, VerifierPool

_COMPLETION_FIELDS = ("completion", "prediction", "response", "output", "generation")
_GOLD_FIELDS = ("gold", "answer", *GOLD_NAMES[1:])
_PROBLEM_FIELDS = ("problem", "question")
_CHARS_PER_TOKEN = 3.5
"""Of English with mathematics under the tokenizers of Qwen2.5 and Llama 3, roughly; for estimates only."""
_ROWS_AT_ONCE = 512
"""Scored and written together: memory stays flat however long the file is."""


@dataclass(frozen=True)
class _Row:
    values: Mapping[str, Any]
    completion: str
    where: str
    golds: tuple[str, ...]
    """Accepted answers, of which any will do."""
    prompt: str
    reasoning_open: bool
    group_key: object
    task: str
    """That judges it."""


def scored_rows(
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    rubric: Rubric,
    pool: VerifierPool,
    reasoning_open: bool,
    tally: "Tally",
    task: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Each row with its verdict and rewards, which are counted in `tally`.

    rows: with what each is called in messages. reasoning_open: whether every prompt had opened ``<think>``.
    task: that judges all rows; None: each row's columns decide.
    Raises DataError for a row without a completion or a gold.
    """
    for batch in _batches(_read(values, where, reasoning_open, task) for where, values in rows):
        yield from _scored(batch, rubric, pool, tally)


# ---------------------------------------------------------------------------------------------------- rows


def _read(values: Mapping[str, Any], where: str, reasoning_open: bool, task: str | None) -> _Row:
    completion = _first(values, _COMPLETION_FIELDS, where, "completion")
    messages = conversation(completion)
    completion = completion if messages is None else messages[-1]["content"]
    judged_by = task or task_of(values)
    needs_gold = task_named(judged_by).needs_gold
    gold = several_golds(_first(values, _GOLD_FIELDS, where, "gold answer")) if needs_gold else ""
    prompt = values["prompt"] if isinstance(values.get("prompt"), str) else ""
    problem = next((values[name] for name in _PROBLEM_FIELDS if name in values), prompt)
    return _Row(
        values,
        completion if isinstance(completion, str) else "",
        where,
        tuple(map(str, gold)) if isinstance(gold, list) else (str(gold if gold is not None else ""),),
        prompt,
        reasoning_open or values.get("reasoning_open") is True or prefills_think(prompt),
        problem or object(),
        judged_by,
    )


def _first(values: Mapping[str, Any], names: Sequence[str], where: str, what: str) -> Any:
    for name in names:
        if has(values, name):
            return value_at(values, name)
    raise DataError(f"{where} has no {what} (columns: {', '.join(values)}). Name a column {' or '.join(names[:2])}.")


def _batches(rows: Iterable[_Row]) -> Iterable[list[_Row]]:
    """Whole groups, `_ROWS_AT_ONCE` rows or a little more at once."""
    batch: list[_Row] = []
    for _, group in groupby(rows, key=_group_key):
        batch.extend(group)
        if len(batch) >= _ROWS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _scored(batch: Sequence[_Row], rubric: Rubric, pool: VerifierPool, tally: "Tally") -> Iterable[dict[str, Any]]:
    members = [list(own) for _, own in groupby(batch, key=_group_key)]
    groups = [_group(rows) for rows in members]
    for rows, group, judged in zip(members, groups, judge_groups_timed(groups, pool), strict=True):
        columns = term_values(rubric, group, [judgement.verdict for judgement in judged])
        for index, (row, judgement) in enumerate(zip(rows, judged, strict=True)):
            rewards = {name: values[index] for name, values in columns.items()}
            tally.add(row, judgement, rewards, compares_answers(group.prompt.problem))
            yield {**row.values, **_verdict_columns(judgement), **rewards}


def _group_key(row: _Row) -> tuple[object, ...]:
    return row.group_key, row.golds, row.reasoning_open, row.task


def _verdict_columns(judgement: Judgement) -> dict[str, Any]:
    verdict = judgement.verdict
    return {
        "verdict": verdict.label,
        "extracted": verdict.extracted,
        "reason": verdict.reason,
        "seconds": round(judgement.seconds, 6),
    }


def _group(rows: Sequence[_Row]) -> RolloutGroup:
    first = rows[0]
    text = next((str(first.values[name]) for name in _PROBLEM_FIELDS if name in first.values), first.prompt)
    golds = first.golds or ("",)
    check = Check(also_accepted=golds[1:])
    read = Problem(str(first.values.get("id", "")), text, golds[0], first.values, check)
    problem = row_problem(read, first.where, first.task)
    opening = "<think>\n" if first.reasoning_open and not prefills_think(first.prompt) else ""
    prompt = Prompt(problem, first.prompt + opening, ())
    return RolloutGroup(prompt, tuple(_completion(row) for row in rows))


def _completion(row: _Row) -> Completion:
    token_ids = row.values.get("completion_ids")
    if not isinstance(token_ids, list):
        token_ids = [0] * round(len(row.completion) / _CHARS_PER_TOKEN)
    finish_reason = "length" if row.values.get("finish_reason") == "length" else "stop"
    count = len(token_ids)
    return Completion(row.completion, tuple(token_ids), (0.0,) * count, finish_reason, (0,) * count, 0)  # type: ignore[arg-type]  # a literal


# ------------------------------------------------------------------------------------------------- summary


class Tally:
    """What the summary counts."""

    def __init__(self) -> None:
        self.labels: Counter[str] = Counter()
        self.tasks: Counter[str] = Counter()
        self.reasons: dict[str, Counter[str]] = {label: Counter() for label in ("correct", "incorrect", "unknown")}
        self.sums: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.estimated = 0
        self.unboxed = 0
        self.slowest = 0.0

    def add(self, row: _Row, judgement: Judgement, rewards: Mapping[str, float | None], compares_answers: bool) -> None:
        verdict = judgement.verdict
        self.labels[verdict.label] += 1
        self.tasks[row.task] += 1
        self.reasons[verdict.label][verdict.reason] += 1
        self.slowest = max(self.slowest, judgement.seconds)
        self.estimated += not isinstance(row.values.get("completion_ids"), list)
        self.unboxed += compares_answers and verdict.extracted is not None and "\\boxed" not in row.completion
        for name, value in rewards.items():
            if value is not None:
                self.sums[name] += value  # type: ignore[assignment]  # Counter adds floats as well as integers
                self.counts[name] += 1

    def shares(self) -> dict[str, float | None]:
        """Of each verdict among all; None where nothing was counted."""
        total = sum(self.labels.values())
        return {label: self.labels[label] / total if total else None for label in self.reasons}

    def means(self, names: Sequence[str]) -> dict[str, float | None]:
        """Of each reward over the completions that have a value."""
        return {name: self.sums[name] / self.counts[name] if self.counts[name] else None for name in names}

    def summary(self, names: Sequence[str]) -> str:
        """The printed text."""
        total = sum(self.labels.values())
        judged = ", ".join(f"{count} as {task}" for task, count in self.tasks.most_common())
        lines = [f"{total} completions, slowest verdict {self.slowest:.2f} s; judged {judged or 'none'}"]
        for label, reasons in self.reasons.items():
            shown = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
            lines.append(f"  {label:<10}{self.labels[label]:>7}  {shown}")
        for name in names:
            mean = f"mean {self.sums[name] / self.counts[name]:.4f}" if self.counts[name] else "no value"
            lines.append(f"  {name}: {mean}, {total - self.counts[name]} without a value")
        if self.unboxed:
            lines.append(f"Answers outside a box: {self.unboxed}; training refuses such (--without-box refuse).")
        if self.estimated and any(name != "accuracy" for name in names):
            lines.append(f"{self.estimated} rows without completion_ids: tokens estimated at 3.5 characters each.")
        return "\n".join(lines)
