"""The questions in miniature as Markdown and figures: a summary first, then each question's arms and comparisons. Pure.

A question without all seeds of its primary comparisons is "not answered", with the seeds that exist. Values are means
over seeds; shares are shown in percent, their differences in points.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from figure_files import interval_file
from question_arms import ARMS
from question_forms import Question
from question_measures import HEADINGS, UNITS
from question_verdicts import Answer, Runs, is_answered, is_within, seeds_of

from frugalrl.reporting.bar_figures import Interval


def summary_table(questions: Mapping[str, Question], found: Mapping[str, Sequence[Answer]]) -> str:
    """A line for each primary comparison: question, answer in words, interval, seeds, recipe; what is decided first.

    A comparison that was made again, on fresh seeds or another base, stands once: as it was last answered, under the
    question that it was first made for.
    """
    rows: dict[str, tuple[str, Question, Answer]] = {}
    for name, question in questions.items():
        for one in (each for each in found[name] if each.comparison.primary):
            before = rows.get(one.comparison.says)
            if before is None:
                rows[one.comparison.says] = (question.title, question, one)
            elif one.verdict:
                rows[one.comparison.says] = (before[0], question, one)
    lines = ["| question | answer | what is compared | difference [95 %] | p, Holm | seeds | recipe |"]
    lines.append("|---|---|---|---|---|---|---|")
    for title, question, one in sorted(rows.values(), key=lambda row: _rank(row[2])):
        recipes = ", ".join(sorted({f"mini/{ARMS[arm].recipe}" for arm in question.arms}))
        difference, p_value = _result(one) if one.verdict else ("-", "-")
        cells = [title, in_words(one), one.comparison.says, difference, p_value]
        lines.append(f"| {' | '.join(cells)} | {len(one.values)} of {one.asked} | {recipes} |")
    return "\n".join(lines) + "\n"


def _rank(one: Answer) -> int:
    return {"inconclusive": 2, "no difference": 1, None: 3}.get(one.verdict, 0)


def in_words(one: Answer) -> str:
    """The verdict as a reader would say it."""
    words = one.comparison.words
    if words is None or one.verdict is None:
        return "not answered"
    if one.verdict == "inconclusive":
        return "inconclusive"
    said = {"higher": words.higher, "lower": words.lower, "no difference": words.same}[one.verdict]
    return f"{said}, by less than matters" if _is_small(one) else said


def question_text(question: Question, found: Sequence[Answer], runs: Runs) -> str:
    """What was predicted, the arms with their means over seeds, and the comparisons."""
    parts = [f"*Predicted before the runs.* {question.hypothesis}\n"]
    if not is_answered(found):
        counts = ", ".join(f"{arm}: {count}" for arm, count in seeds_of(question, runs).items())
        parts.append(f"**Not answered**: seeds finished of {len(question.seeds)} an arm: {counts}.\n")
    if any(seeds_of(question, runs).values()):
        parts += [arms_table(question, runs), comparisons_table(found)]
    return "\n".join(parts)


def arms_table(question: Question, runs: Runs) -> str:
    """Means over the question's seeds by arm; accuracy by seed too."""
    heads = ["arm", "accuracy, each seed", *(HEADINGS[name] for name in question.measures)]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for arm in question.arms:
        rows = [runs[arm][seed] for seed in question.seeds if seed in runs.get(arm, {})]
        if not rows:
            continue
        each = ", ".join(shown("accuracy", row["accuracy"]) for row in rows)
        means = [shown(name, fmean(row[name] for row in rows)) for name in question.measures]
        lines.append(f"| {' | '.join([arm, each, *means])} |")
    return "\n".join(lines) + "\n"


def comparisons_table(found: Sequence[Answer]) -> str:
    """Every comparison that has a value: primary ones with their verdict, the others without."""
    lines = ["| comparison | each seed | difference [95 %] | p, Holm | verdict |", "|---|---|---|---|---|"]
    for one in found:
        if not one.values:
            continue
        each = ", ".join(signed(one, value) for value in one.values.values())
        estimate, p_value = _result(one)
        said = (verdict_text(one) if one.verdict else "not answered") if one.comparison.primary else "secondary"
        lines.append(f"| {one.comparison.says} | {each} | {estimate} | {p_value} | {said} |")
    return "\n".join(lines) + "\n"


def forest(question: Question, found: Sequence[Answer]) -> str | None:
    """Differences in points with their intervals, as SVG; None where nothing has an interval."""
    rows = [
        Interval(one.comparison.label, one.estimate.value, one.estimate.ci_low, one.estimate.ci_high, slot=slot)
        for slot, one in enumerate(found)
        if UNITS[one.comparison.measure] == "points" and math.isfinite(one.estimate.ci_low)
    ]
    return interval_file(f"{question.title} Points, 95 %", rows) if rows else None


def verdict_text(one: Answer) -> str:
    """The verdict's name, with its margin where that decides."""
    margin = shown(one.comparison.measure, one.comparison.margin)
    if one.verdict == "no difference":
        return f"no difference of {margin}"
    return f"{one.verdict}, by less than {margin}" if _is_small(one) else f"{one.verdict}"


def _is_small(one: Answer) -> bool:
    """Whether a difference is shown, and with its whole interval within the margin that was set for it."""
    return one.verdict in ("higher", "lower") and is_within(one.estimate, one.comparison.margin)


def _result(one: Answer) -> tuple[str, str]:
    if not one.values:
        return "-", "-"
    low, high = one.estimate.ci_low, one.estimate.ci_high
    span = f" [{signed(one, low)}, {signed(one, high)}]" if math.isfinite(low) else ""
    p_value = f"{one.adjusted:.2g}" if math.isfinite(one.adjusted) else "-"
    return f"{signed(one, one.estimate.value)}{span}", p_value


def signed(one: Answer, value: float) -> str:
    """A difference with its sign."""
    return shown(one.comparison.measure, value, "+")


def shown(measure: str, value: float, sign: str = "") -> str:
    """A value in its unit, without the unit's name: percent, or a plain number."""
    return format(100 * value, f"{sign}.1f") if UNITS[measure] == "points" else _plain(value, sign)


def _plain(value: float, sign: str) -> str:
    return format(value, f"{sign},.0f" if abs(value) >= 100 else f"{sign}.2f")
