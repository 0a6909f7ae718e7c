"""What became of each key of a foreign recipe, and the text that says so."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Fate = Literal["translated", "changed", "added", "dropped", "missing", "unknown"]
_HEADINGS: Mapping[Fate, str] = {
    "translated": "Translated",
    "changed": "Translated, and the meaning needs a look",
    "added": "Added: not in the file, or left to a default there",
    "dropped": "Not needed here",
    "missing": "Not translated, and it changes what is learned",
    "unknown": "Unknown keys, which are no key of TRL or open-r1 either",
}


@dataclass(frozen=True)
class KeyLine:
    """One key and what became of it."""

    key: str
    fate: Fate
    text: str
    """Where its value went, or why it went nowhere and what to write instead."""


@dataclass(frozen=True)
class Converted:
    """A recipe of ours and the account of how it was made."""

    values: Mapping[str, Any]
    lines: tuple[KeyLine, ...]

    @property
    def losses(self) -> int:
        """How many keys change what is learned and could not be translated."""
        return sum(line.fate in ("missing", "unknown") for line in self.lines)


def account(lines: Sequence[KeyLine], width: int = 80) -> str:
    """The text: what became of each key, the important parts last."""
    parts = []
    for fate, heading in _HEADINGS.items():
        chosen = [line for line in lines if line.fate == fate]
        if chosen:
            parts.append("\n".join([f"{heading} ({len(chosen)}):", *(_wrapped(line, width) for line in chosen)]))
    return "\n\n".join(parts)


def _wrapped(line: KeyLine, width: int) -> str:
    return textwrap.fill(
        f"{line.key}: {line.text}", width, initial_indent="  ", subsequent_indent="      ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def comments(lines: Sequence[KeyLine]) -> str:
    """The same as comments at the head of a recipe, without what went without saying."""
    kept = [line for line in lines if line.fate not in ("translated", "dropped")]
    return "".join(f"# {row.strip()}\n" for line in kept for row in _wrapped(line, 116).split("\n"))
