"""Format rewards: reasoning that is closed exactly once with an answer after it, and counted tags.

All of them know whether the prompt's template has opened ``<think>`` already (R1-Distill's has): a pattern
that requires the opening tag would never match there, and silently train nothing.
"""

import re

from frugalrl.text.reasoning import split_reasoning, with_opening_tag


def format_reward(completion: str, reasoning_open: bool) -> float:
    """1 if the reasoning is opened at most once, closed exactly once on a line of its own, and followed by text.

    completion: the text after the prompt.
    reasoning_open: whether the prompt's template has opened ``<think>`` (R1-Distill's does); if it has not,
        the completion must start with it, and if it has, it must not open it again.

    Open-RS's rule (one ``\\n</think>\\n``, arXiv 2503.16219) plus what it lets through: empty reasoning, no
    answer, a second ``</think>``.
    """
    opened = with_opening_tag(completion, reasoning_open)
    if opened.count("<think>") != 1 or opened.count("</think>") != 1 or not opened.startswith("<think>"):
        return 0.0
    reasoning, closing, answer = opened.removeprefix("<think>").partition("\n</think>\n")
    return 1.0 if closing and reasoning.strip() and answer.strip() else 0.0


def code_format_reward(completion: str, reasoning_open: bool) -> float:
    """1 if `format_reward` pays and the answer holds a fenced Python block with something in it."""
    if format_reward(completion, reasoning_open) == 0.0:
        return 0.0
    _, answer = split_reasoning(completion, reasoning_open)
    return 1.0 if re.search(r"```(?:python|py)\n\s*\S.*?```", answer, re.DOTALL) else 0.0


def tag_count_reward(completion: str, reasoning_open: bool, answer_tags: bool = True) -> float:
    """The share of the expected tags that occur exactly once, each with its line break (open-r1).

    answer_tags: expect ``<answer>`` and ``</answer>`` too, so that each tag is worth a quarter; else a half.
    """
    opened = with_opening_tag(completion, reasoning_open)
    tags = ["<think>\n", "\n</think>\n"]
    if answer_tags:
        tags += ["\n<answer>\n", "\n</answer>"]
    return sum(opened.count(tag) == 1 for tag in tags) / len(tags)
