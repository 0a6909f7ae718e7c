"""When two numbers are the same answer: equal, or one the decimal that the other rounds to.

No tolerance, absolute or relative: a decimal is taken as rounded (or cut off) at its last digit, and has to be
what the other value gives there. It needs six significant digits in an answer (a third is 0.333333, not 0.333)
and three in a gold, whose author knew what was meant. A value that the decimal could have shown exactly has to
be shown exactly: 2.0000004 and 1.9999999 are not 2.
"""

from fractions import Fraction

from frugalrl.verify.maths.exact_numbers import ExactNumber

_MIN_DIGITS_OF_ANSWER = 6
"""As math-verify, which rounds to six decimals; here they are significant digits, so that 3e-7 is not 0."""
_MIN_DIGITS_OF_GOLD = 3


def same_number(answer: ExactNumber, gold: ExactNumber) -> bool:
    """Equal, equal but for a gold's percent sign, or one the decimal that the other rounds to."""
    if answer.value == gold.value:
        return True
    if gold.percent and not answer.percent and answer.value == gold.value * 100:
        return True
    if answer.significant_digits is None and gold.significant_digits is None:
        return False
    if answer.significant_digits is None:
        return _rounds_to(answer.value, gold, _MIN_DIGITS_OF_GOLD)
    if gold.significant_digits is None:
        return _rounds_to(gold.value, answer, _MIN_DIGITS_OF_ANSWER)
    coarse, fine = sorted((answer, gold), key=lambda number: number.unit_in_last_place or 0, reverse=True)
    return _rounds_to(fine.value, coarse, _MIN_DIGITS_OF_ANSWER)


def rounds_to_decimal(value: Fraction, answer: ExactNumber | None, gold: ExactNumber | None) -> bool:
    """Whether a value, known to many digits, rounds to whichever side is a decimal."""
    if answer is not None:
        return _rounds_to(value, answer, _MIN_DIGITS_OF_ANSWER)
    return gold is not None and _rounds_to(value, gold, _MIN_DIGITS_OF_GOLD)


def _rounds_to(value: Fraction, decimal: ExactNumber, min_digits: int) -> bool:
    place = decimal.unit_in_last_place
    if place is None or (decimal.significant_digits or 0) < min_digits or (value / place).denominator == 1:
        return False
    distance = abs(decimal.value - value)
    return distance <= place / 2 or (distance < place and abs(decimal.value) < abs(value))
