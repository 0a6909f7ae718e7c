"""Specifications of small programs: what they ask for, what is right, and splits that do not overlap."""

import itertools
import random
import re

import pytest

from frugalrl.config.schema import CompletionSource, ProblemSource
from frugalrl.rewards.format import format_reward
from frugalrl.tasks.arithmetic import split_of
from frugalrl.tasks.loading import load_completions, load_problems
from frugalrl.tasks.program_solutions import write_program
from frugalrl.tasks.programs import Operation, another, generate, program, value_of, write
from frugalrl.tasks.programs_task import program_problem
from frugalrl.verify.code.checker import code_verdicts, extract_code
from frugalrl.verify.code.sandbox import isolation_problem

PROBLEMS = list(itertools.islice(generate(1, "train"), 900))


def passes(code, tests):
    """In this process: what is run is made by this package, not by a model."""
    namespace = {}
    exec(code, namespace)
    try:
        for test in tests:
            exec(test, namespace)
    except AssertionError:
        return False
    return True


def test_what_python_makes_of_the_right_program_is_what_the_tests_expect():
    for problem in PROBLEMS:
        assert passes(program(problem.family, problem.steps[-1]), problem.tests)


def test_the_misconception_fails_the_tests():
    shown = [problem for problem in PROBLEMS if problem.misconception]
    assert len(shown) > 250
    for problem in shown:
        assert sorted(problem.misconception, key=str) == sorted(problem.operations, key=str)
        assert not passes(program(problem.family, write(problem.family, problem.misconception)[-1]), problem.tests)


@pytest.mark.parametrize(
    ("operations", "expression", "at_five"),
    [
        ((Operation("add", 3), Operation("multiply", 2)), "(x+3)*2", 16),
        ((Operation("multiply", 2), Operation("add", 3)), "x*2+3", 13),
        ((Operation("square"), Operation("square")), "(x**2)**2", 625),
        ((Operation("multiply", 4), Operation("remainder", 7)), "x*4%7", 6),
        ((Operation("remainder", 3), Operation("subtract", 9)), "x%3-9", -7),
    ],
)
def test_brackets_are_where_python_needs_them(operations, expression, at_five):
    assert write("number", operations)[-1] == expression
    assert value_of("number", operations, 5) == at_five == eval(expression, {"x": 5})


def test_a_list_is_kept_changed_and_ended_in_the_order_that_is_asked_for():
    operations = (Operation("add", 1), Operation("even"), Operation("sum"))
    assert write("list", operations) == (
        "[x+1 for x in xs]",
        "[x for x in [x+1 for x in xs] if x%2==0]",
        "sum([x for x in [x+1 for x in xs] if x%2==0])",
    )
    assert value_of("list", operations, [1, 2, 3]) == 6
    assert value_of("list", (operations[1], operations[0], operations[2]), [1, 2, 3]) == 3


def test_problems_are_the_same_for_a_seed_and_no_split_has_anothers():
    keys = {}
    for split in ("train", "validation", "test"):
        keys[split] = {one.key for one in itertools.islice(generate(0, split), 300)}
        assert {split_of(key) for key in keys[split]} == {split}
        assert [one.text for one in itertools.islice(generate(7, split), 12)] == [
            one.text for one in itertools.islice(generate(7, split), 12)
        ]
    assert not keys["train"] & (keys["validation"] | keys["test"])
    assert PROBLEMS[0] != next(generate(2, "train"))


def test_another_operation_is_wrong_and_fits_in_its_place():
    rng = random.Random(0)
    for one in {operation for problem in PROBLEMS for operation in problem.operations}:
        found = {another(rng, one) for _ in range(5)}
        assert one not in found


@pytest.mark.parametrize(
    ("strategy", "low", "high"),
    [("careful", 1, 1), ("slip", 0.3, 0.7), ("misconception", 0, 0), ("hasty", 0.08, 0.25), ("no_format", 0, 0)],
)
def test_how_often_a_strategy_is_right(strategy, low, high):
    rng = random.Random(0)
    shown = [one for one in PROBLEMS if strategy != "misconception" or one.misconception]
    written = [(write_program(rng, one, strategy), one) for one in shown]
    right = [bool(code := extract_code(text, True)) and passes(code, one.tests) for text, one in written]
    assert low <= sum(right) / len(right) <= high
    formats = {format_reward(text, True) for text, _ in written}
    assert formats == ({0.0, 1.0} if strategy == "no_format" else {1.0})


def test_programs_have_no_verbose_strategy():
    with pytest.raises(ValueError, match="verbose"):
        write_program(random.Random(0), PROBLEMS[0], "verbose")


@pytest.mark.skipif(isolation_problem() is not None, reason=f"programs cannot be isolated: {isolation_problem()}")
def test_the_sandbox_judges_a_specification_from_a_recipe():
    problem = load_problems(ProblemSource(source="programs", limit=3, seed=4))[2]
    right = f"x\n</think>\n```python\ndef f({'x' if 'f(x)' in problem.text else 'xs'}):\n    return {problem.gold}\n```"
    verdicts = code_verdicts([right, right.replace("return ", "return 1+")], problem, True)
    assert [one.label for one in verdicts] == ["correct", "incorrect"]


def test_a_specification_without_tests_is_an_error(tmp_path):
    file = tmp_path / "own.jsonl"
    file.write_text('{"task": "programs", "problem": "Write f(x): take x, then add 1.", "answer": "x+1"}\n')
    from frugalrl.errors import DataError

    with pytest.raises(DataError, match="lacks tests"):
        load_problems(ProblemSource(source=str(file)))


def test_a_row_is_judged_as_the_problem_it_was_made_from(tmp_path):
    import json

    made = program_problem(PROBLEMS[0], 0, "train")
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps({**made.columns, "id": made.id, "problem": made.text, "answer": made.gold}) + "\n")
    (read,) = load_problems(ProblemSource(source=str(file)))
    assert (read.check.task, read.text, read.columns["test_list"]) == ("programs", made.text, made.columns["test_list"])


def test_completions_follow_the_mix():
    skill = load_completions(CompletionSource(source="programs", mix="skill", limit=200, difficulties=(1,)))
    assert all(re.search(r"\n</think>\n```python\ndef f", one.completion) for one in skill)
    mixed = load_completions(CompletionSource(source="programs", mix="strategies", limit=400))
    hasty = sum("looks easy" in one.completion for one in mixed) / 400
    assert 0.37 <= hasty <= 0.57
