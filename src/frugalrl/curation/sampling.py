"""Pass rates and judgements by a solver: asked in batches, kept at once, judged, stopped where the band is certain.

How many samples a problem gets depends on what they came to, never on batches or on what was cached: a round asks for
the fewest samples after which the band could be certain, which is what one sample at a time would have drawn.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, overload

from frugalrl.config.curation_schema import Band
from frugalrl.curation.bands import PassRate, Unrated, certain_band
from frugalrl.curation.records import PoolRow
from frugalrl.curation.sample_cache import Sample, SampleCache, sample_key
from frugalrl.curation.sampling_facts import SampleCounts, counted
from frugalrl.curation.solver import FAILED, NO_ANSWER, Answer, Ask, Solver
from frugalrl.errors import ModelError
from frugalrl.verify.workers.pool import AnswerItem, VerifierPool

Tick = Callable[[int], None]
"""Told how many problems are finished."""
_FEWEST_FAILURES = 3
"""So many problems may fail in any case, however small the pool."""


@dataclass(frozen=True)
class Question:
    """A problem to be solved."""

    text: str
    gold: str


class Questions(Sequence[Question]):
    """The problems of rows that have a gold, read as they are asked for; 4 bytes are held for each."""

    def __init__(self, rows: Sequence[PoolRow]) -> None:
        self._rows = rows
        self._places = array("I", (place for place, row in enumerate(rows) if row.answer))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> Question: ...
    @overload
    def __getitem__(self, at: slice) -> list[Question]: ...
    def __getitem__(self, at: int | slice) -> Question | list[Question]:
        if isinstance(at, slice):
            return [_question(self._rows[place]) for place in self._places[at]]
        return _question(self._rows[self._places[at]])


def _question(row: PoolRow) -> Question:
    return Question(row.problem, row.answer)


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
    cut_off: Literal["unknown", "wrong"] = "unknown",
) -> Iterator[PassRate | Unrated]:
    """The pass rate of each question, in order, or why it has none.

    questions: read a batch at a time, so they may lie on disk. name: the solver's in the spec, for the record.
    samples: n. cut_off: what becomes of a question without any full answer. An unknown verdict counts as not correct.
    Raises ModelError if more questions failed than the solver's `most_failed` allows.
    """
    failures = Failures(len(questions), solver.most_failed, name)
    for start in range(0, len(questions), solver.batch):
        block = questions[start : start + solver.batch]
        states = [_State() for _ in block]
        while asks := _open_asks(states, samples, bands, stop_early):
            wanted = [(block[at], number) for at, number in asks]
            found = answered(solver, [(question.text, number) for question, number in wanted], cache)
            verdicts = _verdicts(solver, wanted, found, cache, pool)
            for (at, _), answer, verdict in zip(asks, found, verdicts, strict=True):
                states[at].add(answer, verdict)
        for state in states:
            failures.add(state.said if state.fault == FAILED else None)
            yield _rated(state, name, samples, bands, cut_off)
        tick(start + len(block))
    failures.end()


class Failures:
    """How many problems failed for good, and when that is too many."""

    def __init__(self, total: int, share: float, name: str) -> None:
        self._total, self._name, self._share = total, name, share
        self._most = max(_FEWEST_FAILURES if share else 0, int(share * total))
        self._failed, self._asked, self._last = 0, 0, ""

    def add(self, said: str | None) -> None:
        """The next problem; what the server said if it failed. Raises ModelError if that is one too many."""
        self._asked += 1
        if said is not None:
            self._failed, self._last = self._failed + 1, said
            if self._failed > self._most:
                raise self._error(f"more than most_failed allows ({self._most:,})")

    def end(self) -> None:
        """All problems are asked. Raises ModelError if every one of them failed."""
        if self._failed and self._failed == self._asked:
            raise self._error("every one of them")

    def _error(self, what: str) -> ModelError:
        return ModelError(
            f"The requests of {self._failed:,} of {self._total:,} problems to the solver {self._name} failed "
            f"permanently, {what}; the last time it said {self._last}. Check the server; what was sampled so far is "
            "kept, and --resume asks the failed ones again."
        )


def fewest_to_certainty(correct: int, drawn: int, samples: int, bands: Sequence[Band]) -> int:
    """The smallest number of further samples after which the band may be certain; 0 if it is."""
    for more in range(samples - drawn + 1):
        if any(certain_band(correct + new, drawn + more, samples, bands) for new in range(more + 1)):
            return more
    return samples - drawn


def answered(solver: Solver, wanted: Sequence[tuple[str, int]], cache: SampleCache) -> list[Answer]:
    """An answer for each text and number, from the cache or else from the solver, which fills the cache.

    What was refused or failed is not cached: the reason may not apply next time.
    """
    keys = [sample_key(solver.solver_id, solver.asked, text) for text, _ in wanted]
    lacking = {
        (key, number): Ask(text, number)
        for key, (text, number) in zip(keys, wanted, strict=True)
        if _cached(cache, key, number) is None
    }
    places = list(lacking)
    without: dict[tuple[str, int], Answer] = {}
    for at, answer in solver.answers(list(lacking.values())) if lacking else ():
        if answer.finish_reason in NO_ANSWER:
            without[places[at]] = answer
        else:
            sample = Sample(
                answer.completion, answer.finish_reason, answer.tokens, answer.reasoning_open, answer.prompt_tokens
            )
            cache.add(*places[at], sample)
    cache.sync()
    found = [
        without.get((key, number)) or _cached(cache, key, number) for key, (_, number) in zip(keys, wanted, strict=True)
    ]
    return [answer for answer in found if answer is not None]


def _cached(cache: SampleCache, key: str, number: int) -> Answer | None:
    sample = cache.get(key, number)
    return None if sample is None or sample.finish_reason in NO_ANSWER else Answer(**asdict(sample))


# ------------------------------------------------------------------------------------------------- rounds


@dataclass
class _State:
    """What is known of one problem while it is being sampled."""

    correct: int = 0
    counts: SampleCounts = field(default_factory=SampleCounts)
    fault: Literal["", "refused", "failed"] = ""
    said: str = ""

    @property
    def drawn(self) -> int:
        return self.counts.samples

    def add(self, answer: Answer, verdict: str) -> None:
        if answer.finish_reason in NO_ANSWER:
            if self.fault != FAILED:
                self.fault = "failed" if answer.finish_reason == FAILED else "refused"
                self.said = answer.said
            return
        self.correct += verdict == "correct"
        self.counts += counted(answer.finish_reason, answer.completion, verdict, answer.prompt_tokens, answer.tokens)


def _rated(
    state: _State, name: str, samples: int, bands: Sequence[Band], cut_off: Literal["unknown", "wrong"]
) -> PassRate | Unrated:
    if state.fault:
        return Unrated(name, state.fault, state.said, state.counts)
    if cut_off == "unknown" and not state.correct and state.counts.cut_off == state.drawn:
        return Unrated(name, "no_full_answer", "", state.counts)
    band = certain_band(state.correct, state.drawn, samples, bands)
    if band is None:
        raise ValueError("a problem was left before its band was certain")
    return PassRate(name, state.correct, state.drawn, band, state.counts)


def _open_asks(
    states: Sequence[_State], samples: int, bands: Sequence[Band], stop_early: bool
) -> list[tuple[int, int]]:
    """Position and sample number of everything this round needs; empty when all is certain."""
    asks = []
    for at, state in enumerate(states):
        if state.fault:
            continue
        left = samples - state.drawn
        more = fewest_to_certainty(state.correct, state.drawn, samples, bands) if stop_early else left
        more = max(more, 1 - state.drawn)  # without any sample there is no rate, however certain the band
        asks += [(at, state.drawn + number) for number in range(more)]
    return asks


def _verdicts(
    solver: Solver,
    wanted: Sequence[tuple[Question, int]],
    samples: Sequence[Answer],
    cache: SampleCache,
    pool: VerifierPool,
) -> list[str]:
    """The verdict on each sample by its question's gold; new ones are added to the cache."""
    keys = [sample_key(solver.solver_id, solver.asked, question.text) for question, _ in wanted]
    known = [
        sample.finish_reason if sample.finish_reason in NO_ANSWER else cache.verdict(key, number, question.gold)
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
