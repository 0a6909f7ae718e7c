"""One way from completions to verdicts: tolerance, several golds, checkers, and one call for all answers."""

from dataclasses import replace
from fractions import Fraction

import pytest

from frugalrl.config.schema import RewardTerm
from frugalrl.errors import RecipeError
from frugalrl.rewards.rubric import build_rubric, score_groups
from frugalrl.tasks.judging import compares_answers, judge_groups, judge_groups_timed
from frugalrl.tasks.logic import generate, logic_problem
from frugalrl.tasks.task import Task
from frugalrl.types import Check, Completion, Problem, Prompt, RolloutGroup
from frugalrl.verify.workers.pool import VerifierPool

PARITY = Problem("n", "Is 3 even or odd?", "odd", check=Check("tests.tasks.parity_task.TASK"))
MATHS = Problem("m", "6*7?", "42")


def group(problem, *texts, prompt=""):
    completions = tuple(Completion(text, (1,), (0.0,), "stop", (0,), 0) for text in texts)
    return RolloutGroup(Prompt(problem, prompt, ()), completions)


def boxed(*answers):
    return [f"\\boxed{{{answer}}}" for answer in answers]


class CountingPool(VerifierPool):
    calls = 0

    def judge_timed(self, items):
        self.calls += 1
        return super().judge_timed(items)


def labels(found):
    return [[verdict.label for verdict in own] for own in found]


def test_groups_of_several_tasks_come_back_in_order_with_one_call_to_the_verifier():
    puzzle = logic_problem(next(generate(1, "train")), 0, "train")
    groups = [
        group(MATHS, *boxed("42", "41")),
        group(PARITY, "It is odd.", "even", ""),
        group(puzzle, *boxed(puzzle.gold, "nobody")),
        group(replace(MATHS, gold="7"), *boxed("42", "7")),
    ]
    with CountingPool() as pool:
        found = judge_groups(groups, pool)
        assert pool.calls == 1
    assert labels(found) == [
        ["correct", "incorrect"],
        ["correct", "incorrect", "incorrect"],
        ["correct", "incorrect"],
        ["incorrect", "correct"],
    ]
    assert [compares_answers(one.prompt.problem) for one in groups] == [True, False, False, True]


def test_any_of_several_golds_pays_in_training_too():
    problem = Problem("r", "A root of x^2 = 4?", "2", check=Check(also_accepted=("-2",)))
    rubric = build_rubric([RewardTerm(name="accuracy")], 100)
    [scored] = score_groups(rubric, [group(problem, *boxed("2", "-2", "4"))])
    assert [one.reward for one in scored.completions] == [1.0, 1.0, 0.0]


def test_a_tolerance_is_the_problems_own_and_is_named():
    close = Problem("t", "?", "4.2", check=Check(tolerance=Fraction(1, 10)))
    [own] = judge_groups([group(close, *boxed("4.3", "4.31", "4.2"), "none")])
    assert [(one.label, one.reason) for one in own] == [
        ("correct", "within_tolerance"),
        ("incorrect", "different"),
        ("correct", "equal"),
        ("incorrect", "no_box"),
    ]
    assert labels(judge_groups([group(replace(close, check=Check()), *boxed("4.3"))])) == [["incorrect"]]


def test_reasoning_that_the_prompt_opened_must_be_closed():
    found = judge_groups([group(MATHS, *boxed("42"), prompt="...<think>\n")])
    assert found[0][0].reason == "unclosed_reasoning"


def test_judgements_carry_their_time_and_none_is_negative():
    groups = [group(MATHS, *boxed("42")), group(PARITY, "odd")]
    assert all(one.seconds >= 0 for own in judge_groups_timed(groups) for one in own)
    assert judge_groups([]) == []


def test_an_unknown_task_is_named_with_the_nearest():
    with pytest.raises(RecipeError, match=r"There is no task 'math'. Did you mean 'maths'\?"):
        judge_groups([group(replace(MATHS, check=Check("math")), "x")])


def test_a_checker_that_gives_too_few_verdicts_is_a_defect_that_shows():
    lazy = replace(PARITY, check=Check("tests.tasks.test_judging.LAZY"))
    with pytest.raises(ValueError, match="gave 0 verdicts for 1 completions"):
        judge_groups([group(lazy, "odd")])


def _lazy(completions, problem, reasoning_open):
    return []


LAZY = Task(name="lazy", check=_lazy)
