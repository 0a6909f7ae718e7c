"""Logs of other evaluation tools, in and out, as functions: what `frugalrl import` and `frugalrl export` do."""

from pathlib import Path

from frugalrl.errors import OutputError
from frugalrl.results import EvaluateResult


def import_log(log: str | Path, out: str | Path) -> EvaluateResult:
    """The tasks of a log as results files in a folder, with their scores and a page.

    log: an inspect_ai ``.eval`` or ``.json``, or the folder that lm_eval or lighteval wrote. Raises UserError.
    """
    from frugalrl.evaluation.foreign_logs import import_log as read
    from frugalrl.evaluation.results import results_path, write_whole
    from frugalrl.reporting.evaluation_page import score_of_results
    from frugalrl.reporting.evaluation_samples import Evaluated
    from frugalrl.reporting.evaluation_text import remarks, scores_table
    from frugalrl.reporting.pages import PAGE, write_evaluation_page

    folder, found = Path(out), read(Path(log))
    files = [results_path(folder, one.results.header.benchmark) for one in found]
    if len(set(files)) < len(files):
        raise OutputError(f"{log} holds several logs of one task. Import one file at a time, each to its own folder.")
    taken = next((file for file in files if file.exists()), None)
    if taken is not None:
        raise OutputError(f"{taken} exists. Choose another folder with --out, or remove it.")
    for file, one in zip(files, found, strict=True):
        write_whole(file, one.results)
    scores = tuple((one.results.header.benchmark, score_of_results(one.results)) for one in found)
    notes = [f"{one.results.header.benchmark}: {note}." for one in found for note in one.notes]
    names = dict.fromkeys(one.results.header.model for one in found)
    said = [*notes, *(line for name, score in scores for line in remarks(name, score))]
    page = write_evaluation_page(
        folder / PAGE, [Evaluated(", ".join(names), tuple(one.results for one in found))], said
    )
    text = "\n".join([scores_table(scores), *notes])
    return EvaluateResult(folder, ", ".join(names), scores, text, page)


def export_logs(results: str | Path, out: str | Path) -> tuple[Path, ...]:
    """Each results file as a log of inspect_ai in a folder. Raises UserError."""
    import json
    from datetime import UTC, datetime

    from frugalrl.evaluation.inspect_export import inspect_log
    from frugalrl.evaluation.regrading import results_files
    from frugalrl.evaluation.results import read_results
    from frugalrl.files import atomic_write

    written = []
    for file in results_files(Path(results)):
        found, path = read_results(file), Path(out) / f"{file.stem}.json"
        if not found.samples:
            raise OutputError(f"{file} holds no sample yet. Evaluate first.")
        with atomic_write(path) as log:
            log.write(json.dumps(inspect_log(found, datetime.now(UTC).isoformat(timespec="seconds")), default=str))
        written.append(path)
    return tuple(written)
