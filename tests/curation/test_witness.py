"""A model's word about two texts counts only where it can be read."""

import pytest

from frugalrl.config.curation_schema import CurationSpec
from frugalrl.config.loading import parse_recipe
from frugalrl.curation.records import PoolRow
from frugalrl.curation.rule_steps import without_overlap
from frugalrl.curation.sample_cache import SampleCache
from frugalrl.curation.solver import REFUSED, Answer
from frugalrl.curation.witness import says_same, witness_of
from frugalrl.data.decontamination import build_index
from frugalrl.data.statements import read_statement
from frugalrl.errors import UserError

ONE = "A tailor has 137 buttons and sews 5 of them on every jacket. Which jacket gets the last button of the box?"
OTHER = "A box holds 137 buttons. On each jacket the tailor sews 5 buttons; find the jacket that gets the last one."


class Scripted:
    """Answers every ask with one text."""

    solver_id, asked, batch = "scripted", "hash", 4

    def __init__(self, says: str, finish_reason: str = "stop") -> None:
        self.says, self.finish_reason, self.texts = says, finish_reason, []

    def answers(self, asks):
        for at, ask in enumerate(asks):
            self.texts.append(ask.text)
            yield at, Answer(self.says, self.finish_reason, 1)


@pytest.mark.parametrize(
    ("said", "same"),
    [("SAME", True), ("different", False), ("Not DIFFERENT: same.", True), ("SAME? No, DIFFERENT", False), ("", False),
     ("<think>SAME</think> DIFFERENT", False), ("perhaps", False)],
)  # fmt: skip
def test_the_last_word_counts_and_silence_is_no(said, same):
    assert says_same(said) is same


def test_a_pair_is_asked_once_and_both_texts_are_in_the_question(tmp_path):
    solver = Scripted("SAME")
    with SampleCache(tmp_path) as cache:
        witness = witness_of(solver, cache)
        assert witness(ONE, OTHER)
        assert witness(ONE, OTHER)
    assert len(solver.texts) == 1
    assert ONE in solver.texts[0]
    assert OTHER in solver.texts[0]


def test_a_refusal_is_no(tmp_path):
    with SampleCache(tmp_path) as cache:
        assert not witness_of(Scripted("", REFUSED), cache)(ONE, OTHER)


def test_a_witness_drops_a_row_without_a_gold_and_the_ledger_says_why(tmp_path):
    row = PoolRow(id="a", pool="p", source="p", problem=OTHER, answer="", solution="", columns={})
    index = build_index({"exam": [("7", ONE, "28")]})
    with SampleCache(tmp_path) as cache:
        kept, dropped = (
            without_overlap([row], index, read_statement, None, witness_of(Scripted(says), cache))[0]
            for says in ("DIFFERENT", "SAME")
        )
    assert (kept.kept, dropped.kept) == (True, True), "one cache, one answer"
    with SampleCache(tmp_path / "other") as cache:
        dropped = without_overlap([row], index, read_statement, None, witness_of(Scripted("SAME"), cache))[0]
    assert (dropped.kept, dropped.reason) == (False, "overlap_exam")
    assert (dropped.detail["kind"], dropped.detail["row_id"]) == ("restated", "7")
    assert "witness" in dropped.detail["evidence"]


def test_a_witness_that_is_no_solver_is_refused():
    given = {
        "name": "x",
        "pools": [{"name": "p", "path": "p.jsonl"}],
        "steps": [{"step": "decontaminate", "benchmarks": ["aime24"], "witness": "nobody"}],
    }
    with pytest.raises(UserError, match="nobody"):
        parse_recipe(given, CurationSpec)
