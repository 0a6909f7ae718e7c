"""Warnings of the first steps: what happened, why, and what to do."""

import json
import math

import pytest

from frugalrl.training.limits.alarms import StepDigest, digest, reason_to_end, warnings
from frugalrl.types import NOTHING_TO_LEARN, Completion, Problem, Prompt, ScoredCompletion, ScoredGroup, Verdict

PROMPT = Prompt(Problem("p", "?", "1"), "?", (1,))


def group(*scored: tuple[dict, str, str, str]) -> ScoredGroup:
    return ScoredGroup(
        PROMPT,
        tuple(
            ScoredCompletion(
                Completion("", (1, 2), (-1.0, -1.0), finish, (0, 0), 0), 0.0, breakdown, Verdict(label, None, why)
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


# --------------------------------------------------------------------------- when nothing can be learned any more

DEAD = ({"accuracy": 0.0}, "incorrect", "unclosed_reasoning", "length")
WRONG = ({"accuracy": 0.0}, "incorrect", "different", "stop")
RIGHT = ({"accuracy": 1.0}, "correct", "equal", "stop")


def steps(scored, count: int, entropy: float = 0.3, nonfinite: float = 0.0, loss: float = 0.1) -> list[StepDigest]:
    metrics = {"policy/entropy": entropy, "policy/nonfinite_updates": nonfinite, "loss/total": loss}
    return [digest([group(*[scored] * 8)], metrics, updates=1)] * count


def test_three_steps_of_nothing_but_truncated_text_end_a_run_and_the_cause_is_named():
    assert reason_to_end(steps(DEAD, 2)) is None
    reason = reason_to_end(steps(DEAD, 3))
    assert reason.startswith(NOTHING_TO_LEARN)
    assert "all 24 completions of the last 3 steps earned the same reward (0) and none was correct" in reason
    assert "100% were truncated" in reason
    assert "raise rollout.max_completion_tokens" in reason


def test_near_deterministic_text_that_is_all_wrong_ends_it_too():
    assert reason_to_end(steps(WRONG, 3, entropy=1e-5)) is not None


def test_wrong_answers_alone_may_go_on_for_ten_steps_before_a_run_ends():
    assert reason_to_end(steps(WRONG, 9)) is None
    assert "choose easier problems" in reason_to_end(steps(WRONG, 10))
    assert reason_to_end([*steps(WRONG, 4), *steps(RIGHT, 1), *steps(WRONG, 5)]) is None


def test_a_run_that_solves_everything_or_is_too_small_to_tell_goes_on():
    assert reason_to_end(steps(RIGHT, 10)) is None
    few = [digest([group(*[DEAD] * 4)], {"policy/entropy": 0.3}, updates=1)] * 3
    assert reason_to_end(few) is None


def test_steps_without_a_finite_gradient_end_a_run_and_steps_without_any_gradient_do_not():
    overflow = reason_to_end(steps(RIGHT, 3, nonfinite=1.0))
    assert "no gradient of the last 3 steps was finite" in overflow
    assert "The loss was finite and its gradient was not" in overflow
    broken = reason_to_end(steps(RIGHT, 3, entropy=float("nan"), nonfinite=1.0, loss=float("nan")))
    assert "The loss itself was NaN or infinite" in broken
    no_batch = {"policy/entropy": math.nan, "loss/total": math.nan, "policy/skipped_updates": 1.0}
    nothing = digest([group(*[RIGHT] * 8)], {**no_batch, "policy/nonfinite_updates": 0.0}, updates=1)
    assert reason_to_end([nothing] * 3) is None


def test_a_reward_of_its_own_is_not_explained_by_the_answers():
    silent = ({"mine.reward": None}, "incorrect", "different", "stop")
    (warning,) = warnings(steps(silent, 3))
    assert "It returned None for all of them" in warning
    assert "wrong" not in warning


def test_a_digest_comes_back_from_json_as_it_was():
    (one,) = steps(DEAD, 1)
    assert StepDigest.from_json(json.loads(json.dumps(one.to_json()))) == one
