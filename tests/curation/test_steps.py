"""The steps as functions: rows in, a decision with its reason for each row out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalrl.config.curation_schema import Difficulty, Mix, Splits
from frugalrl.config.loading import parse_recipe
from frugalrl.curation.gold_steps import equivalence, gold_faults, parsed_golds
from frugalrl.curation.records import Decision, PoolRow, decision_of, ledger_line
from frugalrl.curation.selection_steps import (
    column_notes,
    difficulty_from_column,
    mixed,
    quotas_taken,
    split_decisions,
    splits_drawn,
)
from frugalrl.curation.text_steps import has_box, prompt_tokens, read_golds
from frugalrl.errors import DataError, RecipeError


def row(row_id: str = "a", **more) -> PoolRow:
    values = {"pool": "p", "source": "s", "problem": "q", "answer": "", "solution": "", "columns": {}}
    return PoolRow(row_id, **{**values, **more})


def reasons(decisions) -> list[tuple[bool, str]]:
    return [(one.kept, one.reason) for one in decisions]


def test_only_solutions_with_a_closed_box_stay():
    rows = [row("a", solution="so $\\boxed{5}$"), row("b", solution="so 5"), row("c"), row("d", solution="\\boxed{5")]
    assert reasons(has_box(rows)) == [(True, "boxed"), (False, "no_box"), (False, "no_solution"), (False, "no_box")]


def test_a_gold_is_read_where_there_is_none_or_where_asked():
    rows = [
        row("a", solution="\\boxed{\\frac{1}{2}}"), row("b", answer="3", solution="\\boxed{4}"), row("c"),
        row("d", answer="3"), row("e", solution="6*7=42\n#### 42"),
    ]  # fmt: skip
    found = read_golds(rows, replace=False)
    assert [(one.kept, one.changes.get("answer")) for one in found] == [
        (True, "\\frac{1}{2}"), (True, None), (False, None), (True, None), (True, "42"),
    ]  # fmt: skip
    replaced = read_golds(rows, replace=True)[1]
    assert (replaced.changes, replaced.detail) == ({"answer": "4"}, {"replaced": "3"})


def test_golds_that_the_verdict_layer_cannot_read_are_dropped_or_flagged(patient_pool):
    golds = ["5", "\\frac{1}{2}", "", "\\frac{1}{", "B", "\\text{Evelyn}", "(1, 2)", "x^2+1", "2^{2^{40}}"]
    rows = [row(str(at), answer=gold) for at, gold in enumerate(golds)]
    faults = gold_faults(golds, patient_pool)
    dropped = parsed_golds(rows, faults, "drop")
    assert [golds[at] for at, one in enumerate(dropped) if not one.kept] == ["", "\\frac{1}{", "2^{2^{40}}"]
    assert [one.reason for one in dropped if not one.kept] == ["missing", "unparseable_gold", "gold_beyond_limits"]
    assert gold_faults(["see figure", "N/A", "no solution"], patient_pool) == {
        "see figure": "no_answer",
        "N/A": "no_answer",
        "no solution": None,
    }
    flagged = parsed_golds(rows, faults, "flag")
    assert all(one.kept for one in flagged)
    assert flagged[3].changes == {"gold_fault": "unparseable_gold"}


def test_golds_of_duplicates_are_compared_by_the_verdict_layer(patient_pool):
    equivalent = equivalence(patient_pool)
    assert equivalent("0.5", "\\frac{1}{2}")
    assert equivalent("1, 2", "2, 1")
    assert not equivalent("5", "6")


def test_long_prompts_go_and_the_count_stays_in_the_row():
    rows = [row("a", problem="one two"), row("b", problem="one two three")]
    found = prompt_tokens(rows, lambda texts: [len(text.split()) for text in texts], most=2)
    assert reasons(found) == [(True, "fits"), (False, "too_long")]
    assert found[0].changes == {"prompt_tokens": 2}
    assert found[1].detail == {"most": 2, "tokens": 3}


def step(kind, **values):
    return parse_recipe(values, kind)


BANDS = [{"name": "easy", "low": 1, "high": 2}, {"name": "hard", "low": 3, "high": 5}]


def test_difficulty_from_a_column():
    rows = [row("a", columns={"level": "Level 2"}), row("b", columns={"level": 5}), row("c", columns={"level": "?"})]
    found = difficulty_from_column(
        rows, step(Difficulty, step="difficulty", column="level", bands=BANDS, drop=["easy"])
    )
    assert reasons(found) == [(False, "band_easy"), (True, "band_hard"), (True, "no_value")]
    assert [one.changes.get("band") for one in found] == [None, "hard", "unknown"]
    dropped = difficulty_from_column(
        rows, step(Difficulty, step="difficulty", column="level", bands=BANDS, missing="drop")
    )
    assert reasons(dropped)[2] == (False, "no_value")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"column": "levl"}, "No row has the column 'levl' .*Did you mean 'level'"),
        ({"column": "level", "missing": "error"}, "row c has no number in 'level'"),
        ({"column": "level", "bands": BANDS[:1]}, "row b has 5 in 'level', and no band holds it"),
    ],
)
def test_a_column_that_does_not_fit_says_so(more, says):
    rows = [row("a", columns={"level": 1}), row("b", columns={"level": 5}), row("c", columns={"level": None})]
    asked = step(Difficulty, **{"step": "difficulty", "bands": BANDS, **more})
    with pytest.raises(DataError, match=says):
        column_notes(rows, asked) and difficulty_from_column(rows, asked)


def test_every_possible_pass_rate_needs_a_band():
    with pytest.raises(RecipeError, match="no band contains the pass rate 1/4"):
        step(Difficulty, step="difficulty", solvers=["s"], samples=4, bands=[{"name": "zero", "low": 0, "high": 0}])


# ------------------------------------------------------------------------------------------------- quotas


def drawn(rows, asked, seed):
    """Decisions of a mix, and its notes."""
    taken, short = quotas_taken(rows, asked, seed)
    return list(mixed(rows, taken)), short


MIXED = [
    row(f"{band}{at}", columns={"band": band}) for band, count in (("hard", 6), ("easy", 3)) for at in range(count)
]


def test_quotas_take_what_they_ask_for_by_the_seed():
    asked = step(Mix, step="mix", quotas=[{"count": 4, "bands": ["hard"]}, {"count": 2, "bands": ["easy"]}])
    found, short = drawn(MIXED, asked, seed=1)
    kept = [one.id for one in found if one.kept]
    assert short == []
    assert sorted(name[:4] for name in kept) == ["easy"] * 2 + ["hard"] * 4
    assert [one.id for one in drawn(MIXED, asked, seed=1)[0] if one.kept] == kept
    assert any([one.id for one in drawn(MIXED, asked, seed=seed)[0] if one.kept] != kept for seed in range(2, 8))


def test_the_draw_does_not_depend_on_the_order_of_the_pool():
    asked = step(Mix, step="mix", quotas=[{"count": 3, "bands": ["hard"]}])
    kept = {one.id for one in drawn(MIXED, asked, 1)[0] if one.kept}
    assert {one.id for one in drawn(MIXED[::-1], asked, 1)[0] if one.kept} == kept


def test_a_problem_goes_to_one_quota_only():
    asked = step(Mix, step="mix", quotas=[{"count": 4, "bands": ["hard"]}, {"count": 5}])
    found, _ = drawn(MIXED, asked, 0)
    assert all(one.kept for one in found)
    assert sum(one.reason == "quota_2" for one in found) == 5


def test_a_quota_larger_than_its_band_is_an_error_or_is_said():
    quotas = [{"count": 5, "bands": ["easy"], "pools": ["p"]}]
    with pytest.raises(DataError, match=r"Quota 1 asks for 5 of pool p, band easy, and there are 3\. Lower it"):
        drawn(MIXED, step(Mix, step="mix", quotas=quotas), 0)
    found, short = drawn(MIXED, step(Mix, step="mix", quotas=quotas, allow_short=True), 0)
    assert sum(one.kept for one in found) == 3
    assert short == ["Quota 1 asks for 5 of pool p, band easy, and there are 3: all of them are taken."]


def test_a_band_that_nobody_has_names_the_nearest():
    with pytest.raises(DataError, match=r"names the band 'hrad', which no row has\. Did you mean 'hard'"):
        drawn(MIXED, step(Mix, step="mix", quotas=[{"count": 1, "bands": ["hrad"]}]), 0)


# ------------------------------------------------------------------------------------------------- splits


@settings(deadline=None)
@given(st.integers(14, 40), st.integers(0, 5), st.integers(0, 4), st.integers(0, 5))
def test_splits_are_exact_and_near_duplicates_stay_in_training(total, validation, test, seed):
    rows = [row(str(at)) for at in range(total)]
    groups = [(0, 3, 7), (1, 2)]
    asked = parse_recipe({"validation": validation, "test": test}, Splits)
    found = list(split_decisions(rows, splits_drawn(rows, groups, asked, seed)))
    counted = {name: sum(one.reason == name for one in found) for name in ("train", "validation", "test")}
    assert counted == {"train": total - validation - test, "validation": validation, "test": test}
    assert {found[at].reason for group in groups for at in group} == {"train"}


def test_splits_that_leave_nothing_to_train_on_are_refused():
    rows = [row(str(at)) for at in range(4)]
    with pytest.raises(DataError, match="hold out 4 of 4 problems"):
        splits_drawn(rows, [], parse_recipe({"validation": 2, "test": 2}, Splits), 0)
    with pytest.raises(DataError, match="only 0 have no near duplicate"):
        splits_drawn(rows, [(0, 1, 2, 3)], parse_recipe({"validation": 1}, Splits), 0)


# ------------------------------------------------------------------------------------------------- records


def test_decisions_survive_the_ledger():
    decisions = [Decision("a", True, "why", {"n": 1}, {"answer": "2", "band": "hard"}), Decision("b", False, "not")]
    assert [decision_of(ledger_line("s", one)) for one in decisions] == decisions
    assert ledger_line("s", decisions[1]) == {"id": "b", "step": "s", "kept": False, "reason": "not"}
