"""What is not one question with one checkable answer, and what only looks so."""

import pytest

from frugalrl.data.question_rules import question_fault

FAULTS = [
    ("proof", "Let $n$ be odd. Prove that $n^2-1$ is divisible by 8.", ""),
    ("proof", "Given a cyclic quadrilateral, show that its opposite angles add up to $180^\\circ$.", None),
    ("multi_part", "Let $f(x)=x^2-4x$. (1) Find the zeros of $f$. (2) Find the minimum value of $f$.", None),
    ("multi_part", "A die is rolled.\n(a) What is the chance of a 6?\n(b) What is the chance of an even number?", None),
    ("multiple_choice", "How many primes lie below 20? (A) 6 (B) 7 (C) 8 (D) 9", "C"),
    ("multiple_choice", r"Half of 9 is $\textbf{(A)}\ 4 \qquad \textbf{(B)}\ 4.5 \qquad \textbf{(C)}\ 5$", "B"),
    ("multiple_choice", "Which of the following is a multiple of 7?", "D"),
    ("needs_figure", "As shown in the figure, $AB \\parallel CD$. What is angle $x$?", None),
    ("needs_figure", "What is the area of the shaded region in the diagram?", None),
    ("url_or_image", "What is $x$? ![](https://cdn.example.org/a.png)", None),
    ("several_answers", "If $f$ is odd, then $a=$____, $b=$____.", None),
    ("several_answers", "How many pupils are there? How many buses were rented?", None),
    ("no_question", "A cat has 4 kittens, and each of those has 3 kittens of its own.", None),
    ("empty", "  ", None),
]

FINE = [
    "What is the proof number of a spirit with 40% alcohol, if proof is twice the percentage?",
    "Find, with proof, the least integer $N$ with more than 100 divisors.",
    "Show that the number of steps is finite, and determine its average.",
    "How many numbers are there such that (i) each digit is odd, and (ii) no two digits agree?",
    "Points (A) and B are 5 km apart; C is halfway. How far is C from B?",
    "Given $P(A)=0.5$, $P(B)=0.2$ and $P(C)=0.1$ for disjoint events, find $P(A \\cup B \\cup C)$.",
    "How many three-figure numbers are divisible by 9? A figure may repeat.",
    'What is $x$ in the diagram? [asy] dot(A); dot(B); dot(C); label("$x$",(0,0)); [/asy]',
    "A connected figure consists of 7 squares. What is its least perimeter?",
    "Find all real $x$ with $x^2=5x-6$.",
    "The value of $3 + 4 \\cdot 5$ is",
    "(1+11+21)+(9+19+29)=",
    "How many did she have? asked \"How many, pray?\" by her aunt.",
]  # fmt: skip


@pytest.mark.parametrize(("reason", "text", "answer"), FAULTS)
def test_a_fault_is_named_and_quoted(reason, text, answer):
    fault = question_fault(text, answer)
    assert fault is not None
    assert fault.reason == reason
    assert len(fault.evidence) <= 120


@pytest.mark.parametrize("text", FINE)
def test_what_only_looks_like_a_fault_is_none(text):
    assert question_fault(text, "3") is None


def test_drawing_code_is_a_figure_unless_told_otherwise():
    text = 'What is $x$ in the diagram? [asy] label("$x$",(0,0)); [/asy]'
    assert question_fault(text) is None
    assert question_fault(text, drawings_count=False).reason == "needs_figure"


def test_with_nothing_to_check_a_proof_beside_a_question_counts():
    text = "Find the sum of the angles. Prove that it is the same for every triangle."
    assert question_fault(text, "180") is None
    assert question_fault(text, "", "It is clear.").reason == "proof"
    assert question_fault(text, "", "So it is \\boxed{180}.") is None
