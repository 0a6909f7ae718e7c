"""The mixture of domains, and the written-out searches through logic puzzles."""

import itertools
import random
from collections import Counter

import pytest

from frugalrl.config.schema import CompletionSource, ProblemSource
from frugalrl.rewards.format import format_reward
from frugalrl.tasks.loading import load_completions, load_problems
from frugalrl.tasks.logic import generate, logic_problem, logic_verdict, solutions
from frugalrl.tasks.logic_solutions import MOST_LINES, is_short, write_logic

PUZZLES = list(itertools.islice(generate(3, "train", difficulties=(1, 2)), 240))


def is_right(text, puzzle):
    return logic_verdict(text, logic_problem(puzzle, 0, "train"), True).label == "correct"


@pytest.mark.parametrize(
    ("strategy", "low", "high"), [("careful", 1, 1), ("slip", 0.45, 0.8), ("hasty", 0.04, 0.18), ("no_format", 0, 0)]
)
def test_how_often_a_strategy_is_right(strategy, low, high):
    rng = random.Random(0)
    texts = [write_logic(rng, one, strategy) for one in PUZZLES]
    assert low <= sum(map(is_right, texts, PUZZLES)) / len(PUZZLES) <= high
    formats = {format_reward(text, True) for text in texts}
    assert formats == ({0.0, 1.0} if strategy == "no_format" else {1.0})


def test_puzzles_have_neither_misconceptions_nor_verbose_solutions():
    for strategy in ("verbose", "misconception"):
        with pytest.raises(ValueError, match=strategy):
            write_logic(random.Random(0), PUZZLES[0], strategy)


def test_every_line_of_a_search_says_what_is_so():
    """Beginnings that are dropped have no solution among their continuations; assumptions contradict a statement."""
    for puzzle in PUZZLES:
        lines = write_logic(random.Random(0), puzzle, "careful").partition("\n</think>")[0].split("\n")
        [right] = solutions(puzzle.family, len(puzzle.people), puzzle.clues)
        for line in lines:
            left, _, verdict = line.partition(":")
            if puzzle.family == "order":
                tried = left.split()
                begins = [puzzle.people[right.index(place)] for place in range(len(tried))]
                assert verdict == (" yes" if tried == begins else " no")
                continue
            words = left.split()
            said = dict(zip(words[::2], words[1::2], strict=True))
            values = tuple(int(said[name] == "knight") for name in puzzle.people)
            truths = [clue.holds(values) for clue in puzzle.clues]
            *checked, last = verdict.replace(",", "").split()
            assert checked == ["true" if truth else "false" for truth in truths[: len(checked)]]
            assert last == ("yes" if values == right else "no")


def test_searches_that_are_shown_are_short():
    shown = load_completions(CompletionSource(source="logic", mix="strategies", limit=300, difficulties=(1, 2)))
    assert max(one.completion.partition("\n</think>")[0].count("\n") for one in shown) < MOST_LINES
    assert 0.9 < sum(map(is_short, PUZZLES)) / len(PUZZLES) < 1


def test_a_mixture_has_a_third_of_each_and_each_is_judged_by_its_own_task():
    found = load_problems(ProblemSource(source="domains", limit=30, seed=5, difficulties=(1,)))
    assert Counter(one.check.task for one in found) == dict.fromkeys(("arithmetic", "logic", "programs"), 10)
    alone = {
        name: load_problems(ProblemSource(source=name, limit=10, seed=5, difficulties=(1,)))
        for name in ("arithmetic", "logic", "programs")
    }
    for name, problems in alone.items():
        assert [one for one in found if one.check.task == name] == problems


def test_completions_of_the_mixture_come_in_no_fixed_order():
    """A tokenizer is trained on every n-th example: in a fixed order of three, on one domain alone."""
    given = CompletionSource(source="domains", mix="skill", limit=300, difficulties=(1,), second_language_fraction=0)
    shown = load_completions(given)
    assert shown == load_completions(given)
    marks = {"def f": "programs", ": yes": "logic", ", yes": "logic"}
    kinds = [next((marks[mark] for mark in marks if mark in one.completion), "arithmetic") for one in shown]
    assert Counter(kinds) == dict.fromkeys(("arithmetic", "logic", "programs"), 100)
    assert min(Counter(kinds[::3]).values()) > 20
