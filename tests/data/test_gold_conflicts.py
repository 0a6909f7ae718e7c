"""Golds of duplicates: merged where equivalent in any form, a conflict where not."""

from fractions import Fraction

import pytest

from frugalrl.data.gold_conflicts import Member, decide_group, decide_groups, option_values

CHOICE = r"How many primes lie below 20? $\textbf{(A)}\ 6 \qquad \textbf{(B)}\ 7 \qquad \textbf{(C)}\ 8$"


def equivalent(one: str, other: str) -> bool:
    try:
        return Fraction(one) == Fraction(other)
    except ValueError:
        return one == other


def test_a_decimal_and_its_fraction_are_merged_into_the_longest_text():
    decision = decide_group([Member("Find it.", "0.5"), Member("Please find it.", "1/2")], equivalent)
    assert (decision.decision, decision.kept, decision.disagreeing) == ("merge", 1, None)


def test_two_values_are_a_conflict_that_shows_both():
    decision = decide_group([Member("Find it.", "60"), Member("Find it.", "60"), Member("Find it.", "72")], equivalent)
    assert (decision.decision, decision.kept, decision.disagreeing) == ("conflict", None, ("60", "72"))


def test_a_letter_is_looked_up_in_its_options_and_the_open_question_is_kept():
    assert option_values(CHOICE) == {"A": "6", "B": "7", "C": "8"}
    members = [Member(CHOICE, "C"), Member("How many primes lie below 20?", "8")]
    assert decide_group(members, equivalent).kept == 1
    assert decide_group([members[0], Member("How many primes lie below 20?", "7")], equivalent).decision == "conflict"


def test_a_solution_counts_more_than_length_and_the_first_wins_a_tie():
    members = [Member("Find the number.", "3"), Member("Find it.", "3", has_solution=True)]
    assert decide_group(members, equivalent).kept == 1
    assert decide_group([Member("Find it.", "3"), Member("Find it.", "3")], equivalent).kept == 0


def test_an_empty_gold_neither_conflicts_nor_is_kept():
    decisions = decide_groups([(0, 1)], [Member("Find the number.", ""), Member("Find it.", "3")], equivalent)
    assert [(one.decision, one.kept) for one in decisions] == [("merge", 1)]


def test_one_problem_is_no_group():
    with pytest.raises(ValueError, match="at least two"):
        decide_group([Member("Find it.", "3")], equivalent)


def test_one_answer_in_two_spellings_is_no_conflict_even_where_verdicts_cannot_read_it():
    def fractions(one, other):
        return {one, other} == {"\\frac{12}{13}", "12/13"}

    def decided(one, other):
        return decide_group([Member("What is it?", one), Member("What is it?", other)], fractions).decision

    assert decided("12:13", "12/13") == "merge"
    assert decided("$7+\\dfrac{\\pi}{2}$", "7 + \\frac{\\pi}{2}") == "merge"
    assert decided("0.\\overline{5}", "0.5") == "conflict"
    assert decided("12:14", "12/13") == "conflict"
