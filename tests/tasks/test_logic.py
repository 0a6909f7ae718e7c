"""Logic puzzles: one solution each, splits that do not overlap, and an exact checker."""

import itertools

import pytest

from frugalrl.config.schema import ProblemSource, RewardTerm
from frugalrl.rewards.rubric import build_rubric, score_group
from frugalrl.tasks.arithmetic import split_of
from frugalrl.tasks.loading import load_problems
from frugalrl.tasks.logic import (
    Clue,
    generate,
    logic_problem,
    logic_verdict,
    solutions,
)
from frugalrl.types import Completion, Problem, Prompt, RolloutGroup


def take(count, seed=0, split="train", **cells):
    return list(itertools.islice(generate(seed, split, **cells), count))


PUZZLES = take(120)


def brute_force(puzzle):
    """Written apart from the package: knights by their meaning, orders by the sentences' own words."""
    n = len(puzzle.people)
    found = []
    candidates = (
        itertools.product([False, True], repeat=n) if puzzle.family == "knights" else itertools.permutations(range(n))
    )
    for values in candidates:
        truths = []
        for c in puzzle.clues:
            a, b = values[c.first], values[c.second]
            truths.append(
                {
                    "is": bool(a), "not": not a, "same": a == b, "differ": a != b, "either": not (a and b),
                    "count": sum(map(int, values)) == c.number, "before": a < b, "next": b - a == 1,
                    "between": abs(a - b) - 1 == c.number, "not_at": a != c.number,
                }[c.kind]
            )  # fmt: skip
        if puzzle.family == "knights":
            if all(truth == values[speaker] for speaker, truth in enumerate(truths)):
                found.append(values)
        elif all(truths):
            found.append(values)
    return found


@pytest.mark.parametrize("family", ["knights", "order"])
def test_every_puzzle_has_exactly_its_gold_as_solution(family):
    for puzzle in [puzzle for puzzle in PUZZLES if puzzle.family == family]:
        [values] = brute_force(puzzle)
        if family == "knights":
            gold = ", ".join(
                f"{name}: {'knight' if v else 'knave'}" for name, v in zip(puzzle.people, values, strict=True)
            )
        else:
            gold = ", ".join(sorted(puzzle.people, key=lambda name: values[puzzle.people.index(name)]))
        assert puzzle.gold == gold


def test_no_clue_of_an_order_puzzle_can_be_left_out():
    for puzzle in [puzzle for puzzle in PUZZLES if puzzle.family == "order"][:30]:
        for clue in puzzle.clues:
            fewer = [other for other in puzzle.clues if other != clue]
            assert len(solutions("order", len(puzzle.people), fewer)) > 1


def test_a_puzzle_known_from_the_books():
    """Smullyan: A says "at least one of us is a knave": A is a knight, B a knave, whatever B says of A's kind."""
    clues = (Clue("either", 0, 1), Clue("not", 0))
    assert solutions("knights", 2, clues) == [(1, 0)]


def test_the_stream_is_seeded_and_cycles_through_every_cell():
    assert take(12) == PUZZLES[:12]
    assert take(12, seed=1) != PUZZLES[:12]
    cells = [(puzzle.family, puzzle.difficulty) for puzzle in PUZZLES[:6]]
    assert sorted(cells) == [(family, d) for family in ("knights", "order") for d in (1, 2, 3)]
    assert {p.family for p in take(5, families=("order",), difficulties=(1,))} == {"order"}


def test_splits_do_not_overlap():
    keys = {split: {puzzle.key for puzzle in take(30, split=split)} for split in ("train", "validation", "test")}
    assert not keys["train"] & keys["validation"]
    assert not keys["train"] & keys["test"]
    assert not keys["validation"] & keys["test"]
    assert all(split_of(key) == split for split, found in keys.items() for key in found)


def test_problems_are_distinct_where_there_are_enough():
    harder = [puzzle.key for puzzle in PUZZLES if puzzle.difficulty > 1]
    assert len(set(harder)) == len(harder)


def knights():
    return Problem("l", "", "Ada: knight, Ben: knave", {"task": "logic", "family": "knights", "people": ["Ada", "Ben"]})


def order():
    return Problem("l", "", "Ben, Ada, Cleo", {"task": "logic", "family": "order", "people": ["Ada", "Ben", "Cleo"]})


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("Ada: knight, Ben: knave", "correct"),
        ("Ben: knave, Ada: knight", "correct"),
        ("\\text{Ada is a knight and Ben is a knave}", "correct"),
        ("ADA=KNIGHT; BEN=KNAVE.", "correct"),
        ("Ada: knave, Ben: knight", "incorrect"),
        ("Ada: knight", "incorrect"),
        ("Ada: knight, Ben: knave, Ben: knight", "incorrect"),
        ("Ada: knight, Ada: knight, Ben: knave", "incorrect"),
        ("Ada: knight or knave, Ben: knave", "incorrect"),
        ("Ada: knight, Ben: knave, Eva: knave", "incorrect"),
        ("not Ada: knight, Ben: knave", "incorrect"),
        ("", "incorrect"),
    ],
)
def test_knights_are_checked_exactly(answer, label):
    assert logic_verdict(f"so \\boxed{{{answer}}}", knights()).label == label


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("Ben, Ada, Cleo", "correct"),
        ("Ben > Ada > Cleo", "correct"),
        ("\\text{Ben, Ada and Cleo}", "correct"),
        ("Ben, Cleo, Ada", "incorrect"),
        ("Ben, Ada", "incorrect"),
        ("Ben, Ada, Cleo, Ben", "incorrect"),
        ("Ben, Ada, Cleo or Ada, Ben, Cleo", "incorrect"),
    ],
)
def test_an_order_is_checked_exactly(answer, label):
    assert logic_verdict(f"so \\boxed{{{answer}}}", order()).label == label


@pytest.mark.parametrize(
    ("completion", "reasoning_open", "reason"),
    [
        ("<think>\\boxed{Ben, Ada, Cleo}", False, "unclosed_reasoning"),
        ("\\boxed{Ben, Ada, Cleo}", True, "unclosed_reasoning"),
        ("Ben, Ada, Cleo", False, "no_box"),
        ("\\boxed{who knows}", False, "unreadable_answer"),
    ],
)
def test_where_there_is_no_answer_the_reason_is_given(completion, reasoning_open, reason):
    verdict = logic_verdict(completion, order(), reasoning_open)
    assert (verdict.label, verdict.reason) == ("incorrect", reason)


def test_a_rubric_judges_logic_problems_by_their_checker():
    problem = logic_problem(PUZZLES[0], 0, "train")
    assert problem.check.task == "logic"
    assert problem.columns["key"] == PUZZLES[0].key
    swapped = ", ".join(reversed(problem.gold.split(", ")))
    completions = tuple(
        Completion(f"\\boxed{{{answer}}}", (1,), (0.0,), "stop", (0,), 0)
        for answer in (problem.gold, swapped, "Ada: spy")
    )
    group = RolloutGroup(Prompt(problem, problem.text, (0,)), completions)
    scored = score_group(build_rubric([RewardTerm(name="accuracy")], 100), group)
    assert [completion.reward for completion in scored.completions] == [1.0, 1.0, 0.0]


def test_logic_is_a_source_of_problems_by_name():
    source = ProblemSource(source="logic", split="validation", limit=6)
    problems = load_problems(source)
    assert [problem.id for problem in problems] == [f"logic-validation-{number}" for number in range(6)]
    assert all(problem.check.task == "logic" for problem in problems)
    assert (
        load_problems(ProblemSource(source="logic", split="validation", limit=3, difficulties=(1,)))[2].columns[
            "difficulty"
        ]
        == 1
    )
    with pytest.raises(ValueError, match="endless"):
        ProblemSource(source="logic")
