"""The reasoning-steps reward: does the reasoning mark its steps?"""

import re

from frugalrl.text.reasoning import split_reasoning

_MARKER = re.compile(r"\bStep \d+:|^\d+\.\s|^[ \t]*[-*] |\b(?:First|Second|Next|Finally),", re.MULTILINE)


def reasoning_steps_reward(completion: str, reasoning_open: bool, steps_for_full: int = 3) -> float:
    """Marked steps over `steps_for_full`, at most 1: "Step 2:", "2. ", bullets, "First," and the like.

    After open-r1, with two bugs fixed: numbers count at the start of every line, not only of the
    text; and only the reasoning is searched where there is one, so a list in the answer is not paid.

    completion: the text after the prompt; reasoning_open: whether the template opened ``<think>`` already.
    Raises ValueError if `steps_for_full` is not positive.
    """
    if steps_for_full < 1:
        raise ValueError("steps_for_full must be at least 1")
    reasoning, _ = split_reasoning(completion, reasoning_open)
    return min(1.0, len(_MARKER.findall(reasoning)) / steps_for_full)
