"""Planning a question: against published sample sizes, the test's level, and what more problems or samples must do."""

import math

import pytest

from frugalrl.statistics.question import Question, power, problems_for, samples_for


def test_problems_are_those_of_the_tables_for_two_proportions():
    """Alike problems with one sample of each are two independent proportions: 40 against 50 % takes 387 in each group
    by the normal approximation, 407 with its continuity correction (Fleiss, Levin and Paik 2003, chapter 4)."""
    found = problems_for(Question(0.4, 0.1, spread=0.0), k=1)
    assert 0.96 * 387 < found < 1.04 * 407


def test_without_a_gain_the_test_keeps_its_level():
    assert power(Question(0.4, 0.0, spread=0.1), 300, 4) == pytest.approx(0.05, abs=0.02)


def test_what_is_promised_is_what_a_fresh_simulation_finds():
    question = Question(0.3, 0.05)
    n = int(problems_for(question, 4))
    assert power(question, n, 4, seed=7) == pytest.approx(0.8, abs=0.04)
    k = int(samples_for(question, 500))
    assert power(question, 500, k, seed=7) > 0.76
    assert k == 1 or power(question, 500, k - 1, seed=7) < 0.84


def test_samples_without_end_do_not_make_up_for_too_few_problems():
    assert samples_for(Question(0.4, 0.03), 30) == math.inf
    assert samples_for(Question(0.4, 0.1, spread=0.0), 30) < samples_for(Question(0.4, 0.1, spread=0.2), 30)
    assert samples_for(Question(0.4, 0.5), 5) == math.inf, "five problems never reach 5 %"
