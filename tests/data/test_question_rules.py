"""What is not one question with one checkable answer, and what only looks so."""

import pytest

from frugalrl.data.question_rules import is_judged, question_fault

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


FOREIGN = [
    ("fr", "Soit $n$ un entier. Trouver le plus petit entier $n$ tel que $n^2 > 50$."),
    ("de", "Bestimme die kleinste natürliche Zahl $n$ mit $n^2 > 50$ und gib sie an."),
    ("es", "Calcular el valor de $x$ tal que $x^2 = 49$ y $x$ es positivo."),
    ("ru", "Найдите наименьшее натуральное число $n$ такое, что $n^2 > 50$ и делится на 3."),
    ("zh", "已知 $a$ 和 $b$ 是正整数 ， 求 $a+b$ 的 最小 值 。"),
]


@pytest.mark.parametrize(("language", "text"), FOREIGN)
def test_that_nothing_is_asked_is_said_of_english_texts_only(language, text):
    assert question_fault(text, "3").reason == "no_question"  # what the rules would say if it were English
    assert question_fault(text, "3", language=language) is None
    assert not is_judged(text, language)


def test_what_the_rules_quote_is_a_fault_in_any_language():
    text = "Quelle est la bonne réponse ? (A) 4 (B) 5 (C) 6 (D) 7"
    assert question_fault(text, "B", language="fr").reason == "multiple_choice"
    parts = "Нехай $f(x)=x^2$. (a) Знайдіть $f(2)$? (b) Чому дорівнює $f(3)$?"
    assert question_fault(parts, "4", language="uk").reason == "multi_part"


def test_a_short_text_of_unknown_language_is_judged_by_what_it_shows():
    assert is_judged("Compute $\\sin 60^\\circ$.", "unknown")
    assert not is_judged("$x^2 + 3 x + 2 = 0 , x > 1 , x < 9$", "unknown")
    english = "If $a=\\log_8 225$ and $b=\\log_2 15$, then"
    assert question_fault(english, "1", language="unknown").reason == "no_question"
