"""A GRPO recipe of TRL being read: which keys were taken, the defaults of its release, and a line for each."""

import contextlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from frugalrl.convert.report import Fate, KeyLine
from frugalrl.convert.trl_releases import default_of, history_of, release_named, releases_of
from frugalrl.errors import RecipeError


@dataclass(frozen=True)
class Circumstances:
    """What a recipe file does not say."""

    processes: int | None = None
    """Training processes it was started with, without the one that serves vLLM."""
    rows: int | None = None
    """Of the training data, to turn epochs into steps."""
    defaults: str | None = None
    """The version of TRL it ran on; None: told from its keys."""
    name: str = "converted"


class Reading:
    """A file being read: which keys were taken, and the line for each. A key without a value is a key left out."""

    def __init__(self, values: dict[str, Any], defaults: str | None) -> None:
        self.values = {key: value for key, value in values.items() if value is not None}
        self.releases = releases_of(values) if defaults is None else (release_named(defaults),)
        self.release = self.releases[-1]
        self.lines: list[KeyLine] = []
        self.taken: set[str] = values.keys() - self.values.keys()

    def take(self, key: str, where: str, fate: Fate = "translated", why: str = "") -> Any:
        """The value of a key, or its default of the time, with a line that says where it went."""
        self.taken.add(key)
        if key in self.values:
            text = f"{short(self.values[key])} -> {where}"
            self.lines.append(KeyLine(key, fate, f"{text}. {why}" if why else text))
            return self.values[key]
        default = default_of(key, self.release)
        if default is not None:
            self.say(key, *self._left_out(key, default, f"-> {where}. {why}" if why else f"-> {where}"))
        return default

    def _left_out(self, key: str, default: Any, where: str) -> tuple[Fate, str]:
        """A default that changed between the releases which the file may be of needs a look."""
        changed = history_of(key, self.releases)
        if not changed:
            return "added", f"not set, {short(default)} by default in TRL {self.release} {where}"
        return "changed", (
            f"not set, {short(default)} by default in TRL {self.release} {where}. It was {changed}; the file fits "
            f"{self.releases[0]} to {self.releases[-1]}: give --defaults with its version"
        )

    def optional(self, key: str, where: str, why: str = "", fate: Fate = "translated") -> Any:
        """The value of a key that may be left out without a word; None then."""
        if key not in self.values:
            self.taken.add(key)
            return None
        return self.take(key, where, fate, why)

    def number(self, key: str, where: str, why: str = "") -> float:
        """Like `take`, for a number. Raises RecipeError for anything else, or for a key without a default."""
        return as_number(key, self.take(key, where, why=why))

    def optional_number(self, key: str, where: str) -> float | None:
        """Like `optional`, for a number."""
        value = self.optional(key, where)
        return None if value is None else as_number(key, value)

    def count(self, key: str, where: str, least: int = 1) -> int:
        """Like `number`, for a whole one that is not below `least`."""
        found = _whole(key, self.number(key, where))
        if found < least:
            raise RecipeError(f"{key} is {found}, and the least that means anything is {least}.")
        return found

    def optional_count(self, key: str, where: str) -> int | None:
        """Like `optional`, for a whole number."""
        value = self.optional_number(key, where)
        return None if value is None else _whole(key, value)

    def peek_count(self, key: str, default: int | None = None) -> int:
        """The whole number that a key has or had by default, without a line."""
        value = self.values.get(key, default_of(key, self.release) if default is None else default)
        return _whole(key, as_number(key, value))

    def optional_mapping(self, key: str, where: str) -> Mapping[str, Any]:
        """Like `optional`, for a mapping, which may be JSON as text; empty if the key is left out."""
        value = self.optional(key, where)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = json.loads(value)
        if not isinstance(value, Mapping | None):
            raise RecipeError(f"{key} is {short(value)!r}, which is no mapping. Give names and values.")
        return value or {}

    def say(self, key: str, fate: Fate, text: str) -> None:
        self.taken.add(key)
        self.lines.append(KeyLine(key, fate, text))


def as_number(key: str, value: Any) -> float:
    """YAML reads `1e-6` as text; TRL reads it as a number, and so does this. Raises RecipeError for anything else."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise RecipeError(f"{key} is {short(value)!r}, which is no number. Give a number.")
    return found


def _whole(key: str, value: float) -> int:
    if value != int(value):
        raise RecipeError(f"{key} is {value:g}, which is no whole number. Give a whole number.")
    return int(value)


def as_list(value: Any) -> list[Any]:
    """One value as a list of one."""
    return value if isinstance(value, list) else [value]


def as_texts(value: Any) -> list[str]:
    return [str(one) for one in as_list(value)]


def short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
