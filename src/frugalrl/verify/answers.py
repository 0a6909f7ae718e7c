"""From completions and gold answers to verdicts.

The front of the answer verifier: `judge` for one completion, `judge_many` for a batch, both through one pool of
worker processes that starts when an answer first needs computer algebra. Where the answer is read is said in
`extraction`, what counts as equivalent in `comparison`, limits and processes in `workers.pool`.

A gold that cannot be read gives `unknown`, never a reward. Whether a completion is well formed is not asked here.
"""

import functools
from collections.abc import Iterable, Sequence

from frugalrl.types import Verdict
from frugalrl.verify.maths.extraction import (
    AnswerPolicy,
    gold_from_solution,
    last_boxed,
    text_after_reasoning,
)
from frugalrl.verify.workers.pool import AnswerItem, VerifierPool

CORRECT_VALUE = {"correct": 1.0, "incorrect": 0.0, "unknown": None}
"""What a verdict is worth as a reward: no verdict is no reward, never full marks."""


def judge(completion: str, gold: str | Sequence[str], reasoning_open: bool = False) -> Verdict:
    """Whether a completion's final answer is equivalent to the gold answer.

    completion: the text after the prompt.
    gold: the accepted answer, or several of which any will do.
    reasoning_open: whether the prompt's template had opened ``<think>`` already.
    """
    return default_pool().judge(AnswerItem(completion, gold, reasoning_open))


def judge_many(items: Iterable[AnswerItem]) -> list[Verdict]:
    """A verdict for each completion, in order; the workers share the work."""
    return default_pool().judge_many(items)


def default_pool() -> VerifierPool:
    """The pool of this process: used by every verdict without another pool."""
    if not _DEFAULT:
        _DEFAULT.append(VerifierPool())
    return _DEFAULT[0]


@functools.cache
def policy_pool(policy: AnswerPolicy) -> VerifierPool:
    """A pool of this process that reads answers as the policy says, with one worker."""
    return VerifierPool(workers=1, policy=policy)


def configure_default_pool(workers: int, cpu_seconds: float, wall_seconds: float | None) -> None:
    """Set the limits of this process's pool, before its first use or later: then it restarts."""
    wanted = VerifierPool(workers, cpu_seconds, wall_seconds)
    if _DEFAULT and (_DEFAULT[0].workers, _DEFAULT[0].limits) == (wanted.workers, wanted.limits):
        return
    for pool in _DEFAULT:
        pool.close()
    _DEFAULT[:] = [wanted]


_DEFAULT: list[VerifierPool] = []


__all__ = [
    "CORRECT_VALUE",
    "AnswerItem",
    "AnswerPolicy",
    "configure_default_pool",
    "default_pool",
    "gold_from_solution",
    "judge",
    "judge_many",
    "last_boxed",
    "policy_pool",
    "text_after_reasoning",
]
