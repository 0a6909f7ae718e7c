"""Problems as other tools take them: TRL's conversational prompts, verl's rows, and a data card for the Hub.

Pure: problems in, rows and texts out.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from frugalrl.data.prompts import PromptFormat, problem_messages
from frugalrl.types import Problem


def trl_rows(problems: Iterable[Problem], prompt: PromptFormat) -> Iterator[dict[str, Any]]:
    """Rows for TRL's GRPO trainer: a conversational `prompt`, and what reward functions read.

    `answer` is the gold, `solution` boxes it for rewards that parse a solution, `golds` are all accepted answers.
    """
    for problem in problems:
        yield {
            "id": problem.id,
            "prompt": [dict(one) for one in problem_messages(problem, prompt)],
            "answer": problem.gold,
            "solution": _solution(problem),
            "golds": list(problem.accepted),
        }


def verl_rows(problems: Iterable[Problem], prompt: PromptFormat, name: str, split: str) -> Iterator[dict[str, Any]]:
    """Rows for verl: `data_source`, `prompt`, `ability`, `reward_model` and `extra_info`, nested as it reads them."""
    for index, problem in enumerate(problems):
        yield {
            "data_source": name,
            "prompt": [dict(one) for one in problem_messages(problem, prompt)],
            "ability": problem.check.task,
            "reward_model": {"style": "rule", "ground_truth": problem.gold},
            "extra_info": {"id": problem.id, "split": split, "index": index, "golds": list(problem.accepted)},
        }


def plain_rows(problems: Iterable[Problem]) -> Iterator[dict[str, Any]]:
    """Rows with `problem` and `answer`, and every column that is text, a number or true or false."""
    for problem in problems:
        others = {name: value for name, value in problem.columns.items() if isinstance(value, str | int | float | bool)}
        golds = {"golds": list(problem.accepted)} if problem.check.also_accepted else {}
        yield {**others, "id": problem.id, "problem": problem.text, "answer": problem.gold, **golds}


def data_card(title: str, files: Mapping[str, str], rows: Mapping[str, int], text: str) -> str:
    """The README.md of a data set in Hub layout. files, rows: by split. text: what it is, in Markdown."""
    configs = "".join(f"  - split: {split}\n    path: {path}\n" for split, path in files.items())
    counts = "\n".join(f"| {split} | {count:,} |" for split, count in rows.items())
    return (
        "---\ntags:\n- frugalrl\n- reasoning\nconfigs:\n- config_name: default\n  data_files:\n"
        f"{configs}---\n\n# {title}\n\n| split | rows |\n|---|---|\n{counts}\n\n{text.strip()}\n"
    )


def _solution(problem: Problem) -> str:
    own = problem.columns.get("solution")
    return own if isinstance(own, str) and own.strip() else f"\\boxed{{{problem.gold}}}"
