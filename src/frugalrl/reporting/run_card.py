"""A Markdown model card of one or several runs, to accompany the weights on a model hub.

Decisions: the card says what the page says, in the same sentences; texts of a model go into fenced blocks whose fence
is longer than any in the text.

Not covered: charts.
"""

import json
import re
from collections.abc import Mapping, Sequence

from frugalrl.reporting.findings import accuracy, comparison, gain, looks, overused_test, progress, several_runs
from frugalrl.reporting.html_page import GENERATOR
from frugalrl.reporting.run_record import RunRecord

_INTERVALS = "Intervals are 95 %, clustered by problem; the difference is paired by problem."


def run_card(runs: Sequence[RunRecord]) -> str:
    """The whole card."""
    name = str(runs[0].recipe.get("name", runs[0].label))
    base = runs[0].summary.get("model")
    front = ["library_name: transformers", "tags:", "- frugalrl", "- reasoning"]
    if not runs[0].is_fine_tuning:
        front.append("- grpo")
    if isinstance(base, str) and re.fullmatch(r"[\w.-]+/[\w.-]+", base):
        front.append(f"base_model: {json.dumps(base)}")
    lines = ["---", *front, "---", f"<!-- {GENERATOR} -->", "", f"# {plain(name)}", ""]
    description = runs[0].recipe.get("description")
    if description:
        lines += [plain(str(description)), ""]
    lines += ["## Did it help?", ""]
    lines += [f"- {plain(run.label)}: {plain(comparison(run).text)}" for run in runs]
    together = several_runs(runs)
    lines += ["", plain(together)] if together else []
    table = _table(runs)
    lines += ["", *table, "", _INTERVALS, ""] if table else [""]
    lines += ["## Training", "", *[f"- {plain(progress(run))}" for run in runs]]
    lines += [f"- {plain(sentence)}" for run in runs for sentence in [*looks(run), *overused_test(run), *run.notes]]
    for run in runs:
        lines += ["", *_made_with(run)]
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """Text on one line with Markdown and HTML escaped."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(text.split()))


def fenced(text: str, language: str = "") -> str:
    """A code block that no run of backticks in the text can close."""
    longest = max((len(ticks) for ticks in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _table(runs: Sequence[RunRecord]) -> list[str]:
    rows = []
    for run in runs:
        for name in ("base", "final"):
            score = run.summary.get(name)
            if isinstance(score, Mapping):
                where = f"{run.summary.get('split')}, n = {score.get('n')}, k = {score.get('k')}"
                rows.append(f"| {plain(run.label)} | {name} | {' '.join(accuracy(score))} | {plain(where)} |")
        if run.summary.get("difference"):
            rows.append(f"| {plain(run.label)} | difference | {' '.join(gain(run))} | |")
    return ["| run | model | accuracy (avg@k) | measured on |", "|---|---|---|---|", *rows] if rows else []


def _made_with(run: RunRecord) -> list[str]:
    versions = run.summary.get("versions")
    shown = ", ".join(f"{name} {value}" for name, value in versions.items()) if isinstance(versions, Mapping) else ""
    return [
        f"## Recipe of {plain(run.label)}",
        "",
        plain(f"Seed {run.recipe.get('seed', 'unknown')}. Versions: {shown or 'not recorded until a run ends'}."),
        "",
        fenced(run.recipe_text, "yaml") if run.recipe_text else "The recipe is missing.",
    ]
