"""`frugalrl meter FILE`: language and degeneracy of stored completions.

One summary to standard output, the worst rows listed; the meter itself is `text/meter.py`.
"""

import argparse
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frugalrl.commands.running import show
from frugalrl.data.columns import conversation
from frugalrl.errors import DataError

if TYPE_CHECKING:
    from frugalrl.text.meter import TextReport

_COMPLETION_FIELDS = ("completion", "prediction", "response", "output", "generation")


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "meter",
        help="language and degeneracy of stored completions",
        description="Read completions from a .jsonl or .parquet file (.gz too) and say how many are in another "
        "language, repeat themselves, hold unprintable characters, leave their reasoning open, or are truncated.",
    )
    parser.add_argument(
        "file", type=Path, help="rows with `completion` or `prediction`, or a results file of `frugalrl eval`"
    )
    parser.add_argument("--field", help="column of the completion, if it has another name")
    parser.add_argument("--target-language", type=_language, default="en", help="ISO 639-1 code (default: en)")
    parser.add_argument("--show", type=int, default=5, help="rows with an alarm to list (default: 5)")
    parser.set_defaults(func=run)


def _language(text: str) -> str:
    from frugalrl.text.language import language_code

    try:
        return language_code(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(arguments: argparse.Namespace) -> int:
    """Print the summary. Raises DataError for a file or row that cannot be read."""
    from frugalrl.evaluation.completion_rows import completion_rows
    from frugalrl.text.language_id import load_identifier
    from frugalrl.text.meter import meter_text
    from frugalrl.text.reasoning import prefills_think

    identify = load_identifier()
    reports = []
    for where, row in completion_rows(arguments.file):
        text = _completion_text(row, arguments.field, where)
        reasoning_open = isinstance(row.get("prompt"), str) and prefills_think(row["prompt"])
        truncated = row.get("finish_reason") == "length" or row.get("truncated") is True
        reports.append(meter_text(text, identify, reasoning_open, truncated, arguments.target_language))
    show(summary(reports, arguments.show))
    return 0


def summary(reports: "Sequence[TextReport]", show: int) -> str:
    """The printed text: metrics, scripts, alarms by kind, and the first `show` rows with an alarm."""
    from frugalrl.text.meter import meter_metrics

    lines = [f"{len(reports)} completions"]
    for name, value in meter_metrics(reports).items():
        lines.append(f"  {name:<32} {'nothing to judge' if math.isnan(value) else f'{value:.4f}'}")
    lines.append(f"scripts: {_script_mix(reports) or 'no letters'}")
    alarms = Counter(alarm for report in reports for alarm in report.alarms).most_common()
    lines.append("alarms: " + (", ".join(f"{alarm} {count}" for alarm, count in alarms) or "none"))
    ringing = [(number, report) for number, report in enumerate(reports, start=1) if report.alarms]
    lines += [f"  row {number}: {_what(report)}" for number, report in ringing[:show]]
    return "\n".join(lines)


def _script_mix(reports: "Sequence[TextReport]") -> str:
    """Each script's mean share of the letters of a completion, the largest first."""
    from frugalrl.text.scripts import SCRIPTS

    mean = {
        script: sum(report.script_fractions.get(script, 0.0) for report in reports) / len(reports) for script in SCRIPTS
    }
    ordered = sorted(mean.items(), key=lambda item: -item[1])
    return ", ".join(f"{script} {share:.2%}" for script, share in ordered if share)


def _what(report: "TextReport") -> str:
    found = ", ".join(report.alarms)
    return f"{found}: {report.foreign_sentences[0][:80]!r}" if report.foreign_sentences else found


def _completion_text(row: Mapping[str, Any], field: str | None, where: str) -> str:
    for name in (field,) if field else _COMPLETION_FIELDS:
        value = row.get(name)
        messages = conversation(value)
        value = value if messages is None else messages[-1]["content"]
        if isinstance(value, str):
            return value
    expected = repr(field) if field else " or ".join(_COMPLETION_FIELDS[:2])
    raise DataError(f"{where} has no text in {expected} (columns: {', '.join(row)}). Name the column with --field.")
