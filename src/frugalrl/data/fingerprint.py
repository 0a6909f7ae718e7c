"""Hashes of problems and prompts as loaded: unchanged for a moved file, different after any relevant change."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from frugalrl.data.prompts import PromptFormat, messages_for, render
from frugalrl.types import Problem, Prompt

_HEX_DIGITS = 16


def prompts_hash(prompts: Sequence[Prompt]) -> str:
    """SHA-256 over id, prompt tokens, gold and columns of each problem, in order."""
    digest = hashlib.sha256()
    for prompt in prompts:
        problem = prompt.problem
        row = [problem.id, list(prompt.token_ids), problem.gold, dict(problem.columns)]
        digest.update(json.dumps(row, default=str, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def problems_hash(problems: Sequence[Problem]) -> str:
    """Hash of what is asked and accepted as right, whatever the prompt: two evaluations with one hash had the same
    problems, golds and policy."""
    return _short_hash(json.dumps([[one.id, one.text, *one.accepted, *_policy(one)] for one in problems]))


def prompt_hash(tokenizer: Any, settings: PromptFormat) -> str:
    """Hash of how a problem is asked: the template inside the tokenizer's chat template, whatever the problem."""
    return _short_hash(render(tokenizer, messages_for("{problem}", settings)))


def joined_hash(hashes: Sequence[str]) -> str:
    """One hash for several, in any order; a single hash is returned as it is."""
    distinct = sorted(set(hashes))
    return distinct[0] if len(distinct) == 1 else _short_hash("\n".join(distinct))


def _policy(problem: Problem) -> list[str]:
    """What else decides a verdict; nothing for a problem judged by its golds alone."""
    check, columns = problem.check, dict(problem.columns)
    words = [] if check.tolerance is None else [f"tolerance {check.tolerance}"]
    words += [json.dumps([dict(one) for one in problem.messages])] if problem.messages else []
    if check.task not in _JUDGED_BY_GOLDS:
        words += [f"task {check.task}", json.dumps(columns, default=str, sort_keys=True)]
    return words


_JUDGED_BY_GOLDS = ("maths", "arithmetic")
"""Tasks that judge by the golds alone; other tasks' checkers may read any column."""


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HEX_DIGITS]
