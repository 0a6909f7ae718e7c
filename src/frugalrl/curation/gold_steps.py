"""The steps that need verdicts on golds: which can be read, and which of a duplicate's golds agree."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from frugalrl.curation.records import Decision, PoolRow
from frugalrl.verify.gold_words import states_no_answer
from frugalrl.verify.workers.pool import AnswerItem, VerifierPool

WRONG_ANSWER = "123454321"
"""An answer that no gold equals. A readable gold gives it the verdict `incorrect`; the others give `unknown`."""
NO_ANSWER = "no_answer"
"""The fault of a gold in words that state no answer: "see figure", "proof", "N/A"."""
HELD = 200_000
"""Golds remembered, about 40 MB: frequent ones are judged once in a pool of any size."""
_TOGETHER = 500


class GoldReader:
    """Why a gold cannot be read, or None if it can; the last `HELD` different golds are cached.

    Checked with the verifier as in training: a wrong answer to a readable gold gets a verdict. Words that state no
    answer, which a completion need only repeat, are refused first, as `check-golds` does.
    """

    def __init__(self, pool: VerifierPool) -> None:
        self._pool = pool
        self._known: OrderedDict[str, str | None] = OrderedDict()

    def faults(self, golds: Iterable[str]) -> dict[str, str | None]:
        """The fault of each gold."""
        distinct = dict.fromkeys(golds)
        unknown = [gold for gold in distinct if gold.strip() and gold not in self._known]
        self._known.update((gold, NO_ANSWER) for gold in unknown if states_no_answer(gold) is not None)
        asked = [gold for gold in unknown if gold not in self._known]
        for start in range(0, len(asked), _TOGETHER):
            part = asked[start : start + _TOGETHER]
            verdicts = self._pool.judge_many(AnswerItem(f"\\boxed{{{WRONG_ANSWER}}}", gold) for gold in part)
            for gold, verdict in zip(part, verdicts, strict=True):
                self._known[gold] = verdict.reason if verdict.label == "unknown" else None
        found: dict[str, str | None] = {}
        for gold in distinct:
            if gold.strip():
                self._known.move_to_end(gold)
            found[gold] = self._known[gold] if gold.strip() else "missing"
        while len(self._known) > HELD:
            self._known.popitem(last=False)
        return found


def gold_faults(golds: Sequence[str], pool: VerifierPool) -> dict[str, str | None]:
    """Why each gold cannot be read, or None if it can."""
    return GoldReader(pool).faults(golds)


def parsed_golds(
    rows: Sequence[PoolRow], faults: Mapping[str, str | None], action: Literal["drop", "flag"]
) -> list[Decision]:
    """Drop or flag the rows whose gold cannot be read."""
    decisions = []
    for row in rows:
        fault = faults[row.answer]
        if fault is None:
            decisions.append(Decision(row.id, True, "readable"))
        else:
            changes = {"gold_fault": fault} if action == "flag" else {}
            decisions.append(Decision(row.id, action == "flag", fault, {"answer": row.answer}, changes))
    return decisions


def equivalence(pool: VerifierPool) -> Callable[[str, str], bool]:
    """Whether two golds are the same answer, to the verdict layer: either is accepted for the other."""

    def equivalent(one: str, other: str) -> bool:
        if one == other:
            return True
        items = [AnswerItem(f"\\boxed{{{answer}}}", gold) for answer, gold in ((one, other), (other, one))]
        return any(verdict.label == "correct" for verdict in pool.judge_many(items))

    return equivalent
