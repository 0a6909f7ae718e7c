"""The language and degeneracy meter: numbers about a completion's text, and which are alarming.

Metric (`meter_metrics`), guard signal (`alarms`) and reward (`clean_reward`) read the same report, so they
cannot disagree. Thresholds are set so that the written solutions of MATH, GSM8K and OlympiadBench raise an
alarm in under 0.5 % of cases; `docs/rewards/language.md` has the counts.

Not covered: whether what is said makes sense. Fluent nonsense without repetition passes.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from frugalrl.text.language import Identify, label_sentences
from frugalrl.text.repetition import repeated_ngram_fraction
from frugalrl.text.scripts import script_counts

Alarm = Literal["foreign_language", "repetition", "unprintable", "unclosed_reasoning", "truncated"]

REPETITION_ALARM = 0.7
"""Repeated 8-grams of words, of the whole text or of its tail: solutions stay below, loops are above 0.9."""
UNPRINTABLE_ALARM = 0.005
"""Share of characters: one in two hundred."""
_NGRAM_WORDS = 8
_TAIL_WORDS = 400
"""A loop that began late shows in the tail long before it shows in the whole."""
_FEWEST_WORDS = 40
"""Shorter texts repeat by chance."""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+|[^\w\s]")
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufffd"
    "\ud800-\udfff\ue000-\uf8ff\ufff0-\uffff]"
)


@dataclass(frozen=True)
class TextReport:
    """The meter's reading of one completion. Fractions lie in 0..1."""

    judged_sentences: int
    """Sentences (or joined short ones) whose language could be told."""
    foreign_sentences: tuple[str, ...]
    """Those not in the target language, as read: without mathematics."""
    script_fractions: Mapping[str, float]
    """Script -> share of the letters, e.g. ``{"latin": 0.98, "han": 0.02}``; empty without letters."""
    repeated_fraction: float
    """Repeated 8-grams of words among all, the larger of whole text and tail; 0 for short texts."""
    unprintable_fraction: float
    """Control, replacement, surrogate, private-use and invisible direction characters among all characters."""
    reasoning_closed: bool
    """False if reasoning was opened, by the template or the completion, and never closed."""
    truncated: bool
    """The cap on completion tokens was reached."""

    @property
    def target_language_fraction(self) -> float:
        """Share of judged sentences in the target language; NaN when none could be judged."""
        if not self.judged_sentences:
            return math.nan
        return 1.0 - len(self.foreign_sentences) / self.judged_sentences

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """What is out of bounds, in the order of the type."""
        found: list[tuple[bool, Alarm]] = [
            (bool(self.foreign_sentences), "foreign_language"),
            (self.repeated_fraction > REPETITION_ALARM, "repetition"),
            (self.unprintable_fraction > UNPRINTABLE_ALARM, "unprintable"),
            (not self.reasoning_closed, "unclosed_reasoning"),
            (self.truncated, "truncated"),
        ]
        return tuple(alarm for rings, alarm in found if rings)


def meter_text(
    text: str,
    identify: Identify,
    reasoning_open: bool = False,
    truncated: bool = False,
    target_language: str = "en",
) -> TextReport:
    """The report of one completion.

    text: what follows the prompt; reasoning_open: whether the prompt's template opened ``<think>``;
    truncated: whether sampling stopped at the cap; target_language: ISO 639-1.
    """
    labels = [pair for pair in label_sentences(text, identify, target_language) if pair[1] != "unknown"]
    letters = script_counts(text)
    total = sum(letters.values())
    opened = reasoning_open or "<think>" in text
    return TextReport(
        judged_sentences=len(labels),
        foreign_sentences=tuple(sentence for sentence, label in labels if label == "foreign"),
        script_fractions={script: count / total for script, count in letters.items()},
        repeated_fraction=_repeated(text),
        unprintable_fraction=len(_UNPRINTABLE.findall(text)) / len(text) if text else 0.0,
        reasoning_closed=not opened or "</think>" in text,
        truncated=truncated,
    )


def clean_reward(report: TextReport) -> float:
    """1 if nothing is alarming, else 0. Pays nothing for being right: weigh it below accuracy."""
    return 0.0 if report.alarms else 1.0


def meter_metrics(reports: Sequence[TextReport]) -> dict[str, float]:
    """Means over completions, named as in the run log; NaN if nothing could be judged."""
    judged = sum(report.judged_sentences for report in reports)
    foreign = sum(len(report.foreign_sentences) for report in reports)
    return {
        "meter/target_language_frac": 1.0 - foreign / judged if judged else math.nan,
        "meter/foreign_completion_frac": _mean([bool(report.foreign_sentences) for report in reports]),
        "meter/repeated_frac": _mean([report.repeated_fraction for report in reports]),
        "meter/unprintable_frac": _mean([report.unprintable_fraction for report in reports]),
        "meter/unclosed_frac": _mean([not report.reasoning_closed for report in reports]),
        "meter/truncated_frac": _mean([report.truncated for report in reports]),
        "meter/alarm_frac": _mean([bool(report.alarms) for report in reports]),
    }


def _repeated(text: str) -> float:
    words = _WORD.findall(text)
    if len(words) < _FEWEST_WORDS:
        return 0.0
    whole = repeated_ngram_fraction(words, _NGRAM_WORDS)
    if len(words) <= _TAIL_WORDS:
        return whole
    return max(whole, repeated_ngram_fraction(words[-_TAIL_WORDS:], _NGRAM_WORDS))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
