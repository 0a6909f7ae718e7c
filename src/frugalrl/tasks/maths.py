"""Mathematics: answers in a box, compared with the accepted golds; how a row's columns widen what is accepted.

Decisions, the same wherever a problem is judged (reward, evaluation in training, `eval`, `score`):
- A list as answer means that any of its entries is right. Answers required together are one gold with commas.
- A column `unit` lets the answer carry its unit or leave it away; a column `error` states how far a number may be off.
- Published golds stay as they were published. What the published text lost (an exponent, a unit) or spells so that the
  verifier cannot read it is accepted beside it, by gold and a phrase of the problem, so that every copy of a data set
  is read alike and no other problem with the same gold is touched; docs/benchmarks says why for each.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from frugalrl.tasks.task import Task
from frugalrl.types import Check, Problem
from frugalrl.verify.maths.exact_numbers import TooLargeError, read_number

BOXED_TEMPLATE = "{problem}\n\nPlease reason step by step, and put your final answer within \\boxed{}."
"""What the authors of R1-Distill and Qwen2.5-Math recommend for mathematics."""

CORRECTIONS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("np.arcsin(10/13)", "such that the light will not emerge from the water"): ("\\arcsin{\\frac{10}{13}}",),
    ("0.003", "Find its parallax angle, $\\pi$, in arcseconds"): ("0.003^{\\prime \\prime}",),
    ("6630", "line observed at the Earth, in Angstroms"): ("6630.65",),
    ("0.264", 'Calculate the "Bohr radius" in angstroms'): ("0.265",),
    ("4.4677", "the frequency $(v)$ in Hz, to 4 decimal places"): ("4.4677 \\times 10^{14}",),
    ("(t + \\frac{1}{2} \\sin{2t}) u(t)", "$F(s) = \\frac{4}{s^2(s^2+4)}$"): ("(t - \\frac{1}{2}\\sin(2t))u(t)",),
    ("x^{\\prime}+\\frac{r}{V} x-r c=0", "the amount of salt in the tank"): ("x' + \\frac{r}{V}x - rc = 0",),
    ("\\frac{4 A}{3+3 i} e^{i t}", "compute the exponential"): ("\\frac{4A}{3+3i}e^{it}",),
    ("\\frac{e^{2 i t}}{(2+2 i)}", "$\\dot{z}+2 z=e^{2 i t}$"): ("\\frac{e^{2it}}{2+2i}",),
    ("\\frac{e^{2 i t}}{(2+2 i)}+C e^{-2 t}", "$\\dot{z}+2 z=e^{2 i t}$"): ("\\frac{e^{2it}}{2+2i} + Ce^{-2t}",),
    ("$t(0,4]$", "there exists a good collection of $n$ triangles"): ("(0,4]",),
}
"""(published gold, a phrase of its problem) -> what is accepted beside it. The last is OlympiadBench's, all others are
Minerva's."""


def prepare(problem: Problem) -> Problem:
    """A problem with everything its row says about what is right."""
    return replace(problem, check=policy_of(problem))


def policy_of(problem: Problem) -> Check:
    """What counts as right besides the gold, from the problem's text and its columns `unit` and `error`."""
    accepted = list(problem.check.also_accepted)
    for (gold, phrase), others in CORRECTIONS.items():
        if problem.gold == gold and phrase in problem.text:
            accepted += others
    unit = problem.columns.get("unit")
    if isinstance(unit, str) and unit.strip():
        accepted.append(f"{problem.gold.strip('$')} {_written_unit(unit.strip().strip('$'))}")
    return replace(problem.check, also_accepted=tuple(accepted), tolerance=_tolerance(problem.columns.get("error")))


def is_within_tolerance(answer: str, problem: Problem) -> bool:
    """Whether a number is as near to the gold as the data set allows."""
    if problem.check.tolerance is None:
        return False
    value, gold = _number(answer), _number(problem.gold)
    return value is not None and gold is not None and abs(value - gold) <= problem.check.tolerance


def _written_unit(unit: str) -> str:
    return "\\%" if unit == "%" else unit


def _tolerance(error: Any) -> Fraction | None:
    """Of a stated error such as ``"1e-1"``; None where there is none or it is no positive number."""
    try:
        value = float(str(error)) if error is not None else math.nan
    except ValueError:
        return None
    return Fraction(str(error)) if math.isfinite(value) and value > 0 else None


def _number(text: str) -> Fraction | None:
    try:
        number = read_number(text.strip().strip("$").removesuffix("%").removesuffix("\\").strip())
    except TooLargeError:
        return None
    return None if number is None else number.value


TASK = Task(name="maths", prompt=BOXED_TEMPLATE, prepare=prepare)
