"""Reads a run folder: what `frugalrl train` wrote, finished or not.

Decisions:
- A run that is still going, was killed, or never evaluated is a run: what is missing becomes a note in plain words.
- Only a folder that holds neither a recipe nor metrics is refused.
- Values that are not finite numbers are None.

Not covered: the weights, the checkpoints, and the records of single samples in `evaluations/`.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from frugalrl.config.loading import load_recipe
from frugalrl.config.schema import SftRecipe, TrainRecipe
from frugalrl.errors import DataError, RecipeError
from frugalrl.evaluation.ledger import read_ledger
from frugalrl.reporting.run_record import RunRecord, Values

_SUMMARY_KINDS: Mapping[str, type] = {
    "base": dict,
    "final": dict,
    "difference": dict,
    "solved_now": list,
    "contenders": list,
    "choice": list,
    "wall_seconds": dict,
    "versions": dict,
}
"""What these entries must be to be read further."""


def read_run(folder: Path, label: str) -> RunRecord:
    """Read a run folder. Raises DataError if it is none."""
    if not (folder / "recipe.yaml").is_file() and not (folder / "metrics.jsonl").is_file():
        raise DataError(
            f"{folder} is not a run folder: it has neither recipe.yaml nor metrics.jsonl. "
            "Name a folder that `frugalrl train` wrote, such as runs/quickstart."
        )
    notes: list[str] = []
    lines = list(_json_lines(folder / "metrics.jsonl", notes))
    numbered = [(int(line["step"]), _numbers(line)) for line in lines if isinstance(line.get("step"), int)]
    recipe_text = _text(folder / "recipe.yaml", notes)
    return RunRecord(
        label=label,
        recipe_text=recipe_text,
        recipe=_recipe(folder / "recipe.yaml", recipe_text, notes),
        steps=[one for one in numbered if not _is_evaluation(one[1])],
        evaluations=[one for one in numbered if _is_evaluation(one[1])],
        samples=list(_json_lines(folder / "samples.jsonl", notes)),
        summary=_summary(folder / "summary.json", notes),
        looks=read_ledger(folder),
        environment=_optional_object(folder / "environment.json", notes),
        guard=_optional_lines(folder / "guard.jsonl", notes),
        notes=notes,
        asked=_asked(folder / "evaluations"),
    )


def _asked(folder: Path) -> dict[str, Mapping[str, Any]]:
    """By split, the header of its evaluations; without those that cannot be read or state too little."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(folder.glob("*-step-*.jsonl")):
        with suppress(OSError, ValueError), path.open(encoding="utf-8") as file:
            header = json.loads(file.readline())
            if isinstance(header, dict) and {"temperature", "top_p", "max_completion_tokens"} <= header.keys():
                found[path.name.partition("-")[0]] = header
    return found


def _is_evaluation(values: Values) -> bool:
    return any(name.endswith("/avg_at_k") for name in values)


def _numbers(line: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in line.items() if name not in ("step", "unix_time")}


def _finite(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]  # a number


def _text(path: Path, notes: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        notes.append(f"{path.name} is missing.")
    except OSError as error:
        notes.append(f"{path.name} cannot be read: {error.strerror}.")
    return ""


def _json_lines(path: Path, notes: list[str]) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file; lines that are none are counted in a note (a run may be writing the last one)."""
    text = _text(path, notes)
    unreadable = 0
    for line in text.split("\n"):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            yield value
        else:
            unreadable += 1
    if unreadable:
        notes.append(f"{unreadable} line{'s' if unreadable > 1 else ''} of {path.name} could not be read.")


def _optional_lines(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    return list(_json_lines(path, notes)) if path.is_file() else []


def _optional_object(path: Path, notes: list[str]) -> Mapping[str, Any]:
    """The object of a JSON file that a run need not have."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(_text(path, notes))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        notes.append(f"{path.name} could not be read.")
        return {}
    return value


def _recipe(path: Path, text: str, notes: list[str]) -> Mapping[str, Any]:
    """The plain values of a training or fine-tuning recipe."""
    if not text:
        return {}
    for kind in (TrainRecipe, SftRecipe):
        try:
            return load_recipe(path, kind).model_dump(mode="json")
        except RecipeError:
            continue
    notes.append("recipe.yaml is not a recipe of this version; it is shown as it stands.")
    return {}


def _summary(path: Path, notes: list[str]) -> Mapping[str, Any]:
    if not path.is_file():
        notes.append("There is no summary.json: the run is still going, was stopped before its end, or is fine-tuning.")
        return {}
    value = _optional_object(path, notes)
    kept = {name: inner for name, inner in value.items() if isinstance(inner, _SUMMARY_KINDS.get(name, object))}
    wrong = [name for name in value if name not in kept and value[name] is not None]
    if wrong:
        notes.append(f"summary.json has {', '.join(wrong)} in a form that is not known here.")
    return kept
