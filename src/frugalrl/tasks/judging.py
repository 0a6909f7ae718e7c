"""From completions to verdicts, for rewards, for evaluation in training, for `eval` and for `score`.

Each problem says which task judges it. Tasks that compare answers share one call to a pool of verifier processes,
however many groups there are; every other task's checker is called once a group.
"""

import time
from collections.abc import Callable, Sequence

from frugalrl.tasks.maths import is_within_tolerance
from frugalrl.tasks.registry import task_named
from frugalrl.tasks.task import Checker
from frugalrl.text.reasoning import prefills_think
from frugalrl.types import Problem, Prompt, RolloutGroup, Verdict
from frugalrl.verify.answers import default_pool
from frugalrl.verify.workers.pool import AnswerItem, Judgement, VerifierPool

Judge = Callable[[Sequence[RolloutGroup]], list[list[Verdict]]]
"""A verdict for each completion of each group, in order."""


def judge_groups(groups: Sequence[RolloutGroup], pool: VerifierPool | None = None) -> list[list[Verdict]]:
    """A verdict for each completion of each group, in order.

    pool: of the verifier; None takes the one of this process. Raises RecipeError for a problem of an unknown task.
    """
    return [[one.verdict for one in own] for own in judge_groups_timed(groups, pool)]


def judge_groups_timed(groups: Sequence[RolloutGroup], pool: VerifierPool | None = None) -> list[list[Judgement]]:
    """`judge_groups` with what each verdict took."""
    checkers = [task_named(group.prompt.problem.check.task).check for group in groups]
    items = [
        answer_item(completion.text, group.prompt)
        for group, check in zip(groups, checkers, strict=True)
        if check is None
        for completion in group.completions
    ]
    compared = iter((pool or default_pool()).judge_timed(items) if items else ())
    return [
        [with_tolerance(next(compared), group.prompt.problem) for _ in group.completions]
        if check is None
        else checked(check, [completion.text for completion in group.completions], group.prompt)
        for group, check in zip(groups, checkers, strict=True)
    ]


def compares_answers(problem: Problem) -> bool:
    """Whether a problem's verdicts come from comparing answers with golds, rather than from a checker of its own."""
    return task_named(problem.check.task).check is None


def answer_item(text: str, prompt: Prompt) -> AnswerItem:
    """The verifier's input for the text of a completion."""
    problem = prompt.problem
    return AnswerItem(text, problem.accepted, prefills_think(prompt.text), problem.text or None)


def with_tolerance(judgement: Judgement, problem: Problem) -> Judgement:
    """The verifier's judgement, or "correct" where it is wrong by no more than the problem allows."""
    verdict = judgement.verdict
    if verdict.label == "correct" or verdict.extracted is None or not is_within_tolerance(verdict.extracted, problem):
        return judgement
    within = Verdict("correct", verdict.extracted, "within_tolerance")
    return Judgement(within, judgement.seconds, judgement.cpu_seconds)


def checked(check: Checker, texts: Sequence[str], prompt: Prompt) -> list[Judgement]:
    """Judgements by a task's own checker. Raises what it raises."""
    problem = prompt.problem
    started = time.perf_counter()
    verdicts = list(check(texts, problem, prefills_think(prompt.text)))
    if len(verdicts) != len(texts):
        raise ValueError(f"the task {problem.check.task} gave {len(verdicts)} verdicts for {len(texts)} completions")
    seconds = (time.perf_counter() - started) / max(1, len(texts))
    return [Judgement(verdict, seconds, 0.0) for verdict in verdicts]
