"""Generated problems: their answers against another calculator, their splits against each other."""

import ast
import itertools
import operator
import re

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.tasks.arithmetic import DIFFICULTIES, FAMILIES, LARGEST, generate, split_of

SPLITS = ("train", "validation", "test")


def problems(split="train", count=900, seed=5, families=FAMILIES):
    return list(itertools.islice(generate(seed, split, families), count))


def normalised(text: str) -> str:
    """An independent reading of a problem's text: symbols for words, no wording, no variable names."""
    text = text.lower()
    for word, symbol in (("plus", "+"), ("minus", "-"), ("divided by", "/"), ("\\div", "/"), ("\\times", "*")):
        text = text.replace(word, symbol)
    text = re.sub(r"(\d+) times (?:a|the) number", r"\1x", text)
    text = re.sub(r"(?:a|the) number", "x", text).replace("times", "*").replace(" is ", "=")
    text = re.sub(r"(?<=\d)[yn]\b|\b[yn]\b", "x", text)
    return re.sub(r"[^0-9x+*/=()-]", "", re.sub(r"\b[a-z]{2,}\b", "", text))


def evaluate(expression: str) -> int:
    """Python's own precedence, by its parser."""
    binary = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}

    def value(node):
        if isinstance(node, ast.BinOp):
            return binary[type(node.op)](value(node.left), value(node.right))
        return node.value

    return value(ast.parse(expression, mode="eval").body)


def test_expressions_have_the_value_python_gives_them():
    for problem in problems(families=("expression",)):
        assert evaluate(problem.key.removeprefix("expression ")) == problem.answer


def test_equations_have_the_solution_sympy_finds():
    x = sympy.Symbol("x")
    for problem in problems(families=("equation",), count=150):
        sides = re.sub(r"(\d)([x(])", r"\1*\2", problem.key.removeprefix("equation ")).split("=")
        left, right = (sympy.sympify(side, locals={"x": x}) for side in sides)
        assert sympy.solve(left - right, x) == [problem.answer]


def test_stories_add_up_from_the_numbers_in_their_key():
    for problem in problems(families=("story",)):
        start, *events = problem.key.removeprefix("story ").split(" ")[:-1]
        total = int(start)
        for event in events:
            total = evaluate(f"{total}{event}")
        assert total == problem.answer


@pytest.mark.parametrize("split", SPLITS)
def test_every_intermediate_value_stays_in_range_and_every_division_is_exact(split):
    for problem in problems(split):
        for step in (*problem.steps, *problem.misconception):
            assert 0 <= step.result <= LARGEST
            assert step.op != "/" or step.left % step.right == 0


def test_a_misconception_ends_in_another_answer():
    wrong = [problem for problem in problems() if problem.misconception]
    assert len(wrong) > 500
    assert all(problem.misconception[-1].result != problem.answer for problem in wrong)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(SPLITS, 2)))
def test_splits_do_not_overlap_by_normalised_problem(one, other):
    first, second = (problems(split, 3000, seed) for split, seed in ((one, 1), (other, 2)))
    assert not {p.key for p in first} & {p.key for p in second}
    texts = [{normalised(p.text) for p in side if p.family != "story"} for side in (first, second)]
    assert len(texts[0]) > 1000
    assert not texts[0] & texts[1]


@given(st.text())
def test_any_key_belongs_to_exactly_one_split(key):
    assert split_of(key) in SPLITS
    assert split_of(key) == split_of(key)


def test_a_stream_is_seeded_and_cycles_through_all_cells():
    first, again, other = problems(seed=3, count=45), problems(seed=3, count=45), problems(seed=4, count=45)
    assert first == again
    assert first != other
    cells = {(problem.family, problem.difficulty) for problem in first}
    assert cells == set(itertools.product(FAMILIES, DIFFICULTIES))
    assert len({problem.key for problem in first}) == 45


def test_words_and_latex_both_occur():
    texts = [problem.text for problem in problems()]
    assert any("\\times" in text for text in texts)
    assert any("times" in text and "\\times" not in text for text in texts)
