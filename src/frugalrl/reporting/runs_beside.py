"""Several runs beside each other: what came of each, and where the time went. Records in, markup out."""

from collections.abc import Mapping, Sequence
from html import escape

from frugalrl.reporting import html_page as html
from frugalrl.reporting.console import duration
from frugalrl.reporting.figures import legend_key
from frugalrl.reporting.findings import accuracy, comparison, gain, progress, several_runs
from frugalrl.reporting.run_record import RunRecord
from frugalrl.reporting.seeds import Arm
from frugalrl.statistics import wording

_WORDS = {"good": "better", "bad": "worse", "unsure": "inconclusive"}
_BETWEEN = "Each interval is about its own run's problems; how much runs differ by their seed shows only between them."
_INTERVALS = "Base and final on the same problems. In brackets: 95 % intervals, clustered by problem."


def run_name(run: RunRecord, slot: int) -> str:
    """A run's name behind the mark of its line."""
    return f'<span class="named">{legend_key(slot)}{escape(run.label)}</span>'


def results_beside(runs: Sequence[RunRecord], arms: Sequence[Arm]) -> str:
    """The verdict of each arm, then a row for each run; what is said of each run in words is folded."""
    said = [_arm_finding([runs[at] for at in arm.runs], arm) for arm in arms]
    words = html.notes([f"{run.label}: {comparison(run).text}" for run in runs])
    together = _BETWEEN if any(arm.has_band for arm in arms) else several_runs(runs)
    rows = []
    for slot, arm in enumerate(arms):
        for run in (runs[at] for at in arm.runs):
            base, final = (run.summary.get(name) or {} for name in ("base", "final"))
            measured = [html.cell(*pair) for pair in (accuracy(base), accuracy(final), gain(run))]
            rows.append([run_name(run, slot), badge(run), *measured, *_details(final)])
    heads = ["run", "verdict", "base (avg@k)", "final (avg@k)", "difference", "tokens, final", "truncated, final"]
    table = html.html_table([*heads, "unknown, final"], rows, _INTERVALS)
    return html.section(
        "Did it help?",
        f'<div class="findings">{"".join(said)}</div>',
        html.paragraph(together) if together else "",
        table,
        html.folded("Each run in words", words) if len(runs) > 1 else "",
        html.notes([f"{run.label}: {note}" for run in runs for note in run.notes]),
    )


def badge(run: RunRecord) -> str:
    """The verdict on a run as a word with its colour."""
    found = comparison(run)
    word = _WORDS[found.kind] if run.summary.get("difference") else "not compared"
    return f'<span class="badge {found.kind if word != "not compared" else ""}">{word}</span>'


def _arm_finding(runs: Sequence[RunRecord], arm: Arm) -> str:
    if not arm.has_band:
        found = comparison(runs[0])
        return html.finding(f"{runs[0].label}: {found.text}", found.kind)
    kinds = [comparison(run).kind for run in runs if run.summary.get("difference")]
    head = (
        f"{len(runs)} seeds"
        if arm.label.startswith("mean of")
        else f"{arm.label.split(', mean of')[0]}, {len(runs)} seeds"
    )
    if not kinds:
        return html.finding(f"{head}: {comparison(runs[0]).text}", "unsure")
    gains = [float(run.summary["difference"]["value"]) for run in runs if run.summary.get("difference")]
    mean = sum(gains) / len(gains)
    counted = ", ".join(f"{kinds.count(kind)} {word}" for kind, word in _WORDS.items() if kind in kinds)
    spread = f"from {wording.signed_points(min(gains))} to {wording.signed_points(max(gains))}"
    kind = kinds[0] if len(set(kinds)) == 1 else "unsure"
    return html.finding(
        f"{head}: {counted}. The mean difference is {wording.signed_points(mean)} points, {spread}.", kind
    )


def _details(final: Mapping[str, object]) -> list[str]:
    tokens = final.get("mean_tokens")
    shares = [final.get(name) for name in ("truncated_frac", "unknown_frac")]
    return [
        f"{tokens:.0f}" if isinstance(tokens, int | float) else "–",
        *(f"{100 * one:.1f} %" if isinstance(one, int | float) else "–" for one in shares),
    ]


def how_far(runs: Sequence[RunRecord]) -> str:
    """How far the runs came: those that did not finish by name."""
    open_ones = [run for run in runs if not run.summary]
    if not open_ones:
        return f"All {len(runs)} runs finished."
    return " ".join([f"{len(runs) - len(open_ones)} of {len(runs)} runs finished.", *map(progress, open_ones)])


def times_beside(
    runs: Sequence[RunRecord], seconds: Sequence[Mapping[str, float]], usd: Sequence[str], slots: Sequence[int]
) -> str:
    """A row for each run, a column for each phase, the longest first; empty if no times are known."""
    totals: dict[str, float] = {}
    for own in seconds:
        for phase, value in own.items():
            totals[phase] = totals.get(phase, 0.0) + value
    phases = sorted(totals, key=lambda phase: -totals[phase])
    rows = [
        [
            run_name(run, slot),
            duration(sum(own.values())),
            cost,
            *(duration(own[phase]) if phase in own else "–" for phase in phases),
        ]
        for run, own, cost, slot in zip(runs, seconds, usd, slots, strict=True)
        if own
    ]
    return html.html_table(["run", "total", "cost", *phases], rows) if rows else ""
