"""Warnings of the first steps: what happened, why, and what to do."""

import pytest

from frugalrl.training.limits.alarms import digest, warnings
from frugalrl.types import Completion, Problem, Prompt, ScoredCompletion, ScoredGroup, Verdict

PROMPT = Prompt(Problem("p", "?", "1"), "?", (1,))


def group(*scored: tuple[dict, str, str, str]) -> ScoredGroup:
    return ScoredGroup(
        PROMPT,
        tuple(
            ScoredCompletion(
                Completion("", (1, 2), (-1.0, -1.0), finish, 0, 0), 0.0, breakdown, Verdict(label, None, why)
            )
            for breakdown, label, why, finish in scored
        ),
    )


def alarms(groups: list[ScoredGroup]) -> list[str]:
    """The warnings after three steps of these groups."""
    return warnings([digest(groups, {"policy/entropy": 0.3}, updates=1)] * 3)


def test_a_healthy_start_is_silent():
    healthy = group(
        ({"accuracy": 1.0, "format": 1.0}, "correct", "equal", "stop"),
        ({"accuracy": 0.0, "format": 0.0}, "incorrect", "different", "length"),
    )
    assert alarms([healthy]) == []


@pytest.mark.parametrize(
    ("value", "label", "why", "says"),
    [
        (0.0, "incorrect", "unclosed_reasoning", "no reasoning was closed with </think>"),
        (0.0, "incorrect", "no_box", "ask for it in data.prompt"),
        (0.0, "incorrect", "different", "choose easier problems"),
        (None, "unknown", "unparseable_gold", "frugalrl check-golds"),
        (1.0, "correct", "equal", "choose harder problems"),
    ],
)
def test_a_constant_reward_names_its_likely_cause(value, label, why, says):
    constant = group(*[({"accuracy": value}, label, why, "stop")] * 4)
    (warning,) = alarms([constant])
    assert "The reward accuracy" in warning
    assert says in warning


def test_only_the_constant_term_is_named():
    mixed = group(
        ({"accuracy": 0.0, "format": 1.0}, "incorrect", "no_box", "stop"),
        ({"accuracy": 0.0, "format": 0.0}, "incorrect", "no_box", "stop"),
    )
    (warning,) = alarms([mixed])
    assert "accuracy" in warning


def test_truncation_of_all_is_said_first():
    cut = group(*[({"accuracy": 0.0}, "incorrect", "unclosed_reasoning", "length")] * 3)
    assert alarms([cut])[0].startswith("Every completion of the first 3 steps was truncated at 2 tokens")
