"""The compatibility set: the released formulas by hand, one test for each fault they are kept with."""

import math

import pytest

from frugalrl.config.schema import RewardTerm
from frugalrl.rewards import open_rs
from frugalrl.rewards.length import cosine_reward, group_length_rewards
from frugalrl.rewards.rubric import build_rubric, score_group
from tests.rewards.reward_builders import group_of


def test_fault_the_cosine_rises_again_past_the_bound_with_twice_its_period():
    at = [open_rs.open_rs_cosine(1.0, chars) for chars in (0, 1000, 2000, 3000)]
    assert at == pytest.approx([1.0, 0.5, 1.0, 0.5])
    assert cosine_reward(True, 2000, 1000) == 0.5


def test_fault_the_command_lines_defaults_punish_the_long_wrong_answer_most():
    assert open_rs.open_rs_cosine(0.0, 0) == pytest.approx(0.0)
    assert open_rs.open_rs_cosine(0.0, 1000) == pytest.approx(-0.5)
    assert cosine_reward(False, 0, 1000) < cosine_reward(False, 1000, 1000)


def test_fault_the_cosine_counts_characters():
    [scored] = score_group(
        build_rubric([RewardTerm(name="open_rs_cosine", args={"max_len": 3584})], 3584),
        group_of(["x" * 3576 + "\\boxed{4}"[:8]], lengths_tokens=[10], solution="$4$"),
    ).completions
    assert scored.reward == pytest.approx(-0.5), "3,584 characters are the whole bound, at ten tokens"


def test_fault_an_unparseable_gold_pays_in_full():
    assert open_rs.open_rs_accuracy("no idea", "no mathematics here") == 1.0
    assert open_rs.open_rs_cosine(None, 5000) == 1.0


def test_fault_a_box_inside_unfinished_reasoning_counts():
    assert open_rs.open_rs_accuracy("<think>\nmaybe $\\boxed{4}$, or", "$4$") == 1.0


def test_fault_the_verifiers_arguments_are_swapped():
    """math-verify lets a gold interval stand for its inequality, but not the other way round."""
    swapped = open_rs.open_rs_accuracy("$\\boxed{(1,2)}$", "$1 < x < 2$")
    import math_verify

    gold, answer = math_verify.parse("$1 < x < 2$"), math_verify.parse("$\\boxed{(1,2)}$")
    assert bool(math_verify.verify(answer, gold)) == bool(swapped)
    assert math_verify.verify(gold, answer) != math_verify.verify(answer, gold)


def test_fault_the_format_asks_for_one_substring_only():
    assert open_rs.open_rs_format("\n</think>\n") == 1.0
    assert open_rs.open_rs_format("<think>\nwhy</think>\n4") == 0.0


def test_fault_a_prefilled_template_costs_half_the_tag_count():
    assert open_rs.open_rs_tag_count("why\n</think>\n4") == 0.5
    assert open_rs.open_rs_tag_count("<think>\nwhy\n</think>\n4") == 1.0


def test_fault_length_over_a_batch_pays_the_prompt_with_short_answers():
    easy, hard = [100, 110], [900, 910]
    batch = open_rs.open_rs_length([True] * 4, easy + hard)
    assert min(batch[:2]) > 0.4
    assert max(batch[2:]) < -0.4
    assert group_length_rewards([True] * 2, hard) == [0.5, -0.5]
    assert open_rs.open_rs_length([True] * 2, hard) == [0.5, -0.5], "on one group the two agree"


def test_fault_loops_without_spaces_are_free():
    assert open_rs.open_rs_repetition("因此" * 500) == 0.0
    assert open_rs.open_rs_repetition("so " * 500) < -0.99


def test_fault_numbered_steps_count_at_the_start_only():
    assert open_rs.open_rs_reasoning_steps("1. a\n2. b\n3. c") == pytest.approx(1 / 3)


def test_a_right_answer_in_the_middle_of_the_curve_is_the_released_formula():
    expected = 0.5 + 0.5 * (1.0 - 0.5) * (1.0 + math.cos(math.pi * 250 / 1000))
    assert open_rs.open_rs_cosine(1.0, 250) == pytest.approx(expected)


def test_the_set_runs_as_a_rubric():
    names = ("accuracy", "format", "tag_count", "cosine", "length", "repetition", "reasoning_steps")
    rubric = build_rubric([RewardTerm(name=f"open_rs_{name}") for name in names], 100)
    group = group_of(["1. so\n</think>\n$\\boxed{4}$", "</think>\n$\\boxed{5}$ "], prompt="2+2?<think>\n")
    first, second = score_group(rubric, group).completions
    assert first.breakdown["open_rs_accuracy"] == 1.0
    assert second.breakdown["open_rs_accuracy"] == 0.0
    assert first.breakdown["open_rs_format"] == 1.0
