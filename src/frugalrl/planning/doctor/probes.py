"""Made-up completions whose worth is known, for trying a rubric without a model.

Each kind is written for a problem: a right answer, wrong ones, and what has been used to game rewards. They are in the
form that the prompt asks for: after ``<think>`` where the template opens it, with ``<answer>`` tags where those count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from frugalrl.text.reasoning import prefills_think
from frugalrl.types import Completion, Prompt, RolloutGroup
from frugalrl.verify.golds import wrong_answers

Kind = Literal[
    "right", "right_long", "right_chinese", "right_tagged", "wrong", "wrong_long", "no_format", "no_answer",
    "empty", "cut_off", "every_option", "gold_alone", "repeated",
]  # fmt: skip
NOTHING_OF_WORTH: tuple[Kind, ...] = ("empty", "no_answer", "cut_off", "every_option", "repeated")
"""Kinds that deserve less than a right answer, whatever the rubric is about."""
REASONING = "I take the numbers of the problem and work through them one after the other."
_MORE = "Let me check this again from the beginning, slowly, and write down what I know about it so far."
CHINESE = "首先我把题目中的数字写下来,然后一步一步地计算,最后检查结果是否正确。"


@dataclass(frozen=True)
class ProbeGroup:
    """One completion of each kind for a problem."""

    kinds: tuple[Kind, ...]
    group: RolloutGroup


def probe_group(tokenizer: Any, prompt: Prompt, cap: int, answer_tags: bool) -> ProbeGroup:
    """cap: the most tokens of a completion; what is cut off has as many."""
    texts = probe_texts(prompt, answer_tags)
    completions = tuple(made_up(tokenizer, text, cap, kind == "cut_off") for kind, text in texts.items())
    return ProbeGroup(tuple(texts), RolloutGroup(prompt, completions))


def reordered(probes: ProbeGroup) -> ProbeGroup:
    """The same completions in another order: no reward may depend on it."""
    order = range(len(probes.kinds) - 1, -1, -1)
    completions = tuple(probes.group.completions[index] for index in order)
    return ProbeGroup(tuple(probes.kinds[index] for index in order), RolloutGroup(probes.group.prompt, completions))


def probe_texts(prompt: Prompt, answer_tags: bool) -> Mapping[Kind, str]:
    """What each kind writes."""
    gold, is_open = prompt.problem.gold, prefills_think(prompt.text)
    wrong = wrong_answers_to(gold)
    opening = "" if is_open else "<think>\n"

    def written(reasoning: str, answer: str, tag: str = opening) -> str:
        shown = f"The answer is \\boxed{{{answer}}}."
        shown = f"<answer>\n{shown}\n</answer>" if answer_tags else shown
        return f"{tag}{reasoning}\n</think>\n{shown}"

    many = "\n".join(f"{_MORE} ({number})" for number in range(12))
    options = ", ".join(dict.fromkeys([*wrong[:2], gold, *wrong[2:4]]))
    return {
        "right": written(REASONING, gold),
        "right_long": written(many, gold),
        "right_chinese": written(CHINESE, gold),
        "right_tagged": written(REASONING, gold, "<think>\n"),
        "wrong": written(REASONING, wrong[0]),
        "wrong_long": written(many, wrong[0]),
        "no_format": f"The answer is {gold}",
        "no_answer": f"{opening}{REASONING}\n</think>\nI am not sure.",
        "empty": "",
        "cut_off": f"{opening}{many}",
        "every_option": written(REASONING, options),
        "gold_alone": gold,
        "repeated": f"{opening}{REASONING}\n</think>\n" + f"The answer is {wrong[0]}. " * 40,
    }


def wrong_answers_to(gold: str) -> Sequence[str]:
    """Answers that are neither empty nor the gold, the ones closest to it in kind first."""
    found = [answer for answer in reversed(wrong_answers(gold)) if answer.strip() and "," not in answer]
    return [*dict.fromkeys([*found, "123454321", "-7/9", "17"])]


def made_up(tokenizer: Any, text: str, cap: int, cut_off: bool) -> Completion:
    """A completion with this text. cut_off: it ended at the cap, and has as many tokens."""
    ids = tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) or (0,)
    if cut_off:
        ids = (ids * (cap // len(ids) + 1))[:cap]
    elif len(ids) > cap:
        ids = ids[:cap]
    return Completion(
        text=text,
        token_ids=ids,
        rollout_logprobs=(-1.0,) * len(ids),
        finish_reason="length" if cut_off else "stop",
        policy_versions=(0,) * len(ids),
        seed=0,
    )
