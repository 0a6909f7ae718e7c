"""Duplicates and their gold answers: keep the best member of a group, or drop a group whose golds disagree.

The caller decides whether two golds are equivalent (`equivalent`, in practice the verifier), so that 0.5 and 1/2 agree.
A choice ("B") is looked up in its problem's options before it is compared with a written answer. An empty gold neither
conflicts nor is kept if another member has a gold.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from frugalrl.data.answer_options import options_start
from frugalrl.data.same_answer import answer_key

Decision = Literal["merge", "conflict"]
Equivalent = Callable[[str, str], bool]
_LETTER = re.compile(r"\W*(?:\\(?:text|textbf|mathrm|mathbf)\s*\{+)?\W*([A-E])\W*")
_LETTER_AND_VALUE = re.compile(
    r"\s*(?:\\(?:text|textbf|mathrm|mathbf)\s*\{+)?\s*\(?\s*([A-E])\s*[).:]\}*(?:\\[ ,;:!]|\\q*uad|~)*\s*(\S.*)"
)
_RATIO = re.compile(r"\$?\s*(\d+)\s*:\s*(\d+)\s*\$?")
_WRAPPING = r"(?:\\(?:text|textbf|textrm|mathrm|mathbf|rm|bf)\s*\{{?\s*)*\(?\s*{0}\s*[).:]\s*\}}*"


@dataclass(frozen=True)
class Member:
    """One problem of a group of duplicates."""

    text: str
    gold: str
    has_solution: bool = False


@dataclass(frozen=True)
class GroupDecision:
    """What to do with a group of duplicates."""

    decision: Decision
    kept: int | None
    """Position of the member to keep; None in a conflict."""
    disagreeing: tuple[str, str] | None
    """The first two golds that are not equivalent, in a conflict."""
    why: str


def decide_group(members: Sequence[Member], equivalent: Equivalent) -> GroupDecision:
    """Merge a group whose golds are all equivalent, or report the first two that are not.

    Kept is the best member: with a gold, then with a solution, then not multiple choice, then the longest text (it says
    most), then the first in order. members: at least two, in pool order. Raises ValueError for fewer.
    """
    if len(members) < 2:
        raise ValueError("a group of duplicates has at least two members")
    known = [position for position, member in enumerate(members) if member.gold.strip()]
    for at, first in enumerate(known):
        for second in known[at + 1 :]:
            if not _agree(members[first], members[second], equivalent):
                pair = (members[first].gold, members[second].gold)
                return GroupDecision("conflict", None, pair, f"golds differ: {pair[0]} / {pair[1]}")
    kept = max(range(len(members)), key=lambda position: _rank(members[position], position))
    return GroupDecision("merge", kept, None, f"{len(members)} duplicates with equivalent golds")


def decide_groups(
    groups: Sequence[Sequence[int]], members: Sequence[Member], equivalent: Equivalent
) -> list[GroupDecision]:
    """A decision for each group of positions in `members`, in order; `kept` counts within the group."""
    return [decide_group([members[position] for position in group], equivalent) for group in groups]


def option_values(text: str) -> dict[str, str]:
    """The text of each option, A to E: ``{"A": "12", ...}``; empty without options."""
    start = options_start(text)
    if start is None:
        return {}
    values: dict[str, str] = {}
    at, letters = start, "ABCDE"
    marks: list[tuple[str, int, int]] = []
    for letter in letters:
        found = re.compile(_WRAPPING.format(letter)).search(text, at)
        if found is None:
            break
        marks.append((letter, *found.span()))
        at = found.end()
    for (letter, _, begin), (_, end, _) in zip(marks, [*marks[1:], ("", len(text), 0)], strict=True):
        values[letter] = _bare(text[begin:end])
    return values


def _agree(one: Member, other: Member, equivalent: Equivalent) -> bool:
    if one.gold.strip() == other.gold.strip() or equivalent(one.gold, other.gold):
        return True
    if answer_key(one.gold) and answer_key(one.gold) == answer_key(other.gold):
        return True
    ours, theirs = _spellings(one), _spellings(other)
    both_letters = _LETTER.fullmatch(one.gold) and _LETTER.fullmatch(other.gold)
    if both_letters and (len(ours) == 1 or len(theirs) == 1):
        return False  # two different letters, and no options to look them up in
    return any(equivalent(left, right) for left in ours for right in theirs if left != one.gold or right != other.gold)


def _spellings(member: Member) -> list[str]:
    """A gold and, if it is a choice, the text of the choice; a ratio (12:13) is a fraction too."""
    gold = member.gold.strip()
    letter = _LETTER.fullmatch(gold)
    if letter:
        value = option_values(member.text).get(letter[1])
        return [gold, value] if value else [gold]
    ratio = _RATIO.fullmatch(gold)
    if ratio:
        return [gold, f"\\frac{{{ratio[1]}}}{{{ratio[2]}}}"]
    written_out = _LETTER_AND_VALUE.fullmatch(gold)
    return [gold, _bare(written_out[2])] if written_out else [gold]


def _rank(member: Member, position: int) -> tuple[bool, bool, bool, int, int]:
    return (
        bool(member.gold.strip()),
        member.has_solution,
        options_start(member.text) is None,
        len(member.text),
        -position,
    )


def _bare(value: str) -> str:
    """An option's value without the spacing and the dollar signs around it."""
    value = re.sub(r"\\q*uad\b|\\(?:newline|hspace\*?\{[^{}]*\})|\\\\", " ", value).strip()
    value = re.sub(r"^(?:\\[ ,;:!]|[\s~.,:;])+|(?:\\[ ,;:!]|[\s~.,;\\])+$", "", value)
    return value.strip("$ ") if value.count("$") in (1, 2) else value
