"""What a check found: one record, however it is shown, and how a list of them reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["green", "yellow", "red"]
"""green: as it should be. yellow: the run can learn, and something is worth changing. red: do not start."""
_ORDER: Mapping[Level, int] = {"green": 0, "yellow": 1, "red": 2}


@dataclass(frozen=True)
class Finding:
    """One check and its outcome."""

    name: str
    """Subject and check, e.g. ``rewards/constant``; the same on every recipe."""
    level: Level
    message: str
    """What was seen, with its numbers, and why it matters."""
    fix: str = ""
    """The exact change: a ``--set``, a command, or a line of a file. Only a green finding has none."""

    def __post_init__(self) -> None:
        if self.level != "green" and not self.fix:
            raise ValueError(f"{self.name} is {self.level} and has no fix")


@dataclass(frozen=True)
class Examination:
    """Everything that was found about a recipe."""

    recipe: str
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def reds(self) -> tuple[Finding, ...]:
        """What keeps the run from starting."""
        return tuple(one for one in self.findings if one.level == "red")

    @property
    def yellows(self) -> tuple[Finding, ...]:
        """What is worth changing."""
        return tuple(one for one in self.findings if one.level == "yellow")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "recipe": self.recipe,
            "level": worst(self.findings),
            "seconds": round(self.seconds, 1),
            "findings": [asdict(one) for one in self.findings],
        }

    def to_text(self) -> str:
        """One line a check, each that is not green followed by its fix, and a last line that sums up."""
        counts = f"{len(self.findings)} checks in {self.seconds:.0f} s"
        return "\n".join([*finding_lines(self.findings), "", f"{self.recipe}: {counts}; {_sum(self)}"])


def worst(findings: Iterable[Finding]) -> Level:
    """The highest level among some findings; green if there are none."""
    return max((one.level for one in findings), key=_ORDER.__getitem__, default="green")


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """A line for each finding, in the order given, and a second one with the fix."""
    width = max((len(one.name) for one in findings), default=0)
    lines = []
    for one in findings:
        lines.append(f"{one.level:<6}  {one.name:<{width}}  {one.message}")
        if one.level != "green":
            lines.append(f"{'':<6}  {'':<{width}}  Fix: {one.fix}")
    return lines


def _sum(examination: Examination) -> str:
    reds, yellows = len(examination.reds), len(examination.yellows)
    if reds:
        return f"{reds} red: do not start this run"
    return f"nothing red, {yellows} yellow: it can start" if yellows else "all green"
