"""Writes the pages of evaluations, comparisons and scored files: one HTML file each, that opens from a disk."""

from collections.abc import Sequence
from pathlib import Path

from frugalrl.errors import OutputError
from frugalrl.evaluation.results import read_results
from frugalrl.files import atomic_write
from frugalrl.reporting.evaluation_page import evaluation_page
from frugalrl.reporting.evaluation_samples import Evaluated, Language, language_of
from frugalrl.reporting.html_page import GENERATOR
from frugalrl.text.language_id import load_identifier

PAGE = "report.html"
_MARK_WITHIN = 4096


def write_page(path: Path, text: str) -> Path:
    """Write a page atomically; returns its path. Raises OutputError for a file that no page of ours was."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"{path} does not end in .html. Name the page so.")
    if path.exists():
        with path.open(encoding="utf-8", errors="replace") as file:
            if GENERATOR not in file.read(_MARK_WITHIN):
                raise OutputError(f"{path} exists and is not a report. Choose another name, or move it away.")
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "replace").decode("utf-8"))
    return path


def write_evaluation_page(
    path: Path,
    models: Sequence[Evaluated],
    remarks: Sequence[str] = (),
    opening: str = "",
    extra: str = "",
) -> Path:
    """The page of one or several models on benchmarks; arguments as for `evaluation_page`. Raises OutputError."""
    return write_page(path, evaluation_page(models, language(), remarks, opening, extra))


def language() -> Language:
    """Names other languages than English in completions."""
    return language_of(load_identifier())


def evaluated(name: str, files: Sequence[Path]) -> Evaluated:
    """A model's results files as one. Raises OutputError."""
    return Evaluated(name, tuple(one for file in files if (one := read_results(file)).samples))
