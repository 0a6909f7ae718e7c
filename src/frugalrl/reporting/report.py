"""Reports: run folders in, one self-contained HTML file and a Markdown card beside it out.

Decisions:
- Both files or neither: each is written to a temporary file first, and both are renamed at the end.
- A file is replaced only if a report wrote it.

Not covered: uploading.
"""

import json
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from frugalrl.errors import OutputError
from frugalrl.files import partial_path
from frugalrl.reporting.html_page import GENERATOR
from frugalrl.reporting.pages import language
from frugalrl.reporting.paper_page import paper_card, paper_page
from frugalrl.reporting.run_card import run_card
from frugalrl.reporting.run_page import run_page
from frugalrl.reporting.run_reader import read_run
from frugalrl.reporting.run_samples import run_samples

_MARK_WITHIN = 4096
"""Characters at the beginning of a file in which a report names its maker."""


def report_runs(folders: Sequence[Path], out: Path) -> Path:
    """Write the report of one or several runs to `out` (.html), its card beside it (.md); returns the card's path.

    Raises DataError for a folder that is no run, OutputError for what cannot be written.
    """
    runs = [read_run(folder, label) for folder, label in zip(folders, _labels(folders), strict=True)]
    samples = run_samples(folders[0], language()) if len(runs) == 1 else None
    return _write(out, run_page(runs, samples), run_card(runs))


def report_paper(out: Path) -> Path:
    """Write the report on the published numbers of Open-RS as `report_runs` does; returns the card's path."""
    source = resources.files("frugalrl") / "assets" / "paper" / "open_rs.json"
    paper = json.loads(source.read_text(encoding="utf-8"))
    return _write(out, paper_page(paper), paper_card(paper))


def _labels(folders: Sequence[Path]) -> list[str]:
    """The folders' names, with as many parents as needed to make them unique."""
    resolved = [folder.resolve() for folder in folders]
    for depth in range(1, max(len(path.parts) for path in resolved) + 1):
        labels = ["/".join(path.parts[-depth:]) for path in resolved]
        if len(set(labels)) == len(labels):
            return labels
    raise OutputError("The same run folder is named twice. Name each once.")


def _write(out: Path, page: str, card: str) -> Path:
    if out.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"{out} does not end in .html. Name the page; its card gets the same name with .md.")
    card_path = out.with_suffix(".md")
    contents = {out: page, card_path: card}
    for path in contents:
        _refuse_foreign(path)
    scratch = {path: partial_path(path) for path in contents}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for path, text in contents.items():
            scratch[path].write_text(text, encoding="utf-8", errors="replace")
        for path in contents:
            os.replace(scratch[path], path)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}. Choose another place with --out.") from None
    finally:
        for path in scratch.values():
            path.unlink(missing_ok=True)
    return card_path


def _refuse_foreign(path: Path) -> None:
    """Raise OutputError if there is a file that no report wrote."""
    if not path.exists():
        return
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            ours = GENERATOR in file.read(_MARK_WITHIN)
    except OSError:
        ours = False
    if not ours:
        raise OutputError(f"{path} exists and is not a report. Choose another name with --out, or move it away.")
