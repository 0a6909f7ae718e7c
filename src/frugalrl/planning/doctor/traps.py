"""Made-up completions that a careless reward pays: near misses, several boxes, other languages.

They are scored apart from the probes of `probes.py`, between right answers, so that a term that waits for a group's
accuracy is at work.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from frugalrl.planning.doctor.probes import CHINESE, REASONING, made_up, wrong_answers_to
from frugalrl.text.reasoning import prefills_think
from frugalrl.types import Prompt, RolloutGroup

RIGHT = ("right", "right_again", "right_third", "right_fourth")
"""So many, that a gate at half of the group is open."""


def trap_group(tokenizer: Any, prompt: Prompt, cap: int, answer_tags: bool) -> tuple[Sequence[str], RolloutGroup]:
    """The kinds, and a completion of each. cap: the most tokens of one."""
    texts = trap_texts(prompt, answer_tags)
    completions = tuple(made_up(tokenizer, text, cap, cut_off=False) for text in texts.values())
    return tuple(texts), RolloutGroup(prompt, completions)


def trap_texts(prompt: Prompt, answer_tags: bool) -> Mapping[str, str]:
    """What each kind writes."""
    gold = prompt.problem.gold
    opening = "" if prefills_think(prompt.text) else "<think>\n"
    wrong = wrong_answers_to(gold)

    def written(answer: str, reasoning: str = REASONING) -> str:
        shown = f"<answer>\n{answer}\n</answer>" if answer_tags else answer
        return f"{opening}{reasoning}\n</think>\n{shown}"

    def boxed(answer: str) -> str:
        return f"The answer is \\boxed{{{answer}}}."

    ending, beginning = near_misses(gold) or (wrong[0], wrong[1])
    right = {kind: written(boxed(gold)) for kind in RIGHT}
    return right | {
        "wrong_ending": written(boxed(ending)),
        "wrong_beginning": written(boxed(beginning)),
        "boxes": written(f"It is \\boxed{{{wrong[0]}}} or \\boxed{{{gold}}} or \\boxed{{{wrong[1]}}}."),
        "wrong_chinese": written(boxed(wrong[0]), CHINESE),
    }


def near_misses(gold: str) -> tuple[str, str] | None:
    """A number that begins like the gold, and one that ends like it; None for a gold that is no number."""
    found = re.fullmatch(r"([-+]?)(\d+)", gold.strip())
    if found is None:
        return None
    sign, digits = found.groups()
    return f"{sign}{digits}1", f"{sign}9{digits}"


def other_forms(prompt: Prompt) -> Mapping[str, tuple[str, str]]:
    """Ways to write an answer other than in a box: what to call each, with a right and a wrong answer written so."""
    opening = "" if prefills_think(prompt.text) else "<think>\n"
    gold, wrong = prompt.problem.gold, wrong_answers_to(prompt.problem.gold)[0]
    forms = {
        "in <answer> tags": "<answer>{}</answer>",
        "after ####": "#### {}",
        "after 'Answer:'": "Answer: {}",
        "after 'The answer is'": "The answer is {}",
        "alone": "{}",
    }
    return {
        name: (
            f"{opening}{REASONING}\n</think>\n{form.format(gold)}",
            f"{opening}{REASONING}\n</think>\n{form.format(wrong)}",
        )
        for name, form in forms.items()
    }
