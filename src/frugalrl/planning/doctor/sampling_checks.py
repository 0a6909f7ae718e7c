"""What the real policy writes on the recipe's own problems: lengths, rewards, groups, languages, answers misread.

Pure: scored groups in, findings out. How many samples there are is up to `examine.py`; shares carry their counts.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from frugalrl.planning.doctor.finding import Finding, Level
from frugalrl.text.meter import TextReport, meter_metrics
from frugalrl.types import ScoredCompletion, ScoredGroup

_MOST_TRUNCATED = 0.7
_MANY_DEAD, _MOST_DEAD = 0.75, 0.95
_GROUP_SIZES = (2, 4, 6, 8, 12, 16, 24, 32)
_MANY_FOREIGN, _MOST_FOREIGN = 0.4, 0.8
_MANY_DEGENERATE = 0.5
_MANY_MISREAD = 0.1
_PRIOR = 0.25
_LEAST_TO_JUDGE = 32
"""Completions below which none correct may be chance."""
_SHOWN = 5
_LEAST_TOP_P, _LEAST_TEMPERATURE = 0.3, 0.3

MANY_TRUNCATED, FEW_TRUNCATED = 0.3, 0.1
"""From the one on, longer caps are tried until no more than the other is left."""


@dataclass(frozen=True)
class LongerCap:
    """Some completions sampled at a longer cap."""

    cap: int
    truncated: int
    completions: int

    @property
    def does(self) -> bool:
        """Whether hardly any is cut off."""
        return self.truncated <= FEW_TRUNCATED * self.completions


@dataclass(frozen=True)
class SampleSettings:
    """Of the rollout that the samples came from."""

    group_size: int
    cap: int
    temperature: float
    context_left: int
    """Tokens that a completion could have at most."""
    end_token_note: str | None
    longer: Sequence[LongerCap] = ()
    """What was tried where many reach the cap, the longest last."""
    top_p: float = 1.0
    top_k: int = 0
    evaluation_cap: int | None = None
    """Of evaluations, if it is not the rollout's."""
    schedule_cap: int | None = None
    """The first of a length schedule's."""
    ask_for_a_box: str = "Ask for the answer within \\boxed{} in data.prompt.template"
    """The change of the recipe that does so."""
    pay_for_english: str = "Ask for English in data.prompt.system"
    """The change of the recipe that does so."""

    @property
    def greedy(self) -> str | None:
        """The change that lets completions of a problem differ, where they can't; else None."""
        if self.top_k == 1:
            return "--set rollout.top_k=0 (at 1 only the likeliest token is ever drawn)"
        if self.top_p < _LEAST_TOP_P:
            return f"--set rollout.top_p=1.0 (at {self.top_p:g} only the likeliest tokens are ever drawn)"
        if self.temperature < _LEAST_TEMPERATURE:
            return f"--set rollout.temperature=1.0 (at {self.temperature:g} all completions of a problem are alike)"
        return None


def sampling_findings(
    groups: Sequence[ScoredGroup], reports: Sequence[TextReport], settings: SampleSettings
) -> list[Finding]:
    """reports: of the meter, one for each completion in order."""
    scored = [one for group in groups for one in group.completions]
    text = degenerate(reports, settings)
    found = [
        truncation(scored, settings),
        any_right(scored, settings),
        signal(groups, settings),
        constant_reward(scored),
        misread(groups, settings),
        languages(reports, settings),
    ]
    if text.level == "red":  # the cause of whatever else is wrong with what is written
        found = [one if one.level == "green" else replace(one, fix=text.fix) for one in found]
    return [text, *found, *evaluation_cap(scored, settings)]


def evaluation_cap(scored: Sequence[ScoredCompletion], settings: SampleSettings) -> list[Finding]:
    """Whether evaluations, or the first stage of a schedule, would cut off what a rollout lets be written."""
    caps = (
        ("evaluation", settings.evaluation_cap, "--set evaluation.max_completion_tokens=null"),
        ("schedule", settings.schedule_cap, "--set length_schedule=null, or begin with a higher cap_tokens"),
    )
    found = []
    for name, cap, fix in caps:
        if cap is None or cap >= settings.cap:
            continue
        cut = sum(len(one.completion.token_ids) > cap for one in scored)
        seen = f"{cut} of {len(scored)} completions are longer than the {name}'s cap of {cap:,}"
        is_little, is_most = cut < MANY_TRUNCATED * len(scored), cut >= _MOST_TRUNCATED * len(scored)
        level: Level = "green" if is_little else "red" if is_most else "yellow"
        end = "" if is_little else " tokens: there they would count as wrong."
        found.append(Finding(f"sampling/{name}_cap", level, f"{seen}{end}", "" if is_little else fix))
    return found


def truncation(scored: Sequence[ScoredCompletion], settings: SampleSettings) -> Finding:
    """The share of completions at the cap, with the lengths of the others."""
    name, lengths = "sampling/truncated", sorted(len(one.completion.token_ids) for one in scored)
    cut = sum(one.completion.finish_reason == "length" for one in scored)
    middle, high = lengths[len(lengths) // 2], lengths[int(0.95 * (len(lengths) - 1))]
    seen = f"{cut} of {len(scored)} completions reach the cap of {settings.cap:,} tokens; half have {middle:,} or more"
    if cut < MANY_TRUNCATED * len(scored):
        return Finding(name, "green", f"{seen}, one in twenty {high:,} or more")
    if settings.end_token_note is not None:
        note, _, fix = settings.end_token_note.partition(" would run to the cap. ")
        return Finding(name, "red", f"{seen}. {note} runs to the cap.", fix or note)
    fix = _cap_that_would_do(cut / len(scored), settings)
    if all(length >= settings.cap for length in lengths) and settings.cap >= 512:
        fix += "; if it still never ends, its end token is not in eos_token_id of generation_config.json"
    level = "red" if cut >= _MOST_TRUNCATED * len(scored) else "yellow"
    return Finding(name, level, f"{seen}. What is cut off cannot be right, and is paid for.", fix)  # type: ignore[arg-type]


def _cap_that_would_do(share: float, settings: SampleSettings) -> str:
    """The shortest cap that was tried and does; else twice the longest one, if the context leaves so much."""
    tried = settings.longer[-1] if settings.longer else None
    if tried is not None and tried.does:
        seen = f"{tried.truncated} of {tried.completions} completions reach that one"
        return f"--set rollout.max_completion_tokens={tried.cap} ({seen})"
    longest = settings.cap if tried is None else tried.cap
    wanted = min(settings.context_left, _rounded_up(2 * longest if share > 1 / 3 else 1.5 * longest))
    if wanted <= longest:
        return "Take a model with a longer context, or easier problems: the cap is all that the context leaves"
    if tried is None:
        return f"--set rollout.max_completion_tokens={wanted}"
    seen = f"at {tried.cap:,} still {tried.truncated} of {tried.completions} are cut off"
    return f"--set rollout.max_completion_tokens={wanted}, and try again ({seen})"


def _rounded_up(tokens: float) -> int:
    return math.ceil(tokens / 64) * 64


_NO_ANSWER = {
    "no_box": "no answer stands in \\boxed{}",
    "unclosed_reasoning": "the reasoning is never closed with </think>",
    "empty_box": "the box is empty",
    "different": "the answers can be read and are wrong",
    "unparseable_gold": "the golds cannot be read",
}


def any_right(scored: Sequence[ScoredCompletion], settings: SampleSettings) -> Finding:
    """Whether any completion is correct; if none is, why."""
    name = "sampling/accuracy"
    right = sum(one.verdict.label == "correct" for one in scored)
    reasons = Counter(one.verdict.reason for one in scored if one.verdict.label != "correct")
    share = f"{right} of {len(scored)} completions are correct"
    if right or len(scored) < _LEAST_TO_JUDGE:
        return Finding(name, "green", share)
    reason, times = reasons.most_common(1)[0]
    why = _NO_ANSWER.get(reason, f"most common verdict: {reason}")
    fixes = {
        "no_box": settings.ask_for_a_box,
        "unclosed_reasoning": _cap_that_would_do(1.0, settings),
        "unparseable_gold": "--set data.train.answer_field=COLUMN; frugalrl check-golds FILE lists them",
    }
    fix = fixes.get(
        reason,
        "Check that each answer is that of its own row; if so, take easier problems (frugalrl curate, step difficulty) "
        "or a stronger model",
    )
    if settings.temperature > 1.5:
        fix = f"--set rollout.temperature=1.0 (it is {settings.temperature:g})"
    return Finding(name, "red", f"None of {len(scored)} completions is correct; {times} times {why}.", fix)


def signal(groups: Sequence[ScoredGroup], settings: SampleSettings) -> Finding:
    """The share of groups whose rewards differ, and what another group size would give."""
    name = "sampling/signal"
    useful = sum(len({one.reward for one in group.completions}) > 1 for group in groups)
    dead = 1 - useful / len(groups)
    rates = [[one.verdict.label == "correct" for one in group.completions] for group in groups]
    easy, hard = sum(all(own) for own in rates), sum(not any(own) for own in rates)
    seen = f"{useful} of {len(groups)} groups of {settings.group_size} have rewards that differ"
    why = f" ({easy} all right, {hard} all wrong)"
    expected = {size: useful_share(rates, size) for size in _GROUP_SIZES}
    table = ", ".join(f"{size}: {share:.0%}" for size, share in expected.items() if share > 0)
    if dead < _MANY_DEAD:
        size = max(expected, key=lambda one: expected[one] / one)
        advice = f"; expected by group size {table}; most per completion at {size}" if table else ""
        return Finding(name, "green", f"{seen}{why}{advice}")
    if settings.greedy is not None:
        fix = settings.greedy
    elif easy > hard:
        fix = "Take harder problems (frugalrl curate, step difficulty), or --set data.sampler.skip_solved=1.0"
    else:
        larger = next((size for size in _GROUP_SIZES if size > settings.group_size), 2 * settings.group_size)
        fix = (
            f"Take easier problems (frugalrl curate, step difficulty), --set rollout.group_size={larger}, or "
            "--set data.sampler.skip_unsolved=0.0"
        )
    level = "red" if dead >= _MOST_DEAD and len(groups) * settings.group_size >= _LEAST_TO_JUDGE else "yellow"
    more = f" Expected by group size: {table}." if table else ""
    return Finding(name, level, f"Only {seen}{why}: the others cost as much and have no learning signal.{more}", fix)  # type: ignore[arg-type]


def useful_share(rates: Sequence[Sequence[bool]], size: int) -> float:
    """The expected share of groups of `size` with both right and wrong completions, from groups as they were sampled.

    A problem's chance is taken as Beta(s + a, n - s + a) after s right of n, a = 0.25: a prior by which most problems
    are either easy or hard, and none is hopeless. The chance that all of a new group are right is then a ratio of
    beta functions.
    """
    shares = []
    for own in rates:
        right, wrong = sum(own) + _PRIOR, len(own) - sum(own) + _PRIOR
        shares.append(1 - _all_alike(right, wrong, size) - _all_alike(wrong, right, size))
    return sum(shares) / len(shares) if shares else math.nan


def _all_alike(these: float, others: float, size: int) -> float:
    return math.prod((these + index) / (these + others + index) for index in range(size))


PENALTIES = frozenset(
    {"repetition", "repetition_penalty", "open_rs_repetition", "soft_overlong", "soft_overlong_punishment"}
)
"""Rewards of at most 0, where nothing is as it should be."""


def constant_reward(scored: Sequence[ScoredCompletion]) -> Finding:
    """Whether the reward of real completions varies at all, and what each term does."""
    name, totals = "sampling/reward", [one.reward for one in scored]
    if len(set(totals)) == 1 and len(scored) >= _LEAST_TO_JUDGE:
        values = ", ".join(f"{term} {_shown(scored[0].breakdown[term])}" for term in scored[0].breakdown)
        reason = Counter(one.verdict.reason for one in scored).most_common(1)[0][0]
        return Finding(
            name,
            "red",
            f"All {len(scored)} completions earn {totals[0]:g} ({values}); most common verdict: {reason}.",
            "The findings above this one name the cause; frugalrl score tries a reward on stored completions",
        )
    earned = [term for term in scored[0].breakdown if term not in PENALTIES]
    flat = [term for term in earned if len({one.breakdown[term] for one in scored}) == 1]
    shown = f"mean {sum(totals) / len(totals):.3f}, from {min(totals):g} to {max(totals):g}"
    if flat and len(scored) >= _LEAST_TO_JUDGE and all(_is_nothing(scored[0].breakdown[term]) for term in flat):
        return Finding(
            name,
            "yellow",
            f"{', '.join(flat)} paid nothing to any of {len(scored)} completions ({shown}).",
            "Ask for it in data.prompt, or take it out of rewards: what is never paid cannot be learned",
        )
    return Finding(name, "green", shown)


def _is_nothing(value: float | None) -> bool:
    return value is None or value <= 0


def _shown(value: float | None) -> str:
    return "no verdict" if value is None else f"{value:g}"


# ------------------------------------------------------------------------------------- a second, laxer reading


def misread(groups: Sequence[ScoredGroup], settings: SampleSettings) -> Finding:
    """Completions judged wrong whose answer a laxer reading finds equal to the gold, with examples."""
    name = "sampling/misread"
    pairs = [
        (group.prompt.problem.accepted, one)
        for group in groups
        for one in group.completions
        if one.verdict.label != "correct" and one.completion.finish_reason == "stop"
    ]
    boxed = [
        (golds, one) for golds, one in pairs if one.verdict.extracted and same_answer(one.verdict.extracted, golds)
    ]
    unboxed = [
        (golds, one) for golds, one in pairs if not one.verdict.extracted and _last_number(one.completion.text, golds)
    ]
    total = sum(len(group.completions) for group in groups)
    if len(boxed) > _MANY_MISREAD * total:
        shown = "; ".join(f"{one.verdict.extracted!r} for {golds[0]!r}" for golds, one in boxed[:_SHOWN])
        return Finding(
            name,
            "red",
            f"{len(boxed)} of {total} completions are judged wrong though a laxer reading finds the gold: {shown}.",
            "frugalrl check-golds FILE; give golds as plain values, without units, text or $",
        )
    if len(unboxed) > total / 4:
        shown = "; ".join(repr(one.completion.text[-50:]) for _, one in unboxed[:_SHOWN])
        return Finding(
            name,
            "yellow",
            f"{len(unboxed)} of {total} completions end in the gold without a box after </think>, so they earn nothing"
            f": {shown}.",
            settings.ask_for_a_box,
        )
    return Finding(name, "green", f"a laxer reading disagrees on {len(boxed)} of {total} completions")


_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def same_answer(answer: str, golds: Sequence[str]) -> bool:
    """Whether an answer is one of the golds, by a laxer reading than a verifier's."""
    return any(_plain(answer) == _plain(gold) != "" or _same_number(answer, gold) for gold in golds)


def _plain(text: str) -> str:
    """Letters and digits without commands of LaTeX, units' brackets and case."""
    return re.sub(r"\\[a-zA-Z]+|[^a-z0-9./-]", "", text.lower())


def _same_number(one: str, other: str) -> bool:
    numbers = [_NUMBER.findall(text) for text in (one, other)]
    if any(len(found) != 1 for found in numbers) or "/" in one + other or "^" in one + other or "frac" in one + other:
        return False
    a, b = (float(found[0].replace(",", "")) for found in numbers)
    return math.isclose(a, b, rel_tol=1e-6)


def _last_number(text: str, golds: Sequence[str]) -> bool:
    found = _NUMBER.findall(text)
    return bool(found) and any(_same_number(found[-1], gold) for gold in golds)


# ------------------------------------------------------------------------------------------------------ texts


def degenerate(reports: Sequence[TextReport], settings: SampleSettings) -> Finding:
    """Text that repeats itself or cannot be printed."""
    meter = meter_metrics(reports)
    repeated, broken = meter["meter/repeated_frac"], meter["meter/unprintable_frac"]
    if repeated > _MANY_DEGENERATE or broken > 0.05:
        fix = "Check that model.path is a trained model, and its tokenizer its own"
        if settings.temperature > 1.2:
            fix = f"--set rollout.temperature=1.0 (it is {settings.temperature:g})"
        return Finding(
            "sampling/text",
            "red",
            f"{repeated:.0%} of what is written repeats itself and {broken:.0%} cannot be printed: the policy does not "
            "write text.",
            fix,
        )
    return Finding("sampling/text", "green", f"{repeated:.0%} repeats itself, {broken:.1%} cannot be printed")


def languages(reports: Sequence[TextReport], settings: SampleSettings) -> Finding:
    foreign = sum(bool(report.foreign_sentences) for report in reports)
    shown = f"{foreign} of {len(reports)} completions hold a sentence that is not English"
    if foreign <= _MANY_FOREIGN * len(reports):
        return Finding("sampling/language", "green", shown)
    level = "red" if foreign > _MOST_FOREIGN * len(reports) else "yellow"
    fix = settings.pay_for_english
    return Finding("sampling/language", level, f"{shown}.", fix)  # type: ignore[arg-type]
