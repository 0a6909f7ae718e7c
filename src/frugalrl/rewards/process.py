"""The process reward: what share of the equalities a solution states does hold?

A light check of intermediate steps without a model, which the paper names as the missing piece. It sees
calculations, not reasons: a wrong plan carried out faultlessly earns it in full.
"""

from collections.abc import Callable, Sequence

from frugalrl.verify.steps.equalities import Equality, stated_equalities

Verify = Callable[[str, str], bool | None]
"""Whether two sides are equal, by a slower verifier; None if it cannot tell."""


def process_reward(checks: Sequence[bool], min_stated: int = 3, verifier_checks: int = 4) -> float | None:
    """The share of checked equalities that hold, in 0..1; None if fewer than `min_stated` could be checked.

    The gate keeps a policy from living off one safe equality, and None keeps it from being punished for
    prose. `verifier_checks` (how many equalities beyond exact arithmetic the verifier may be asked about,
    for each completion) is used by `checks_of`, and stands here because it is set together.
    Raises ValueError if `min_stated` is not positive or `verifier_checks` is negative.
    """
    if min_stated < 1:
        raise ValueError("min_stated must be at least 1")
    if verifier_checks < 0:
        raise ValueError("verifier_checks must not be negative")
    return sum(checks) / len(checks) if len(checks) >= min_stated else None


def checks_of(text: str, verify: Verify | None = None, verifier_checks: int = 0) -> list[bool]:
    """One truth value for each distinct stated equality that could be checked, in order of the text.

    verify: asked about at most `verifier_checks` equalities between constants that the exact parser cannot
        read; its None, and every equality that may be one to solve, are left out.
    """
    checks = []
    asked = 0
    for equality in stated_equalities(text):
        holds = equality.holds
        if holds is None and verify is not None and asked < verifier_checks and _is_for_the_verifier(equality):
            asked += 1
            holds = verify(equality.left, equality.right)
        if holds is not None:
            checks.append(holds)
    return checks


def _is_for_the_verifier(equality: Equality) -> bool:
    """Constants only (a difference in variables may be an equation), and not a fragment."""
    both = equality.left + equality.right
    letters = both
    for command in ("\\frac", "\\sqrt", "\\binom", "\\pi"):
        letters = letters.replace(command, "")
    balanced = both.count("(") == both.count(")") and both.count("{") == both.count("}")
    return balanced and not any(character.isalpha() or character in "\\_|<>'" for character in letters)
