"""The same problem is found in another dress; another problem is left alone however much alike."""

import pytest

from frugalrl.data.duplicates import near_duplicate_groups, near_duplicate_matches

SAME = [
    ("renamed variables", "Let $m$ and $n$ be integers with $m+2n=17$. Find the largest $mn$.",
     "Let $x$ and $y$ be integers with $x+2y=17$. Find the largest $xy$."),
    ("spacing and LaTeX", r"Compute $\dfrac{3}{7} \times \left( 14+21 \right)$ for the shop's total.",
     r"Compute \( \frac{3}{7}\cdot(14+21) \) for the shop's total"),
    ("preamble", "Problem 3. (5 points) A box holds 4 red and 6 blue balls. Two are drawn. How likely are both red?",
     "A box holds 4 red and 6 blue balls. Two are drawn. How likely are both red?"),
    ("how to answer", "A train of 120 m passes a pole in 8 s. What is its speed? Express your answer in m/s.",
     "A train of 120 m passes a pole in 8 s. What is its speed?"),
    ("wording", "Given that the sum of two real numbers is 12 and their product is 35, find the larger number.",
     "The sum of two numbers is 12 and their product is 35. What is the larger number?"),
    ("synonyms", "What is the smallest positive integer with exactly 18 divisors?",
     "Determine the least positive integer with exactly 18 factors."),
    ("options lost", r"How many primes lie below 50? $\textbf{(A)}\ 13 \quad \textbf{(B)}\ 14 \quad \textbf{(C)}\ 15$",
     "How many primes lie below 50?"),
    ("drawing lost", 'In triangle $ABC$ with $AB=5$, $BC=7$ and right angle at $B$, find the area of square '
     '$ACDE$ built outside. [asy] label("$A$",(0,0)); [/asy]',
     "In triangle $ABC$ with $AB=5$, $BC=7$ and right angle at $B$, find the area of square $ACDE$ built outside."),
]  # fmt: skip

DIFFERENT = [
    ("a number", "A train of 120 m passes a pole in 8 s. What is its speed?",
     "A train of 120 m passes a pole in 9 s. What is its speed?"),
    ("a relation", "For how many integers $x$ is $x^2 - 5x + 4 < 0$ true?",
     r"For how many integers $x$ is $x^2 - 5x + 4 \le 0$ true?"),
    ("an operator", "Let $p,q$ be the roots of $x^2+9x+14=0$. Find the value of $p^3+q^3$ exactly.",
     "Let $p,q$ be the roots of $x^2-9x+14=0$. Find the value of $p^3+q^3$ exactly."),
    ("minimum and maximum", "Find the minimum value of $x^2+3y^2$ on the circle $x^2+y^2=4$ in the plane.",
     "Find the maximum value of $x^2+3y^2$ on the circle $x^2+y^2=4$ in the plane."),
    ("a negation", "In how many ways can 5 balls be put in 3 boxes if the balls are distinguishable?",
     "In how many ways can 5 balls be put in 3 boxes if the balls are not distinguishable?"),
    ("a moved negation", "In how many ways do 5 balls go in 3 boxes if balls are not distinguishable but boxes are?",
     "In how many ways do 5 balls go in 3 boxes if balls are distinguishable but boxes are not?"),
    ("odd and even", "How many odd divisors does 720 have?", "How many even divisors does 720 have?"),
    ("left and right", "A man walks 3 km, turns left, walks 4 km and stops. In which direction does he look?",
     "A man walks 3 km, turns right, walks 4 km and stops. In which direction does he look?"),
    ("one noun", "In how many ways can the letters of the word PEPPER be arranged?",
     "In how many ways can the letters of the word BANANAS be arranged?"),
    ("the variable asked for", "If $2a+3b=7$ and $a-b=1$ for real numbers $a$ and $b$, find $a$.",
     "If $2a+3b=7$ and $a-b=1$ for real numbers $a$ and $b$, find $b$."),
    ("brackets", "What is $88 \\div (4 \\div 2)$?", "What is $88 \\div 4 \\div 2$?"),
    ("the drawing", 'What is $x$ in the diagram? [asy] label("$30$",(0,0)); [/asy]',
     'What is $x$ in the diagram? [asy] label("$40$",(0,0)); [/asy]'),
    ("the function", "Find $\\sin 30^\\circ$ exactly.", "Find $\\cos 30^\\circ$ exactly."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "one", "other"), SAME)
def test_the_same_problem_in_another_dress_is_one_group(name, one, other):
    assert near_duplicate_groups([one, "What is $1+1$?", other]) == [(0, 2)]


@pytest.mark.parametrize(("name", "one", "other"), DIFFERENT)
def test_another_problem_is_no_duplicate(name, one, other):
    assert near_duplicate_groups([one, other]) == []


def test_all_pairs_at_once_give_the_same_groups_for_every_seed():
    texts = [text for _, one, other in SAME for text in (one, other)]
    expected = [(2 * index, 2 * index + 1) for index in range(len(SAME))]
    assert near_duplicate_groups(texts, seed=0) == near_duplicate_groups(texts, seed=5) == expected


def test_groups_are_transitive_and_matches_say_why():
    texts = ["Solve $x+5=9$ for $x$.", "Solve $ x + 5 = 9 $ for $x$", "Solve $y+5=9$ for $y$.", ""]
    assert near_duplicate_groups(texts) == [(0, 1, 2)]
    assert [(match.first, match.second, match.sameness.kind) for match in near_duplicate_matches(texts)] == [
        (0, 1, "exact"),
        (0, 2, "renamed"),
    ]


def test_progress_ends_at_the_number_of_texts():
    seen = []
    near_duplicate_groups(["What is $1+1$?"] * 501, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(500, 501), (501, 501)]


def test_no_text_and_one_text_have_no_groups():
    assert near_duplicate_groups([]) == near_duplicate_groups(["What is $1+1$?"]) == []
