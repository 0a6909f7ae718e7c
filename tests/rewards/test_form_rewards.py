"""Format, tags, steps and repetition, with what peers let through."""

import pytest

from frugalrl.rewards.format import code_format_reward, format_reward, tag_count_reward
from frugalrl.rewards.reasoning_steps import reasoning_steps_reward
from frugalrl.text.reasoning import split_reasoning
from frugalrl.text.repetition import repeated_ngram_fraction, repetition_reward, words_of

GOOD = "<think>\nwhy\n</think>\nIt is 4."


@pytest.mark.parametrize(
    ("completion", "reasoning_open", "reward"),
    [
        (GOOD, False, 1.0),
        ("why\n</think>\nIt is 4.", True, 1.0),
        ("why\n</think>\nIt is 4.", False, 0.0),  # nobody opened it
        (GOOD, True, 0.0),  # opened twice
        ("<think></think>a", False, 0.0),  # TRL's format reward pays this
        ("<think>\n\n</think>\na", False, 0.0),
        ("<think>\nwhy\n</think>\n", False, 0.0),  # no answer; Open-RS pays this
        ("<think>\nwhy\n</think>\na\n</think>\nb", False, 0.0),
        ("<think>\nwhy", False, 0.0),
        ("", False, 0.0),
        ("", True, 0.0),
    ],
)
def test_format_wants_reasoning_closed_once_and_an_answer(completion, reasoning_open, reward):
    assert format_reward(completion, reasoning_open) == reward


def test_tag_count_pays_a_quarter_a_tag_and_knows_the_prefilled_one():
    whole = "<think>\na\n</think>\n<answer>\n4\n</answer>"
    assert tag_count_reward(whole, False) == 1.0
    assert tag_count_reward(whole.replace("\n</think>", "</think>"), False) == 0.75
    assert tag_count_reward("a\n</think>\n\n<answer>\n4\n</answer>", True) == 1.0
    assert tag_count_reward("a\n</think>\n4", True, answer_tags=False) == 1.0
    assert tag_count_reward("a\n</think>\n4\n</think>\n", True, answer_tags=False) == 0.5
    assert tag_count_reward("", False) == 0.0


def test_code_format_wants_a_filled_python_block_after_the_reasoning():
    assert code_format_reward("<think>\na\n</think>\n```python\nx = 1\n```", False) == 1.0
    assert code_format_reward("<think>\na\n</think>\n```python\n\n```", False) == 0.0
    assert code_format_reward("<think>\n```python\nx = 1\n```\n</think>\ndone", False) == 0.0


@pytest.mark.parametrize(
    ("completion", "reasoning_open", "parts"),
    [
        ("<think>a</think>b", False, ("a", "b")),
        ("a</think>b", True, ("\na", "b")),
        ("a", True, ("\na", "")),
        ("a", False, ("a", "")),
    ],
)
def test_reasoning_is_split_from_the_answer(completion, reasoning_open, parts):
    assert split_reasoning(completion, reasoning_open) == parts


def test_reasoning_steps_counts_numbers_on_every_line_and_only_in_the_reasoning():
    assert reasoning_steps_reward("<think>\n1. a\n2. b\n3. c\n</think>\n4", False) == 1.0
    assert reasoning_steps_reward("<think>\nFirst, a\nFinally, b\n</think>\n4", False) == pytest.approx(2 / 3)
    assert reasoning_steps_reward("<think>\nso\n</think>\n1. a\n2. b\n3. c", False) == 0.0
    assert reasoning_steps_reward("Step 1: a", False, steps_for_full=2) == 0.5
    with pytest.raises(ValueError, match="steps_for_full"):
        reasoning_steps_reward("", False, steps_for_full=0)


def test_repetition_is_trls_documented_example():
    assert [repetition_reward(ids, 2) for ids in ([1, 2, 3, 4], [5, 5, 5, 5, 5])] == [0.0, -0.75]


def test_repetition_of_words_by_hand():
    # a b a b a: trigrams aba bab aba -> two distinct of three
    assert repetition_reward(words_of("a b A b a"), 3) == pytest.approx(-1 / 3)
    assert repetition_reward(words_of("a b"), 3) == 0.0
    assert repetition_reward(words_of(""), 3) == 0.0
    assert repeated_ngram_fraction("aaaaa", 1) == pytest.approx(0.8)


def test_repetition_refuses_to_pay_loops_or_to_count_nothing():
    with pytest.raises(ValueError, match="max_penalty"):
        repetition_reward([1], 1, 0.5)
    with pytest.raises(ValueError, match="ngram_size"):
        repetition_reward([1], 0)
