"""Multiple choice: a question, its options under letters, and the letter of the right one.

Decisions:
- A row has `choices`, a list of texts, and an `answer` that is a letter, the number of an option from 0, or the text of
  one; or `choices` with labels, as ARC has them (`{text: [...], label: [...]}`), and an answer that is a label or the
  text of one: options are asked under the letters from A whatever their labels are; or the columns of GPQA (three
  `Incorrect Answer`s, the right one as its answer): the right one is put at a random place among the others, as in the
  evaluation code of Open-RS, but drawn from `SEED` and the question, so that every evaluation asks the same.
- The answer is the last box after the reasoning, or else the letter after the last "Answer:", the form that the
  prompt of simple-evals asks for. Nothing is guessed from other words.

A question whose text holds its options already needs no column: its gold is the letter.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from frugalrl.errors import DataError
from frugalrl.tasks.task import Task
from frugalrl.types import Problem, Verdict
from frugalrl.verify.maths.extraction import last_boxed, text_after_reasoning
from frugalrl.verify.maths.text_answers import choice_letter, chooses

SEED = 0
"""Of the places of GPQA's right answers."""
LETTERS = "ABCDEFGHIJ"
PROMPT = (
    "Answer the following multiple choice question. The last line of your response should be of the following format: "
    "'Answer: $LETTER' (without quotes) where LETTER is one of {letters}. Think step by step before answering."
    "\n\n{problem}"
)
GPQA_PROMPT = PROMPT.replace("{letters}", "ABCD")
"""That of simple-evals, which the evaluation of Open-RS uses for GPQA."""
_WRONG_OF_GPQA = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
_FONT = re.compile(r"\\(?:textbf|textrm|mathbf|mathrm|mathit|mathsf|bf|rm)(?![A-Za-z])\s*")
_SAID = re.compile(r"answer(?:\s+is)?\s*\**\s*:?\s*\**\s*\$?\s*\(?([A-J])\)?(?![A-Za-z])", re.IGNORECASE)


def recognises(columns: Mapping[str, Any]) -> bool:
    """Whether a row has the columns of GPQA, or choices: a list of texts, or texts with labels."""
    choices = columns.get("choices")
    choices = choices.get("text") if isinstance(choices, Mapping) else choices
    texts = isinstance(choices, list) and len(choices) > 1 and all(isinstance(one, str) for one in choices)
    return texts or all(columns.get(name) for name in _WRONG_OF_GPQA)


def prepare(problem: Problem) -> Problem:
    """The problem with its options in the text and a letter as gold.

    Raises DataError for an answer that is no option.
    """
    options, gold = _options(problem)
    if not options:
        letter = choice_letter(_plain(problem.gold))
        if letter is None:
            raise DataError(
                f"The problem {problem.id} is of choice, but its answer {problem.gold!r} is no letter and it has no "
                "column `choices`. Give the letter as answer, or the options as a list."
            )
        return replace(problem, gold=letter)
    lines = "\n".join(f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))
    return replace(problem, text=f"{problem.text.strip()}\n\n{lines}", gold=gold)


def _options(problem: Problem) -> tuple[list[str], str]:
    """The options in order, and the letter of the right one; none where the text holds them."""
    columns = problem.columns
    if all(columns.get(name) for name in _WRONG_OF_GPQA):
        right, *wrong = problem.gold.strip(), *(str(columns[name]).strip() for name in _WRONG_OF_GPQA)
        place = random.Random(f"choice/{SEED}/{problem.text}").randint(0, 3)
        return [*wrong[:place], right, *wrong[place:]], LETTERS[place]
    choices = columns.get("choices")
    choices, labels = (choices.get("text"), _labels(problem)) if isinstance(choices, Mapping) else (choices, ())
    if not isinstance(choices, list) or len(choices) < 2:
        return [], ""
    options = [str(one).strip() for one in choices]
    gold = str(problem.gold).strip()
    if len(options) > len(LETTERS):
        raise DataError(f"The problem {problem.id} has {len(options)} options; there are letters for {len(LETTERS)}.")
    if gold in labels:  # before the texts: options may be numbers, and labels too
        return options, LETTERS[labels.index(gold)]
    if options.count(gold) > 1:
        raise DataError(f"Two choices of the problem {problem.id} are its answer {gold!r}. Make them differ.")
    if gold in options:
        return options, LETTERS[options.index(gold)]
    if labels:
        raise DataError(
            f"The answer {gold!r} of the problem {problem.id} is none of its labels ({', '.join(labels)}) and none of "
            "its choices. Give a label, or the text of a choice."
        )
    if gold.isdecimal() and int(gold) < len(options):
        return options, LETTERS[int(gold)]
    letter = choice_letter(_plain(gold)) if gold else None
    if letter is None or LETTERS.index(letter) >= len(options):
        raise DataError(
            f"The answer {gold!r} of the problem {problem.id} is none of its {len(options)} choices. Give a letter, a "
            "number from 0, or the text of a choice."
        )
    return options, letter


def _labels(problem: Problem) -> tuple[str, ...]:
    """The label of each text, as ARC, CommonsenseQA and OpenBookQA write them: A to D, or 1 to 4."""
    texts, labels = (problem.columns["choices"].get(name) for name in ("text", "label"))
    if not isinstance(texts, list) or not isinstance(labels, list) or len(set(map(str, labels))) != len(texts):
        raise DataError(
            f"The choices of the problem {problem.id} need a list `text` and a list `label` of as many different "
            "labels. Fix the row or leave it out."
        )
    return tuple(str(label).strip() for label in labels)


def gold_of_number(value: object, choices: object) -> object:
    """The letter of an answer that is a number: it counts the choices from 0, though it may be the text of another."""
    if not isinstance(value, int) or isinstance(value, bool) or not isinstance(choices, list):
        return value
    if not 0 <= value < min(len(choices), len(LETTERS)) or LETTERS[value] in map(str, choices):
        return value
    return LETTERS[value]


def check(completions: Sequence[str], problem: Problem, reasoning_open: bool) -> list[Verdict]:
    """The verdict on each completion of one problem."""
    return [_verdict(one, problem.gold, reasoning_open) for one in completions]


def _plain(text: str) -> str:
    """A letter in whatever font, as plain text."""
    return _FONT.sub(r"\\text", text).strip().strip("$").strip()


def _verdict(completion: str, gold: str, reasoning_open: bool) -> Verdict:
    text = text_after_reasoning(completion, reasoning_open)
    if text is None:
        return Verdict("incorrect", None, "unclosed_reasoning")
    boxed = last_boxed(text)
    if boxed is not None:
        right = chooses(_plain(boxed), gold)
        return Verdict("correct" if right else "incorrect", boxed[:200], "equal" if right else "different")
    said = _SAID.findall(text)
    if not said:
        return Verdict("incorrect", None, "no_answer")
    letter = said[-1].upper()
    right = letter == gold
    return Verdict("correct" if right else "incorrect", letter, "equal" if right else "different")


TASK = Task(
    name="choice",
    check=check,
    checks_beside_sampling=True,
    prompt=PROMPT.replace("{letters}", "the options' letters"),
    recognises=recognises,
    prepare=prepare,
)
