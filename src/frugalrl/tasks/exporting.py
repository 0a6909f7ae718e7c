"""A source of problems written as a folder for another tool: the Hub, TRL or verl."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from frugalrl.config.schema import ProblemSource, PromptSettings
from frugalrl.data.exports import data_card, plain_rows, trl_rows, verl_rows
from frugalrl.data.folders import splits_in
from frugalrl.data.tables import write_nested_parquet
from frugalrl.errors import OutputError
from frugalrl.files import atomic_write
from frugalrl.tasks.loading import load_problems
from frugalrl.types import Problem

Target = Literal["hub", "trl", "verl"]
_WHAT: dict[str, str] = {
    "hub": "Problems with answers that can be checked: `problem`, `answer`.",
    "trl": "Prompts for TRL's GRPO trainer: `prompt` is a conversation; `answer`, `solution` and "
    "`golds` reach rewards.",
    "verl": "Rows for verl: `prompt`, `reward_model.ground_truth`, `data_source`, `ability`, `extra_info`.",
}


def export_problems(
    source: ProblemSource, target: Target, out: Path, prompt: PromptSettings, say: Callable[[str], None]
) -> dict[str, int]:
    """Write every split of a source; returns the rows of each. Raises DataError and OutputError.

    source: a folder's splits are all written, of anything else the one that it names.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} is there already and is not empty. Choose another --out.")
    place = Path(source.source).expanduser()
    splits = splits_in(place) if place.is_dir() else []
    rows: dict[str, int] = {}
    files: dict[str, str] = {}
    for split in splits or [source.split]:
        problems = load_problems(source.model_copy(update={"split": split}), note=say)
        files[split] = f"{split}.parquet" if target == "verl" else f"data/{split}-00000-of-00001.parquet"
        write_nested_parquet(out / files[split], _rows(problems, target, prompt, place.name, split))
        rows[split] = len(problems)
    card = data_card(place.name.split(".")[0] or "problems", files, rows, _about(place, target))
    with atomic_write(out / "README.md") as file:
        file.write(card)
    return rows


def _rows(
    problems: list[Problem], target: Target, prompt: PromptSettings, name: str, split: str
) -> list[dict[str, Any]]:
    if target == "verl":
        return list(verl_rows(problems, prompt, name, split))
    return list(trl_rows(problems, prompt) if target == "trl" else plain_rows(problems))


def _about(place: Path, target: Target) -> str:
    """What the card says: what the rows are, and how a curated set came to be."""
    report = place / "report.md"
    told = f"\n\n{report.read_text(encoding='utf-8')}" if report.is_file() else ""
    return f"{_WHAT[target]} Written by `frugalrl export-data`.{told}"
