"""What counts as the same answer, by subject, and what only looks like it: the pairs of `answer_pairs`."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.verify.maths.comparison import compare
from frugalrl.verify.maths.exact_numbers import TooLargeError, read_number
from frugalrl.verify.maths.extraction import AnswerPolicy
from frugalrl.verify.maths.latex_text import join_thousands
from frugalrl.verify.maths.percentages import asks_for_percentage, percent_policy
from frugalrl.verify.maths.relations import merged
from frugalrl.verify.maths.structures import Shape, interval
from frugalrl.verify.steps import exact
from frugalrl.verify.workers.pool import AnswerItem, VerifierPool
from tests.verify.answer_pairs import DIFFERENT, NEVER_ACCEPTED, SAME

numbers = st.integers(1_000, 10**12)


@pytest.mark.parametrize("subject", SAME)
def test_the_same_answer_is_accepted(patient_pool: VerifierPool, subject: str) -> None:
    verdicts = patient_pool.judge_many(AnswerItem(f"So \\boxed{{{answer}}}.", gold) for gold, answer in SAME[subject])
    wrong = [pair for pair, verdict in zip(SAME[subject], verdicts, strict=True) if verdict.label != "correct"]
    assert wrong == []


@pytest.mark.parametrize("subject", DIFFERENT)
def test_what_only_looks_like_it_is_rejected(patient_pool: VerifierPool, subject: str) -> None:
    pairs = DIFFERENT[subject]
    verdicts = patient_pool.judge_many(AnswerItem(f"So \\boxed{{{answer}}}.", gold) for gold, answer in pairs)
    wrong = [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.label != "incorrect"]
    assert wrong == []


@pytest.mark.parametrize(("gold", "answer"), NEVER_ACCEPTED)
def test_what_cannot_be_told_in_time_is_not_accepted(gold: str, answer: str) -> None:
    with VerifierPool(workers=1) as pool:
        verdict = pool.judge(AnswerItem(f"So \\boxed{{{answer}}}.", gold))
    assert (verdict.label, verdict.reason) in {("incorrect", "different"), ("unknown", "cpu_limit")}


# --------------------------------------------------------------------------------------- separators and units


@given(numbers, st.sampled_from([",", "{,}", "\\,", ",\\!", " ", "\u2009", "\u202f", "~"]), st.data())
def test_a_number_with_a_separator_and_a_unit_is_that_number_alone(
    number: int, separator: str, data: st.DataObject
) -> None:
    space = data.draw(st.sampled_from([" ", "~", "\\ ", "\\,", "\\;", "\u00a0"]))
    unit = data.draw(st.sampled_from(["\\text{ litres}", "\\text{km}", "\\mathrm{m}", "km", "apples"]))
    written = f"{number:,}".replace(",", separator)
    answer = f"{written}{space}{unit}"
    assert compare(answer, str(number)).outcome == "same"
    assert compare(str(number), answer).outcome == "same"
    for other in (number + 1, number * 1_000, number % 1_000, number // 1_000):
        if other != number:
            assert compare(answer, str(other)).outcome == "different"
            assert compare(str(other), answer).outcome == "different"


@given(st.text(alphabet="0123456789, .x(){}\\+-km", max_size=60))
def test_joining_separators_only_ever_drops_separators(text: str) -> None:
    assert join_thousands(text).replace(",", "").replace(" ", "") == text.replace(",", "").replace(" ", "")


# --------------------------------------------------------------------------------------------------- percent

ASKS = [
    "What percentage of the puppies have spots?",
    "Of 20 cars 7 are red. What percent of the cars are red?",
    "By what percent does the team need to increase its rate?",
    "If x is 20 percent more than y and y is 50 percent less than z, then x is what percent of z?",
    "What is the probability of rain on both days? Express your answer as a percent.",
    "A marble is drawn. What's the percentage chance that it is blue?",
    "Find the percent increase in her allowance.",
    "How much soda does Danny have left, expressed as a percentage of a bottle?",
]
DOES_NOT_ASK = [
    "A shirt costs 50 dollars and has a 20% discount. What is its price in dollars?",
    "Which of the following is equal to $110 \\%$ of 500?",
    "If 25$\\%$ of a number is the same as 20$\\%$ of 30, what is the number?",
    "How many ounces of water must be added to 30 ounces of a $30\\%$ solution to yield one of $20\\%$?",
    "The percentage of wood wasted is 75%. What is the radius of the sphere?",
    "What percentage is hot sauce? Express your answer as a fraction.",
    "How many apples are there?",
    "",
]


@pytest.mark.parametrize("question", ASKS)
def test_a_question_that_asks_for_a_percentage_is_known(question: str) -> None:
    assert asks_for_percentage(question)
    assert percent_policy(question, "35") == "points"
    assert percent_policy(question, "35\\%") == "as_gold"


@pytest.mark.parametrize("question", DOES_NOT_ASK)
def test_a_percentage_that_is_given_is_not_asked_for(question: str) -> None:
    assert not asks_for_percentage(question)
    assert percent_policy(question, "35") == "as_gold"


@pytest.mark.parametrize(
    ("answer", "gold", "question", "label"),
    [
        ("35\\%", "35", ASKS[0], "correct"),
        ("35 \\text{ percent}", "35", ASKS[0], "correct"),
        ("x = 35\\%", "35", ASKS[0], "correct"),
        ("33.3\\%", "33.3", ASKS[0], "correct"),
        ("\\frac{100}{3}\\%", "100/3", ASKS[0], "correct"),
        ("50\\%", "0.5", ASKS[0], "correct"),
        ("35", "35", ASKS[0], "correct"),
        ("3500\\%", "35", ASKS[0], "incorrect"),
        ("36\\%", "35", ASKS[0], "incorrect"),
        ("0.35\\%", "35", ASKS[0], "incorrect"),
        ("0.5\\%", "0.5", ASKS[0], "incorrect"),
        ("35\\%", "35", DOES_NOT_ASK[0], "incorrect"),
        ("35\\%", "35", None, "incorrect"),
        ("35\\%", "0.35", None, "correct"),
    ],
)
def test_a_percent_sign_is_read_by_the_question(
    patient_pool: VerifierPool, answer: str, gold: str, question: str | None, label: str
) -> None:
    assert patient_pool.judge(AnswerItem(f"\\boxed{{{answer}}}", gold, question=question)).label == label


def test_the_percent_policy_can_be_set() -> None:
    with VerifierPool(policy=AnswerPolicy(percent="points")) as pool:
        assert pool.judge(AnswerItem("\\boxed{35\\%}", "35")).label == "correct"
    with VerifierPool(policy=AnswerPolicy(percent="as_gold")) as pool:
        assert pool.judge(AnswerItem("\\boxed{35\\%}", "35", question=ASKS[0])).label == "incorrect"


# ------------------------------------------------------------------------------------------------- structures


@given(
    st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 9), st.booleans(), st.booleans()), min_size=1, max_size=6)
)
def test_a_union_of_intervals_holds_the_same_numbers_when_it_is_merged(
    spans: list[tuple[int, int, bool, bool]],
) -> None:
    shapes = [
        interval(str(low), str(low + size), ("[" if left else "(") + ("]" if right else ")"))
        for low, size, left, right in spans
    ]
    union = merged(Shape("union", "", tuple(shapes)))
    for twice in range(-42, 62):
        assert _holds(union, twice) == any(_holds(shape, twice) for shape in shapes)


def _holds(shape: Shape, half: int) -> bool:
    """Whether a set holds half of an integer."""
    if shape.kind == "union":
        return any(_holds(item, half) for item in shape.items)
    low, high = (2 * int(item.text) for item in shape.items)
    above = low <= half if shape.brackets[0] == "[" else low < half
    return above and (half <= high if shape.brackets[1] == "]" else half < high)


@pytest.mark.parametrize("scale", [1, 7, 2018])
def test_points_are_not_those_of_another_pair(patient_pool: VerifierPool, scale: int) -> None:
    rng = random.Random(scale)
    items = [AnswerItem(f"\\boxed{{x\\cos(2\\pi\\cdot{rng.randint(1, 10**6) * scale}x)}}", "x") for _ in range(5)]
    assert {verdict.label for verdict in patient_pool.judge_many(items)} == {"incorrect"}


# ------------------------------------------------------------------------------------ the two readers of numbers

_SIDE = st.recursive(
    st.one_of(st.integers(0, 99).map(str), st.integers(1, 99).map(lambda n: f"{n}%"), st.just("\\frac{1}{2}")),
    lambda part: st.tuples(part, st.sampled_from(["+", "-", "*", " / "]), part).map(lambda t: f"({t[0]}{t[1]}{t[2]})"),
    max_leaves=6,
)


@given(_SIDE, st.sampled_from(["+", "-", "*"]), _SIDE)
def test_the_reader_of_steps_and_the_reader_of_answers_agree(left: str, operator: str, right: str) -> None:
    text = f"{left}{operator}{right}"
    try:
        step = exact.constant(exact.evaluate(text))
        number = read_number(text)
    except (exact.UnsupportedError, TooLargeError):
        return
    assert step is None or number is None or step == number.value
