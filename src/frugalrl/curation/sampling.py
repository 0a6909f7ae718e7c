"""Pass rates and judgements by a solver: asked in batches, kept at once, judged, stopped where the band is certain.

How many samples a problem gets depends on what they came to, never on batches or on what was cached: a round asks for
the fewest samples after which the band could be certain, which is what one sample at a time would have drawn.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from frugalrl.config.curation_schema import Band
from frugalrl.curation.bands import PassRate, certain_band
from frugalrl.curation.sample_cache import Sample, SampleCache, sample_key
from frugalrl.curation.solver import REFUSED, Ask, Solver
from frugalrl.verify.maths.extraction import text_after_reasoning
from frugalrl.verify.workers.pool import AnswerItem, VerifierPool

Tick = Callable[[int], None]
"""Told how many problems are finished."""
_WORD = re.compile(r"\b(KEEP|DROP)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Question:
    """A problem to be solved."""

    text: str
    gold: str


def pass_rates(
    questions: Sequence[Question],
    solver: Solver,
    name: str,
    samples: int,
    bands: Sequence[Band],
    stop_early: bool,
    cache: SampleCache,
    pool: VerifierPool,
    tick: Tick,
) -> list[PassRate | None]:
    """The pass rate of each question, in order; None where the solver does not take it.

    name: the solver's in the spec, for the record. samples: n. An unknown verdict counts as not correct.
    """
    rates: list[PassRate | None] = []
    for start in range(0, len(questions), solver.batch):
        block = questions[start : start + solver.batch]
        states = [_State() for _ in block]
        while asks := _open_asks(states, samples, bands, stop_early):
            wanted = [(block[at], number) for at, number in asks]
            found = answered(solver, [(question.text, number) for question, number in wanted], cache)
            for (at, _), verdict in zip(asks, _verdicts(solver, wanted, found, cache, pool), strict=True):
                states[at].drawn += 1
                states[at].correct += verdict == "correct"
                states[at].refused |= verdict == REFUSED
        for state in states:
            band = None if state.refused else certain_band(state.correct, state.drawn, samples, bands)
            rates.append(None if band is None else PassRate(name, state.correct, state.drawn, band))
        tick(len(rates))
    return rates


def fewest_to_certainty(correct: int, drawn: int, samples: int, bands: Sequence[Band]) -> int:
    """The smallest number of further samples after which the band may be certain; 0 if it is."""
    for more in range(samples - drawn + 1):
        if any(certain_band(correct + new, drawn + more, samples, bands) for new in range(more + 1)):
            return more
    return samples - drawn


def answered(solver: Solver, wanted: Sequence[tuple[str, int]], cache: SampleCache) -> list[Sample]:
    """A sample for each text and number, from the cache or else from the solver, which fills the cache."""
    keys = [sample_key(solver.solver_id, solver.asked, text) for text, _ in wanted]
    lacking = {
        (key, number): Ask(text, number)
        for key, (text, number) in zip(keys, wanted, strict=True)
        if cache.get(key, number) is None
    }
    places = list(lacking)
    for at, answer in solver.answers(list(lacking.values())) if lacking else ():
        sample = Sample(answer.completion, answer.finish_reason, answer.tokens, answer.reasoning_open)
        cache.add(*places[at], sample)
    cache.sync()
    found = [cache.get(key, number) for key, (_, number) in zip(keys, wanted, strict=True)]
    return [sample for sample in found if sample is not None]


def judgement(sample: Sample) -> bool | None:
    """Whether a judge said KEEP (true) or DROP (false); None if neither can be read. The last word counts."""
    text = text_after_reasoning(sample.completion, sample.reasoning_open)
    words = _WORD.findall(text or "")
    return words[-1].upper() == "KEEP" if words else None


# ------------------------------------------------------------------------------------------------- rounds


@dataclass
class _State:
    """What is known of one problem while it is being sampled."""

    correct: int = 0
    drawn: int = 0
    refused: bool = False


def _open_asks(
    states: Sequence[_State], samples: int, bands: Sequence[Band], stop_early: bool
) -> list[tuple[int, int]]:
    """Position and sample number of everything this round needs; empty when all is certain."""
    asks = []
    for at, state in enumerate(states):
        if state.refused:
            continue
        left = samples - state.drawn
        more = fewest_to_certainty(state.correct, state.drawn, samples, bands) if stop_early else left
        more = max(more, 1 - state.drawn)  # without any sample there is no rate, however certain the band
        asks += [(at, state.drawn + number) for number in range(more)]
    return asks


def _verdicts(
    solver: Solver,
    wanted: Sequence[tuple[Question, int]],
    samples: Sequence[Sample],
    cache: SampleCache,
    pool: VerifierPool,
) -> list[str]:
    """The verdict on each sample by its question's gold; new ones are added to the cache."""
    keys = [sample_key(solver.solver_id, solver.asked, question.text) for question, _ in wanted]
    known = [
        REFUSED if sample.finish_reason == REFUSED else cache.verdict(key, number, question.gold)
        for key, (question, number), sample in zip(keys, wanted, samples, strict=True)
    ]
    open_at = [at for at, verdict in enumerate(known) if verdict is None]
    items = [
        AnswerItem(samples[at].completion, wanted[at][0].gold, samples[at].reasoning_open, wanted[at][0].text)
        for at in open_at
    ]
    for at, verdict in zip(open_at, pool.judge_many(items), strict=True):
        question, number = wanted[at]
        cache.add_verdict(keys[at], number, question.gold, verdict.label)
        known[at] = verdict.label
    return [str(verdict) for verdict in known]
