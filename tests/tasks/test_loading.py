"""What a row is, who judges it, and what is accepted: settled where it is read, and never in silence."""

from fractions import Fraction

import pytest

from frugalrl.config.loading import parse_recipe
from frugalrl.config.schema import CompletionSource, ProblemSource
from frugalrl.config.task_table import TASKS
from frugalrl.errors import DataError, RecipeError
from frugalrl.evaluation.benchmark_loading import load_benchmark
from frugalrl.tasks.loading import load_completions, load_problems
from frugalrl.tasks.logic import generate, logic_problem
from frugalrl.tasks.maths import CORRECTIONS, is_within_tolerance, policy_of
from frugalrl.tasks.registry import task_named
from frugalrl.types import Check, Problem
from frugalrl.verify.code.checker import code_verdicts
from tests.conftest import write_jsonl

PARITY = "tests.tasks.parity_task.TASK"
MBPP = {"problem": "Add.", "answer": "def add(a, b): ...", "test_list": ["assert add(1, 2) == 3"]}
HUMANEVAL = {
    "problem": "def add(a, b):\n",
    "answer": "    return a + b\n",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
    "entry_point": "add",
}
OPEN_R1 = {"problem": "Echo.", "verification_info": '{"test_cases": [{"input": "1", "output": "1"}]}'}


def load(tmp_path, *rows, **settings):
    return load_problems(ProblemSource(source=str(write_jsonl(tmp_path / "rows.jsonl", list(rows))), **settings))


@pytest.mark.parametrize("row", [MBPP, HUMANEVAL, OPEN_R1, {**MBPP, "answer": None}])
def test_rows_of_code_are_judged_as_code_with_or_without_a_gold(tmp_path, row):
    assert [one.check.task for one in load(tmp_path, row)] == ["code"]


@pytest.mark.parametrize(
    "row",
    [
        {"problem": "Add.", "answer": "def add(): ...", "entry_point": "add"},
        {"problem": "Add.", "answer": "def add(): ...", "canonical_solution": "..."},
        {"problem": "Add.", "answer": "def add(): ...", "input_output": '{"inputs": []}'},
        {"problem": "Add.", "answer": "5", "verification_info": '{"ground_truth": "5"}'},
    ],
)
def test_code_without_readable_tests_is_an_error_and_never_maths_unless_said(tmp_path, row):
    with pytest.raises(DataError, match=r"rows.jsonl, line 1: .*(no tests can be read|no test_cases)"):
        load(tmp_path, row)
    assert load(tmp_path, row, task="maths")[0].check.task == "maths"
    assert load(tmp_path, {**row, "task": "maths"})[0].check.task == "maths"


def test_a_function_that_the_question_does_not_name_is_named_below_it(tmp_path):
    """No answer could pass otherwise: the tests are handed the function of that name."""
    asked = {**HUMANEVAL, "problem": "Add two numbers."}
    assert [one.text for one in load(tmp_path, HUMANEVAL)] == [HUMANEVAL["problem"]]
    (found,) = load(tmp_path, asked)
    assert found.text == "Add two numbers.\n\nThe function must be called `add`."
    (verdict,) = code_verdicts(["```python\ndef add(a, b):\n    return a + b\n```"], found, False)
    assert verdict.label == "correct" or verdict.reason == "no_sandbox"


def test_a_task_that_is_named_must_be_able_to_judge_the_rows(tmp_path):
    with pytest.raises(DataError, match="is of code, but no tests"):
        load(tmp_path, {"problem": "1+1?", "answer": "2"}, task="code")
    with pytest.raises(DataError, match="lacks a list of `people`"):
        load(tmp_path, {"problem": "Who?", "answer": "Ada"}, task="logic")


def test_empty_columns_of_code_beside_maths_are_maths(tmp_path):
    row = {"problem": "1+1?", "answer": "2", "test_list": None, "entry_point": "", "verification_info": None}
    assert load(tmp_path, row)[0].check.task == "maths"


def test_a_file_of_puzzles_is_judged_by_their_checker(tmp_path):
    puzzle = logic_problem(next(generate(1, "train")), 0, "train")
    row = {"problem": puzzle.text, "answer": puzzle.gold, **puzzle.columns}
    assert load(tmp_path, row)[0].check.task == "logic"


def test_another_use_of_the_column_task_does_not_matter(tmp_path):
    assert load(tmp_path, {"problem": "1+1?", "answer": "2", "task": "algebra"})[0].check.task == "maths"
    assert load(tmp_path, {"problem": "1+1?", "answer": "2", "task": PARITY})[0].check.task == "maths"


def test_a_list_of_golds_means_any_of_them(tmp_path):
    problem = load(tmp_path, {"problem": "A root of x^2 = 4?", "answer": ["2", "-2"]})[0]
    assert (problem.gold, problem.accepted) == ("2", ("2", "-2"))
    with pytest.raises(DataError, match="1 rows have no gold answer"):
        load(tmp_path, {"problem": "?", "answer": []})


def test_a_unit_and_a_stated_error_widen_what_is_accepted(tmp_path):
    problem = load(tmp_path, {"problem": "How many?", "answer": "4.2", "unit": "%", "error": "1e-1"})[0]
    assert problem.accepted == ("4.2", "4.2 \\%")
    assert problem.check.tolerance == Fraction(1, 10)
    answers = ("4.3", "4.1", "4.2\\%", "4.31", "x", "4^{4^{4^4}}")
    assert [is_within_tolerance(one, problem) for one in answers] == [True, True, True, False, False, False]


@pytest.mark.parametrize("error", [None, "some", "-1", "inf", "0"])
def test_what_is_no_error_gives_no_tolerance(error):
    assert policy_of(Problem("p", "", "1", {"error": error})).tolerance is None


def test_a_correction_is_of_one_problem_and_not_of_every_equal_gold(shared_data):
    assert policy_of(Problem("p", "What is 6000 + 630?", "6630")).also_accepted == ()
    loaded = [one for name in ("minerva", "olympiadbench") for one in load_benchmark(name, shared_data).problems]
    corrected = [one for one in loaded if any(set(others) <= set(one.accepted) for others in CORRECTIONS.values())]
    assert sorted(one.gold for one in corrected) == sorted(gold for gold, _ in CORRECTIONS)


def test_the_real_files_of_code_are_code(shared_data):
    for name, count in (("humaneval", 164), ("mbpp_399", 399)):
        found = load_problems(ProblemSource(source=str(shared_data / "bench" / f"{name}.jsonl")))
        assert [one.check.task for one in found] == ["code"] * count


@pytest.mark.parametrize("name", TASKS)
def test_every_line_of_the_table_is_a_task_of_that_name(name):
    assert task_named(name).name == name


# ---------------------------------------------------------------------------------------------- tasks of one's own


def test_a_users_task_by_its_dotted_path_gives_problems(tmp_path):
    problems = load_problems(ProblemSource(source=PARITY, split="test", limit=3, seed=4))
    assert [one.check for one in problems] == [Check(task=PARITY)] * 3
    assert [one.gold for one in problems] == ["odd"] * 3
    rows = load(tmp_path, {"problem": "Is 3 odd?", "answer": "odd"}, task=PARITY)
    assert rows[0].check.task == PARITY


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"source": PARITY, "split": "test"}, r"is endless: say how many .* `limit`"),
        ({"source": PARITY, "split": "validation", "limit": 1}, "has the splits train and test, not 'validation'"),
        ({"source": "tests.tasks.parity_task.TASKS", "limit": 1}, "cannot be imported"),
        ({"source": "tests.tasks.parity_task.check", "limit": 1}, "is no task but function"),
        ({"source": "nowhere.TASK", "limit": 1}, "neither a data file nor a task that can be imported"),
    ],
)
def test_what_is_wrong_with_a_users_task_is_said(settings, says):
    with pytest.raises(RecipeError, match=says):
        load_problems(ProblemSource(**settings))


@pytest.mark.parametrize(
    ("kind", "raw", "says"),
    [
        (ProblemSource, {"source": "logic"}, "the logic task is endless: say how many problems"),
        (ProblemSource, {"source": "logic", "limit": 1, "split": "dev"}, "has the splits train, validation and test"),
        (ProblemSource, {"source": "rows.jsonl", "task": "codes"}, "there is no task 'codes': use arithmetic, logic"),
        (ProblemSource, {"source": "logic", "limit": 1, "task": "code"}, "logic is a task itself"),
        (CompletionSource, {"source": "arithmetic"}, "say how many completions to take"),
    ],
)
def test_the_schema_knows_the_tasks_of_the_table(kind, raw, says):
    with pytest.raises(RecipeError, match=says):
        parse_recipe(raw, kind)


def test_completions_of_a_task_without_any_are_refused():
    with pytest.raises(RecipeError, match="has no completions"):
        load_completions(CompletionSource(source=PARITY, limit=1))
