"""The process reward: how far do true equalities lead from the problem's numbers to the answer?

A light check of intermediate steps without a model, which the paper names as the missing piece. It sees
calculations, not reasons: the right numbers combined by the wrong operations earn it in full.
"""

from collections.abc import Callable
from dataclasses import replace

from frugalrl.verify.steps.derivation import Derivation, derivation_of
from frugalrl.verify.steps.equalities import Equality, stated_equalities

Verify = Callable[[str, str], bool | None]
"""Whether two sides are equal, by a slower verifier; None if unknown."""
NOTHING_STATED = Derivation(stated=0, carried=0, wrong=0, given=0, given_used=0)
"""Of a completion without equalities."""


def process_reward(derivation: Derivation, verifier_checks: int = 4) -> float | None:
    """Share of the problem's numbers that reach the answer, times the share of carrying equalities that hold.

    ``given_used / given * carried / (carried + wrong)``, in 0..1; the first share is 1 for a problem without
    numbers. None if no equality could be checked, and 0 if none of those carries anything: a list of true sums
    beside the point earns nothing. `verifier_checks` (how many equalities beyond exact arithmetic the verifier may
    be asked about, for each completion) is used by `checked_equalities`, and stands here because it is a setting of
    the same term. Raises ValueError if it is negative.
    """
    if verifier_checks < 0:
        raise ValueError("verifier_checks must not be negative")
    if not derivation.stated:
        return None
    if not derivation.carried:
        return 0.0
    used = derivation.given_used / derivation.given if derivation.given else 1.0
    return used * derivation.carried / (derivation.carried + derivation.wrong)


def process_derivation(
    text: str, problem: str, answer: str | None, verify: Verify | None = None, verifier_checks: int = 0
) -> Derivation:
    """What the equalities of a completion carry from a problem's text to the answer that it gives."""
    return derivation_of(checked_equalities(text, verify, verifier_checks), problem, answer)


def checked_equalities(text: str, verify: Verify | None = None, verifier_checks: int = 0) -> list[Equality]:
    """The distinct stated equalities in order; those that the exact parser leaves open are given to the verifier.

    verify: asked about at most `verifier_checks` equalities between constants; its None, and every equality that
        may be one to solve, stay open.
    """
    equalities = []
    asked = 0
    for equality in stated_equalities(text):
        if equality.holds is None and verify is not None and asked < verifier_checks and _is_for_the_verifier(equality):
            asked += 1
            equality = replace(equality, holds=verify(equality.left, equality.right))
        equalities.append(equality)
    return equalities


def checks_of(text: str, verify: Verify | None = None, verifier_checks: int = 0) -> list[bool]:
    """One truth value for each of `checked_equalities` that could be checked."""
    return [found.holds for found in checked_equalities(text, verify, verifier_checks) if found.holds is not None]


def _is_for_the_verifier(equality: Equality) -> bool:
    """Constants only (a difference in variables may be an equation), and not a fragment."""
    both = equality.left + equality.right
    letters = both
    for command in ("\\frac", "\\sqrt", "\\binom", "\\pi"):
        letters = letters.replace(command, "")
    balanced = both.count("(") == both.count(")") and both.count("{") == both.count("}")
    return balanced and not any(character.isalpha() or character in "\\_|<>'" for character in letters)
