"""What each way of answering writes, and how often it is right."""

import itertools
import random
import re

import pytest

from frugalrl.rewards.format import format_reward
from frugalrl.tasks.arithmetic import generate
from frugalrl.tasks.strategies import (
    SKILL_MIX,
    STRATEGIES,
    STRATEGY_MIX,
    draw_strategy,
    write_completion,
)
from frugalrl.verify.answers import judge

PROBLEMS = list(itertools.islice(generate(1, "train"), 1800))


def right_fraction(strategy: str, language: str = "en") -> float:
    rng = random.Random(0)
    shown = [p for p in PROBLEMS if strategy != "misconception" or p.misconception]
    verdicts = [judge(write_completion(rng, p, strategy, language), str(p.answer), True) for p in shown]
    return sum(verdict.label == "correct" for verdict in verdicts) / len(verdicts)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("strategy", "low", "high"),
    [
        ("careful", 1.0, 1.0),
        ("verbose", 1.0, 1.0),
        ("slip", 0.35, 0.75),
        ("misconception", 0.0, 0.0),
        ("hasty", 0.05, 0.15),
        ("no_format", 0.0, 0.0),
    ],
)
def test_how_often_a_strategy_is_right(strategy, low, high, language):
    assert low <= right_fraction(strategy, language) <= high


def test_formatted_strategies_earn_the_format_reward_and_no_format_does_not():
    rng = random.Random(1)
    for strategy in STRATEGIES:
        rewards = {format_reward(write_completion(rng, p, strategy, "en"), True) for p in PROBLEMS[:200]}
        assert rewards == ({0.0, 1.0} if strategy == "no_format" else {1.0})


def test_careful_steps_are_true_equalities():
    rng = random.Random(2)
    for problem in PROBLEMS[:300]:
        text = write_completion(rng, problem, "careful", "en")
        for left, op, right, result in re.findall(r"(\d+)([+*/-])(\d+)=(\d+)", text):
            assert eval(f"{left}{op}{right}") == int(result)


def test_verbose_is_more_than_twice_as_long():
    rng = random.Random(3)
    lengths = [sum(len(write_completion(rng, p, s, "en")) for p in PROBLEMS) for s in ("careful", "verbose")]
    assert lengths[1] > 2 * lengths[0]


@pytest.mark.parametrize("mix", [SKILL_MIX, STRATEGY_MIX])
def test_the_shares_of_a_difficulty_add_up_to_one(mix):
    for shares in mix.values():
        assert sum(shares.values()) == pytest.approx(1.0)


def test_on_hard_problems_the_hasty_guess_is_the_likeliest():
    assert max(STRATEGY_MIX[3], key=STRATEGY_MIX[3].get) == "hasty"
    rng = random.Random(4)
    hard = [problem for problem in PROBLEMS if problem.difficulty == 3]
    drawn = [draw_strategy(rng, problem, STRATEGY_MIX) for problem in hard]
    assert drawn.count("hasty") / len(drawn) > 0.5
