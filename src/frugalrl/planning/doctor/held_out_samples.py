"""Golds that can be read and are wrong: of a held-out file whose answers were shifted by a row, or are off by one.

Nothing in the golds says so; the model does. Where most samples of a problem agree they are usually right: seen on the
training problems, drawn in the same way. Pure: scored groups in, a finding out.
"""

from collections import Counter
from collections.abc import Sequence

from frugalrl.planning.doctor.finding import Finding
from frugalrl.planning.doctor.sampling_checks import same_answer
from frugalrl.types import Problem, ScoredGroup

PROBLEMS, SAMPLES = 24, 4
"""Of each split."""
_AGREE = 3
"""Of the samples of a problem, with one answer."""
_FEWEST = 4
"""Problems in which samples agree, below which nothing is said."""
_USUALLY_RIGHT, _HARDLY_RIGHT = 0.5, 0.15
_ROWS = (1, -1, 2, -2)


def held_out_golds(
    split: str, train: Sequence[ScoredGroup], held_out: Sequence[ScoredGroup], problems: Sequence[Problem]
) -> Finding:
    """problems: all of the split, in the order of their file."""
    name = f"sampling/{split}"
    own, others = _agreed(held_out), _agreed(train)
    right, trained = sum(is_right for _, _, is_right in own), sum(is_right for _, _, is_right in others)
    seen = f"where samples agree they have the gold in {right} of {len(own)} {split} problems"
    usual = f"in {trained} of {len(others)} training problems"
    if min(len(own), len(others)) < _FEWEST or trained < _USUALLY_RIGHT * len(others):
        return Finding(name, "green", f"{seen}, {usual}: too few to judge golds by")
    if right > _HARDLY_RIGHT * len(own):
        return Finding(name, "green", f"{seen}, {usual}")
    shift, matches = max(((rows, _shifted(own, problems, rows)) for rows in _ROWS), key=lambda one: one[1])
    if matches > len(own) / 2:
        where = f"{abs(shift)} row{'s' * (abs(shift) > 1)} {'further down' if shift > 0 else 'further up'}"
        why = f"{matches} times the answer is the gold {where}: the golds of {split} are shifted"
    else:
        why = "; ".join(f"{answer!r}, gold {group.prompt.problem.gold!r}" for group, answer, _ in own[:3])
        why = f"the golds of {split} are likely wrong ({why})"
    fix = f"Correct the answers in the file of data.{split}, or --set data.{split}.answer_field=COLUMN"
    return Finding(name, "red", f"{seen[0].upper()}{seen[1:]}, {usual}; {why}.", fix)


def _agreed(groups: Sequence[ScoredGroup]) -> list[tuple[ScoredGroup, str, bool]]:
    """Groups whose samples agree, with the answer, and whether it is judged correct."""
    found = []
    for group in groups:
        answers = Counter(one.verdict.extracted for one in group.completions if one.verdict.extracted)
        answer, times = answers.most_common(1)[0] if answers else ("", 0)
        if times >= _AGREE:
            verdicts = [one.verdict.label for one in group.completions if one.verdict.extracted == answer]
            found.append((group, answer, "correct" in verdicts))
    return found


def _shifted(agreed: Sequence[tuple[ScoredGroup, str, bool]], problems: Sequence[Problem], rows: int) -> int:
    """How many answers are the gold so many rows further down."""
    place = {problem.text: at for at, problem in enumerate(problems)}
    others = [(answer, place[group.prompt.problem.text] + rows) for group, answer, _ in agreed]
    return sum(same_answer(answer, problems[at].accepted) for answer, at in others if 0 <= at < len(problems))
