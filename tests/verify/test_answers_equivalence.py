"""What counts as the same answer: pairs of (gold, answer) that anybody can check by eye."""

import os
import subprocess
import sys

import pytest

from frugalrl.verify.workers.pool import AnswerItem, VerifierPool

SAME = {
    "integers and decimals": [
        ("5", "5."), ("5", "5.0"), ("5", "05"), ("025", "25"), ("5", "+5"), ("0.5", ".5"), ("0.50", "0.5"),
        ("-3", "−3"), ("10000", "10,000"), ("10000", "10 000"), ("10000", "10{,}000"), ("10000", r"10\,000"),
        ("10000", r"10,\!000"), ("1234567.5", "1,234,567.5"), ("1000.99", "1000,99"), ("5", "５"),
        ("11111111100", r"11,\! 111,\! 111,\! 100"), ("3", r"\mathbf{3}"), ("3", r"\text{3}"), ("3", "(3)"),
        ("3", "{3}"),
        ("999999999999999", "999,999,999,999,999"), ("0", "-0"), ("7", r"\boxed{7}"), ("$7$", "7"),
        ("5000000", "5 million"),
    ],
    "fractions": [
        (r"\frac{1}{2}", "1/2"), (r"\frac{1}{2}", "0.5"), ("1/2", r"\dfrac12"), ("1/2", r"\frac{2}{4}"), ("1/2", "½"),
        (r"-\frac{3}{4}", r"\frac{-3}{4}"), (r"-\frac{3}{4}", r"\frac{3}{-4}"), (r"\frac{3}{4}", ".75"),
        ("1.5", "1 1/2"),
        ("1.5", r"1\frac12"), ("2.625", r"2\frac{5}{8}"), (r"\frac{11}{3}", r"3\tfrac{2}{3}"), ("3/4", r"3 \div 4"),
        (r"\frac13", r"0.\overline{3}"), (r"\frac{1}{7}", r"0.\overline{142857}"), (r"\frac{1}{3}", "0.333333"),
        (r"\frac{2}{3}", "0.6666667"), ("0.333", r"\frac{1}{3}"), (r"-\frac52", "-2.5"), (r"-1\frac12", "-1.5"),
    ],
    "powers and scientific notation": [
        ("1000", "10^3"), ("1000", r"1 \times 10^3"), ("4.5e33", r"4.5 \times 10^{33}"), (r"2^{10}", "1024"),
        (r"10^{-9}", "0.000000001"), ("7.26e6", "7260000"), (r"2^{1000}", r"2^{1000}"), (r"2^{1000}", r"4^{500}"),
        (r"3\cdot 10^8", "300000000"), (r"5!", "120"), (r"\binom{5}{2}", "10"), ("2^6 3^5", r"2^6 \cdot 3^5"),
        ("1.6e-19", r"1.6\cdot10^{-19}"),
    ],
    "percent": [
        (r"50\%", "50%"), (r"50\%", "50 percent"), (r"50\%", "50"), (r"50\%", "0.5"), ("0.5", r"50\%"),
        ("5", r"500\%"),
        (r"28\%", r"28\text{ percent}"), (r"12.5\%", r"\frac{1}{8}"), ("33%", r"33 \%"),
    ],
    "units, currency, degrees": [
        ("5", r"5\,\mathrm{km}"), ("5", r"5 \text{ cm}"), ("5", "5 cm"), ("5", r"5\text{ cm}^2"),
        (r"5 \text{ cm}", "5"), ("5", r"\$5.00"),
        ("5", "5 dollars"), ("18", r"\$18"), ("12", "12 apples"), ("12", r"12 \text{ red apples}"),
        (r"125 \text{ miles}", "125 mi"),
        (r"15\mbox{ cm}^2", "15 cm^2"), (r"15 \text{ square centimeters}", r"15\text{ cm}^2"), (r"90^\circ", "90"),
        ("90", "90°"),
        ("90", r"90^{\circ}"), ("90", "90 degrees"), (r"90^\circ", r"90\text{ degrees}"),
        (r"10\pi \text{ cm}", r"10\pi"),
        (r"5 \text{ meters}", r"5\text{ m}"), ("0.06 yuan", "0.06"), ("100", "€100"), ("3", r"3 \text{ hours}"),
        (r"5\text{ cm}", r"5\text{ centimeters}"),
        (r"16\text{ minutes}", r"16 \text{ min}"), ("220", r"220 \text{ km/h}"), ("9.8", r"9.8 \text{ m/s}^2"),
    ],
    "words around the answer": [
        ("42", r"\text{The answer is } 42"), ("42", "The answer is 42"), ("42", r"\text{The answer is 42}"),
        ("42", "x = 42"), ("42", "Answer: 42"),
        ("42", r"\approx 42"), ("42", r"\text{approximately } 42"), ("42", "n = 42."), ("17", "m+n = 17"),
        ("5", r"\text{Area} = 5"),
        ("5", "f(2) = 5"), ("5", "AB = 5"), ("5", r"S_{ABC} = 5"), ("60", r"\angle ABC = 60^\circ"),
        (r"\text{Evelyn}", "Evelyn"),
        ("90", r"\text{The angle is } 90^\circ"), ("4", r"\therefore x = 4".replace(r"\therefore ", "")),
        ("12", r"12 \text{ ways}"),
    ],
    "radicals and constants": [
        (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"), (r"2\sqrt{3}", r"\sqrt{12}"), (r"2\sqrt{3}", "2√3"),
        (r"\sqrt{13}", "√13"),
        (r"3\sqrt{13}", r"\sqrt{117}"), (r"288 \pi", r"288π"), (r"\frac{9}{4}\pi", r"2.25\pi"),
        (r"\sqrt{2}+\sqrt{5}", r"\sqrt5+\sqrt2"),
        (r"\frac{5\sqrt{42}}{27}", r"\frac{10\sqrt{10.5}}{27}"), (r"e^{2}", r"e \cdot e"), (r"\ln 8", r"3\ln 2"),
        (r"\frac{\pi}{2}", r"\arcsin(1)"),
        (r"\sqrt[3]{16}", r"2\sqrt[3]{2}"), (r"\pi", "3.14159265"), ("125.663", r"40\pi"),
        (r"1+\sqrt{3}", r"\frac{2}{\sqrt3-1}"), (r"\frac{\sqrt3}{3}", r"\frac{\sqrt3}{3} \approx 0.577"),
        ("3", r"\log_2 8"), (r"\sqrt{3}", r"\tan 60^\circ"), (r"\cos 40^\circ", r"\sin 50^\circ"),
        ("4", r"\sqrt{16}"), ("4", r"|-4|"), (r"1-\frac{1}{e}", r"\frac{e-1}{e}"),
    ],
    "expressions": [
        ("x^2-1", "(x-1)(x+1)"), ("x^2+2x+1", "(x+1)^2"), ("1+x", "x+1"),
        (r"\frac{x+2}{7}", r"\frac{x}{7}+\frac{2}{7}"), ("2-2p", "-2p+2"),
        (r"\tan^2(y)+1", r"\sec^2(y)"), ("11z^7(11z^7+5)", "11z^{7}(5+11z^{7})"), ("4/3-7x/6", r"\frac{8-7x}{6}"),
        ("p - q", "-q+p"), ("6-5i", "-5i+6"),
        (r"2 \sin b \cos a", r"2\cos a\sin b"), (r"\frac{\pi r}{h+r}", r"\frac{r\pi}{r+h}"), ("y = 2x+3", "2x+3"),
        ("2x+3", "y = 3+2x"), ("x^2+2x+1", "x^2 + 2*x + 1"),
        (r"\frac{1}{\cos x}", r"\sec x"), ("2n+1", "1+2n"), ("2^{n}", r"2 \cdot 2^{n-1}"),
        (r"\frac{n(n+1)}{2}", r"\binom{n+1}{2}"), ("x^5 - x", "x(x^4-1)"),
    ],
    "lists and sets": [
        ("1, 2, 3", "3, 2, 1"), (r"\{1,2\}", r"\{2,1\}"), (r"\{1,2\}", "1, 2"), ("1,2", r"1 \text{ and } 2"),
        ("-2,1", "1 and -2"), ("6, 8", r"8 \text{ or } 6"),
        ("x=2, x=-3", "-3, 2"), ("2,-3", "x = 2, x = -3"), (r"\pm 2", "2, -2"), ("-2, 2", r"\pm 2"),
        (r"1 \pm \sqrt{19}", r"1+\sqrt{19}, 1-\sqrt{19}"), (r"x = \pm 3", "3, -3"),
        ("(2, 2), (6, 2)", "(6,2), (2,2)"), (r"\{1\pm\sqrt{5},-2\}", r"-2, 1-\sqrt5, 1+\sqrt5"),
        ("1/2, 3", "3; 0.5"), (r"\{5\}", "5"), ("1,3,5", "1 , 3 , 5"),
        ("a_3 = 2, a_{37} = 19", r"a_{37} = 19, \quad a_3 = 2"), ("1000, 2000", "1,000, 2,000"),
        (r"\{-1, 0, 1\}", r"\lbrace 0, 1, -1\rbrace"), ("red and blue", "blue and red"),
    ],
    "tuples and intervals": [
        ("(1,2)", "(1, 2)"), (r"(3, \frac{\pi}{2})", r"\left(3, \frac{\pi}{2}\right)"),
        (r"(\frac{3}{5}, 2)", "(0.6, 2)"), ("(x,y) = (5,8)", "(5, 8)"),
        ("(5,8)", "(x, y) = (5, 8)"), ("(1,2)", "1, 2"), ("[0,1)", "[0, 1)"), (r"[5, \infty)", r"x \geq 5"),
        (r"x \ge 5", r"[5,\infty)"), (r"[-2,7]", r"-2 \leq x \leq 7"),
        (r"(-\infty, 3)", "x < 3"), ("x < 3", "3 > x"), ("x \\le 1", "-x \\ge -1"),
        (r"[2,5) \cup (7,9]", r"(7,9] \cup [2,5)"),
        (r"x \in [-2,7]", "[-2,7]"), ("(-793, 10)", "-793 < a < 10"),
        (r"[1/2, \infty)", r"x \in [0.5, \infty)"), (r"(-\infty,1)\cup(2,\infty)", r"x<1 \text{ or } x>2"),
        (r"(0, \infty)", r"(0, +\infty)"), (r"(0, \infty)", "(0, ∞)"),
        (r"(-\infty,2)\cup(2,\infty)", r"x \neq 2"), ("(1,2)", "]1,2["),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3, 0.5\pi)"),
    ],
    "equations, inequalities, matrices": [
        ("x=5", "5"), ("5", "x=5"), ("2x+4y-3=0", r"y=-\frac{1}{2}x+\frac{3}{4}"), ("x-2y+z-1=0", "x - 2y + z = 1"),
        ("34x+45y-20z+100=0", "-34x-45y+20z-100=0"),
        (r"\begin{pmatrix} 0 & 3 \\ 0 & -1 \end{pmatrix}", r"\begin{bmatrix} 0 & 3 \\ 0 & -1 \end{bmatrix}"),
        (r"\begin{pmatrix}1&0.5\end{pmatrix}", r"\begin{pmatrix} 1 & \frac12\end{pmatrix}"),
        ("f(2) < f(1) < f(4)", "f(2)<f(1)<f(4)"), ("y = 2x + 3", "f(x) = 2x + 3"), ("5", "2+3=5"),
        ("-1", r"e^{i\pi} = -1"), ("2/3", r"\frac{4}{6} = \frac{2}{3}"),
    ],
    "text and choices": [
        ("A", r"\text{(A)}"), ("A", "(A)"), ("A", "A."), ("A", r"\textbf{(A)} 5"), ("A", r"\text{Option A}"),
        ("C", r"\mathrm{C}"), ("(B)", "B"), ("B", "(b)"), ("(D) Alina", "D"),
        (r"\text{Yes}", "yes"), ("yes", r"\text{Yes.}"), ("Even", r"\text{even}"),
        (r"\text{The midpoints form a regular hexagon}", "the midpoints form a regular hexagon"),
        (r"\text{Monday}", "Monday"), ("odd", r"\textit{odd}"), ("East", r"\text{east}"), (r"\infty", "∞"),
        (r"\infty", r"+\infty"), (r"\emptyset", r"\varnothing"), ("12:30", "12:30"),
    ],
    "bases and ratios": [
        ("204_5", "204_{5}"), ("204_5", "204_{\\text{five}}"), ("4210_7", "4210_{7}"), ("204_5", "204"),
        ("5", "101_2"), ("3:2", "3 : 2"), ("3:2", "6:4"), ("1A_{16}", "1a_{16}"),
    ],
}  # fmt: skip

DIFFERENT = {
    "numbers": [
        ("5", "6"), ("5", "5.001"), ("5", "-5"), ("5", "4=5"), ("5", "4 = 5"), ("5", "1=2=3=4=5"), ("5", "5=4"),
        ("32349", "32, 349"), ("12", "1 2"), ("5", "5^2"), ("5", r"5^{\circ}C^2"),
        (r"\frac{1}{3}", "0.333"), (r"\frac13", "0.3"), ("2", "2.0000004"), ("2", "1.99999"), ("2", "1.9999999"),
        (r"\pi", "3.14"), (r"\pi", r"\frac{22}{7}"), ("3e-7", "0.0"), ("1e-9", "0"),
        (r"10^{-9}", "0.0000"), (r"e^{-100}", r"e^{-101}"), (r"\frac{1}{10^{25}}", r"\frac{1}{10^{20}}"),
        ("2.232", "2.23"), ("2.23", "2.232"), ("16386.16", "16386.17"), ("1000000", "1000000.5"),
        ("5", "⁵"), ("5", "2x=5"), ("5", "-x=5"), ("5", "x^2=5"), ("3.5", "3"), ("0.5", "5"), ("100", "1,00"),
        ("1234", "1,2,3,4"), ("5", "5x"), ("5", r"5\sqrt{2}"), ("5", r"\frac{5}{0}"), ("5", r"\frac{0}{0}"),
        (r"1\frac12", r"\frac12"), ("2.5", r"2\frac{1}{3}"), ("1000", "1.000"), ("5", r"5\%"), ("0.5", "0.5%"),
        (r"2^{100}", r"2^{101}"), (r"100!", r"99!"), ("5", r"\sqrt{5}"), ("4", r"4\sqrt(2)"), ("5", ""),
    ],
    "percent, units, bases, clocks": [
        ("50", r"50\%"), (r"50\%", "5%"), (r"5\text{ cm}", r"5 \text{ m}"), ("5 hours", "5 minutes"),
        (r"15\text{ cm}^2", r"15\text{ cm}"), (r"\frac{\pi}{3}", r"60"), ("101_3", "101_2"), ("101_2", "101_3"),
        ("101", "101_2"), ("1112112_3", "1112122_3"), ("12:00", "1:00"), ("2:30", "1:15"), ("3:2", "2:3"),
        ("5 million", "5"),
    ],
    "hedges and stuffing": [
        ("5", r"4 \text{ or } 5"), ("5", "4, 5"), ("5", r"\{4,5\}"), ("5", r"\text{not } 5"), ("5", "not 5"),
        ("5", r"5 \text{ or } 6"), ("5", r"5 \text{ is wrong}"), ("5", r"\pm 5"), ("5", r"4 \to 5"), ("5", "[4,6]"),
        ("5", r"5 \text{garbage} \alpha ] ) ("), ("5", r"4 < 5"), ("5", r"x \ge 5"), ("5", r"5 \lor 6"),
        ("5", r"\text{the answer is not } 5"), ("5", r"\text{it is not true that x is } 5"), ("A", "A, B, C, D, E"),
        ("A", "A or B"),
        ("A", "not A"), ("A", "B"), ("A", "AB"), ("7", r"5 \neq 7"), ("7", "5/7"), ("7", r"7 \text{ except } 8"),
        ("5", "any number"), ("5", "x"), ("x", "5"), ("5", "n"), ("3", r"1,2,3,\ldots"),
    ],
    "expressions": [
        ("x^2+2x+1", "x^3+2x+1"), ("x+1", "x"), ("(a+5)(b+2)", "(+5)(b+2)"), (r"\sin x", r"\cos x"), ("x+y", "x-y"),
        ("2x", "x^2"), (r"\sqrt{x^2}", "x"), ("x+2n+1", "x+1"), (r"\frac{1+\sqrt5}{2}", "2"), (r"1\sqrt{19}", "1"),
        ("f(x)", "g(x)"), ("ab", "a+b"), (r"\sin^{12}(x)", r"\sin^{11}(x)"), ("x^{1000}", "x^{999}"),
        ("6-5i", "6+5i"), ("3a", "3b"), ("(a+b+c)^{40}+1", "(a+b+c)^{40}"), ("n!", "n"), ("x_1", "x_2"),
    ],
    "structures": [
        ("(1,2)", "(2,1)"), ("(1,2)", "2,1"), ("(1,2)", r"\{1,2\}"), ("[0,1)", "(0,1)"), ("[0,1)", "[0,1]"),
        ("(1,2]", "(1,3]"), ("(-3,2)", "[-3,2]"), ("1,2,3", "1,2"), ("1,2", "1,2,3"), (r"\{1,2\}", r"\{1,3\}"),
        (r"\pm 2021", "2021"), ("(3,1)", "{1,3}"), (r"x > 5", "x < 5"), (r"x \ge 5", "x > 5"), ("x>5", "y>5"),
        ("x=5", "y=5"), (r"2x+z=1", "1"), ("a+3z=0", "0"), ("x=1, y=2", "x=2, y=1"), ("1, 1, 2", "1, 2, 2"),
        (r"[2,5) \cup (7,9]", r"[2,5)"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&5\end{pmatrix}"),
        (r"\sqrt{67},-\sqrt{85}", r"\sqrt{67}"), ("x+y-z+2=0", "5x-7y+11z+4=0"),
        (r"\cos(x)=\frac{42}{59}", r"\sin(x)=\frac{42}{59}"), ("1, 3, 5, \\ldots, 2n-1", r"1, 2, \ldots, n"),
        ("7=11a+c", "11a+c"),
    ],
    "text": [
        (r"\text{Yes}", r"\text{No}"), (r"\text{one}", r"\text{eno}"), ("one", "eno"),
        (r"\text{Tuesday}", r"\text{Monday}"), ("odd", r"\text{oddd}"), (r"\text{see figure}", "5"),
        ("5", r"\text{see figure}"), ("Evelyn", "Eve"),
        ("E", r"\mathrm{E}*2"), ("yes", r"\text{yes and no}"), ("yes", "not yes"),
        (r"\text{red}", r"\text{red, blue}"), ("D", "d x"), ("even", "neither"),
        (r"\text{increasing}", r"\text{not increasing}"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("topic", SAME)
def test_the_same_answer_in_another_form_is_correct(patient_pool: VerifierPool, topic: str) -> None:
    verdicts = patient_pool.judge_many(AnswerItem(f"So \\boxed{{{answer}}}.", gold) for gold, answer in SAME[topic])
    wrong = [
        (gold, answer, verdict.label, verdict.reason)
        for (gold, answer), verdict in zip(SAME[topic], verdicts, strict=True)
        if verdict.label != "correct"
    ]
    assert wrong == []


@pytest.mark.parametrize("topic", DIFFERENT)
def test_another_answer_is_incorrect(patient_pool: VerifierPool, topic: str) -> None:
    verdicts = patient_pool.judge_many(
        AnswerItem(f"So \\boxed{{{answer}}}.", gold) for gold, answer in DIFFERENT[topic]
    )
    wrong = [
        (gold, answer, verdict.label, verdict.reason)
        for (gold, answer), verdict in zip(DIFFERENT[topic], verdicts, strict=True)
        if verdict.label != "incorrect"
    ]
    assert wrong == []


WAYS = r"""
from sympy.core import cache
from frugalrl.verify.maths.symbolic import compare_symbolically

def way(answer, gold):
    assert compare_symbolically(answer, gold) == "same"
    return [one.cache_info()[:2] for one in cache.CACHE]

pairs = [(r"\sqrt{12}+x", r"x+2\sqrt{3}"), ("(x+1)^2", "x^2+2x+1"), (r"\frac{\pi}{\sqrt{2}}", r"\frac{\pi\sqrt{2}}{2}")]
first = [way(*pair) for pair in pairs]  # what is loaded at the first use is loaded
alone = [way(*pair) for pair in pairs]
again = [way(*pair) for pair in reversed(pairs)][::-1]
assert all(sum(misses for _, misses in one) > 0 for one in first)
assert again == alone
"""
"""sympy's cache after a comparison, hits and misses of each function, is that of the comparison alone."""


def test_computer_algebra_takes_the_same_way_whatever_was_asked_before() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "0"}  # as in a worker
    done = subprocess.run([sys.executable, "-c", WAYS], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
