"""The format reward: reasoning that is closed exactly once, with an answer after it."""


def format_reward(completion: str, reasoning_open: bool) -> float:
    """1 if the reasoning is opened at most once, closed exactly once on a line of its own, and followed by text.

    completion: the text after the prompt.
    reasoning_open: whether the prompt's template has opened ``<think>`` (R1-Distill's does); if it has not,
        the completion must start with it, and if it has, it must not open it again.

    Open-RS's rule (one ``\\n</think>\\n``, arXiv 2503.16219) plus what it lets through: empty reasoning, no
    answer, a second ``</think>``.
    """
    opened = "<think>\n" + completion if reasoning_open else completion
    if opened.count("<think>") != 1 or opened.count("</think>") != 1 or not opened.startswith("<think>"):
        return 0.0
    reasoning, closing, answer = opened.removeprefix("<think>").partition("\n</think>\n")
    return 1.0 if closing and reasoning.strip() and answer.strip() else 0.0
