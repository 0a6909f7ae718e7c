"""The code reward: real solutions pass, wrong ones do not, and what the columns say is read as it stands."""

import ast
import builtins
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from frugalrl.config.schema import RewardTerm
from frugalrl.errors import DataError, RecipeError
from frugalrl.rewards.rubric import build_rubric, score_group
from frugalrl.tasks.judging import judge_groups
from frugalrl.types import Check, Problem
from frugalrl.verify.code import checker as code
from frugalrl.verify.code import sandboxed
from frugalrl.verify.code.checker import (
    CallTests,
    PrintTests,
    code_settings,
    extract_code,
    find_tests,
    run_tests,
)
from frugalrl.verify.code.sandbox import Limits, isolation_problem
from tests.rewards.reward_builders import data_rows, group_of

isolated = pytest.mark.skipif(isolation_problem() is not None, reason=f"no sandbox here: {isolation_problem()}")

# Nothing here should take a second; the bound is for machines that are busy with something else.
PATIENT = Limits(wall_seconds=120.0)

ADD = CallTests(("assert add(1, 2) == 3", "assert add(5, 5) == 10"), "", "")
RIGHT = "def add(a, b):\n    return a + b"


def problem(text="Add two numbers.", **columns):
    return Problem("p", text, "", columns, Check("code"))


def fenced(source):
    return f"Here it is:\n```python\n{source}\n```\nDone."


# ------------------------------------------------------------------------------------ reading, no sandbox


def test_the_last_block_after_the_reasoning_is_the_program():
    text = "<think>\n```python\nx = 1\n```\n</think>\n```python\nx = 2\n```\nor\n```python\nx = 3\n```"
    assert extract_code(text, False).strip() == "x = 3"
    assert extract_code(fenced("x = 4"), False).strip() == "x = 4"
    assert extract_code("<think>\n```python\nx = 1\n```", False) == ""
    assert extract_code("```python\nx = 1\n```", True) == "", "the template opened the reasoning"
    assert extract_code("no block", False) == ""


def test_tests_are_read_from_the_columns_people_have():
    prompt = "import math\ndef area(r):\n    pass\n"
    assert find_tests(problem(prompt, test="def check(c): ...", entry_point="area")) == CallTests(
        ("def check(c): ...",), prompt, "area"
    )
    for text in (
        "Area",
        "x + 1",
        "import os\nos.abort()",
        "print('area')",
        "def other(r): pass",
        "if 1:\n def area(): 1",
    ):
        assert find_tests(problem(text, test="t", entry_point="area")) == CallTests(("t",), "", "area"), text
    assert find_tests(problem("Not Python", test="t", entry_point="area")) == CallTests(("t",), "", "area")
    assert find_tests(problem(test_list=["assert f(1)"], test_imports=["import math"])) == CallTests(
        ("assert f(1)",), "import math", ""
    )
    cases = {"language": "python", "test_cases": [{"input": "1", "output": "2"}]}
    assert find_tests(problem(verification_info=cases)) == PrintTests((("1", "2"),))
    assert find_tests(problem()) is None


@pytest.mark.parametrize("info", ["{", "[]", {"test_cases": []}, {"test_cases": [{"input": 1, "output": "2"}]}])
def test_unreadable_tests_are_an_error_that_names_the_problem(info):
    with pytest.raises(DataError, match="problem p holds no test_cases"):
        find_tests(problem(verification_info=info))


def test_without_isolation_it_refuses_unless_the_risk_is_accepted(monkeypatch):
    monkeypatch.setattr(code, "isolation_problem", lambda: "bubblewrap is not installed")
    with pytest.raises(RecipeError, match="accept_risk_without_sandbox"):
        code_settings()
    with pytest.raises(RecipeError, match="bubblewrap is not installed"):
        build_rubric([RewardTerm(name="code")], 100)
    assert not code_settings(accept_risk_without_sandbox=True).isolated
    assert run_tests(RIGHT, ADD, PATIENT, isolated=False).passed == 2
    assert run_tests("import sys; sys.exit(0)", ADD, PATIENT, isolated=False).passed == 0
    assert run_tests("print(int(input()) + 1)", PrintTests((("1", "2"),)), PATIENT, isolated=False).passed == 1


@pytest.mark.parametrize("bad", [{"wall_seconds": 0.0}, {"memory_mb": 1}, {"workers": 0}])
def test_limits_that_mean_nothing_are_refused(bad):
    with pytest.raises(ValueError, match="must be positive"):
        code_settings(accept_risk_without_sandbox=True, **bad)


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -3, 1 << 70, 0.1, float("inf"), "ä\ud800", b"\x00", 1j, [1, (2, {3})], {"a": {1: None}}, set()],
)
def test_plain_values_cross_the_border_as_they_are(value):
    back = sandboxed.decode(sandboxed.encode(value))
    assert back == value
    assert type(back) is type(value)


def test_nothing_but_plain_values_crosses_the_border():
    class Everything(int):
        def __eq__(self, other):
            return True

        __hash__ = None

    assert type(sandboxed.decode(sandboxed.encode(Everything(3)))) is int
    opaque = sandboxed.decode(sandboxed.encode(object()))
    assert bool(opaque)
    assert opaque != 3
    for forged in ({"list": [1], "int": "0x1"}, {"code": []}, 1.5, [1]):
        with pytest.raises(ValueError, match="not an encoded value"):
            sandboxed.decode(forged)


# ------------------------------------------------------------------------------------------- in the sandbox


@isolated
@pytest.mark.parametrize(
    ("program", "passed", "reason"),
    [
        (RIGHT, 2, "passed"),
        ("def add(a, b):\n    return 3", 1, "AssertionError"),
        ("def add(a, b):\n    return a - b", 0, "AssertionError"),
        ("def add(a, b):\n    raise ValueError", 0, "ValueError"),
        ("def sub(a, b):\n    return a", 0, "KeyError"),
        ("def add(a, b)\n    return a", 0, "EOFError loading raised SyntaxError"),
        ("", 0, "no_code"),
    ],
)
def test_functions_are_called_and_counted(program, passed, reason):
    outcome = run_tests(program, ADD, PATIENT)
    assert (outcome.passed, outcome.total) == (passed, 2)
    assert outcome.reason.startswith(reason) or (reason == "KeyError" and outcome.passed == 0)


@isolated
@pytest.mark.parametrize(
    ("program", "passed"),
    [
        ("print(sum(map(int, input().split())))", 2),
        ("import sys\nif __name__ == '__main__':\n    print(sum(map(int, sys.stdin.read().split())), '  ')", 2),
        ("print(3)", 1),
        ("print(sum(map(int, input().split())), end='\\nextra\\n')", 0),
        ("pass", 0),  # the released comparison zips the lines, and no line at all is a match there
        ("print(sum(map(int, input().split()))); raise SystemExit(1)", 0),
        ("print('3\\n' * 10**7)", 0),
    ],
)
def test_programs_that_print_are_compared_line_by_line(program, passed):
    cases = PrintTests((("1 2", "3\n"), ("5 5", "10")))
    assert run_tests(program, cases, PATIENT).passed == passed


@isolated
def test_a_program_that_never_ends_is_stopped():
    outcome = run_tests("while True: pass", PrintTests((("", ""),)), Limits(wall_seconds=0.5))
    assert (outcome.passed, outcome.reason) == (0, "timeout")


@isolated
def test_a_problem_text_that_happens_to_be_python_does_not_run():
    """It would end the grader before the tests, or define what they call."""
    for text in ("raise SystemExit", "area = lambda r: 9", "import os; os._exit(0)"):
        task = problem(text, test="def check(c):\n    assert c(3) == 9", entry_point="area")
        assert run_tests("def area(r):\n    return r * r", find_tests(task), PATIENT).passed == 1
        assert run_tests("def area(r):\n    return r", find_tests(task), PATIENT).passed == 0


@isolated
def test_the_term_pays_all_or_nothing_or_the_share():
    texts = [fenced(RIGHT), fenced("def add(a, b):\n    return 3"), "no code"]
    group = group_of(texts, test_list=list(ADD.tests))
    for partial, values in ((False, [1.0, 0.0, 0.0]), (True, [1.0, 0.5, 0.0])):
        rubric = build_rubric([RewardTerm(name="code", args={"partial_credit": partial, "wall_seconds": 120.0})], 100)
        assert [scored.breakdown["code"] for scored in score_group(rubric, group).completions] == values
    assert rubric.terms["code"](group_of(["x"]), []) == [None], "a problem without tests"


@isolated
def test_a_code_problems_verdict_is_its_tests():
    group = group_of([fenced(RIGHT), fenced("x = 1"), "no code"], test_list=list(ADD.tests))
    problem = replace(group.prompt.problem, check=Check(task="code"))
    group = replace(group, prompt=replace(group.prompt, problem=problem))
    verdicts = judge_groups([group])[0]
    assert [verdict.label for verdict in verdicts] == ["correct", "incorrect", "incorrect"]
    assert verdicts[2].reason == "no_code"
    rubric = build_rubric([RewardTerm(name="accuracy"), RewardTerm(name="code")], 100)
    first = score_group(rubric, group).completions[0]
    assert first.breakdown == {"accuracy": 1.0, "code": 1.0}


def test_without_tests_or_a_sandbox_the_verdict_is_unknown(monkeypatch):
    assert code.code_verdicts([RIGHT], problem(), False)[0].reason == "no_tests"
    monkeypatch.setattr(code, "isolation_problem", lambda: "bubblewrap is not installed")
    [verdict] = code.code_verdicts([fenced(RIGHT)], problem(test_list=list(ADD.tests)), False)
    assert (verdict.label, verdict.reason) == ("unknown", "no_sandbox")


def constructs(row) -> set[tuple[str, str]]:
    """What a solution and its tests use of the language: kinds of syntax and of constants, builtins, modules."""
    source = row["problem"] + row["answer"] if "entry_point" in row else row["answer"]
    tests = [row["test"]] if "entry_point" in row else [*row["test_list"], *row["test_imports"]]
    found = set()
    for where, text in (("solution", source), ("tests", "\n".join(tests))):
        with warnings.catch_warnings(action="ignore"):  # of their backslashes
            tree = ast.parse(text)
        for node in ast.walk(tree):
            names = [type(node).__name__]
            if isinstance(node, ast.Name) and hasattr(builtins, node.id):
                names.append(node.id)
            elif isinstance(node, ast.Import):
                names += [one.name for one in node.names]
            elif isinstance(node, ast.ImportFrom):
                names.append(str(node.module))
            elif isinstance(node, ast.Constant):
                names.append(type(node.value).__name__)
            found |= {(where, name) for name in names}
    return found


def with_something_new(rows):
    """The rows that use a construct that none before them uses."""
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if constructs(row) - seen:
            yield row
        seen |= constructs(row)


@isolated
@pytest.mark.parametrize(("file", "count"), [("bench/humaneval.jsonl", 164), ("bench/mbpp_399.jsonl", 399)])
def test_canonical_solutions_pass_whatever_they_use_of_the_language(file, count, shared_data):
    """A fifth of them, which use all that any of them uses: each takes two sandboxes."""
    rows = data_rows(shared_data, file)
    assert len(rows) == count
    chosen = list(with_something_new(rows))
    assert 40 < len(chosen) < count / 2

    def outcome(row):
        task = problem(row["problem"], **{key: row[key] for key in row if key.startswith(("test", "entry"))})
        source = row["problem"] + row["answer"] if "entry_point" in row else row["answer"]
        return row["id"], run_tests(source, find_tests(task), PATIENT)

    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(outcome, chosen))
    assert [name for name, result in outcomes if result.passed != result.total] == []
