"""The page of one or several runs: records in, HTML out.

Decisions:
- The answer comes first (better, worse, inconclusive), then accuracy, then how training went, then samples.
- Several runs are overlaid in every chart, distinguished by colour, dash and marker; single steps are drawn only
  where one run is shown, since several would cover each other.
- Best and worst samples are of the last logged steps, one of each problem: what the model does now.

The choice of the kept model and the facts of the machine are in `run_facts`.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from frugalrl.reporting import html_page as html
from frugalrl.reporting import page_assets
from frugalrl.reporting.console import duration, percent
from frugalrl.reporting.figures import Point, Series, chart_numbers, legend, line_chart, running_mean, share_bar
from frugalrl.reporting.findings import SPLITS, accuracy, comparison, gain, looks, overused_test, progress
from frugalrl.reporting.mathml import mathml
from frugalrl.reporting.run_facts import choice, guard_events, provenance
from frugalrl.reporting.run_published import beside_published
from frugalrl.reporting.run_record import RunRecord
from frugalrl.reporting.runs_beside import how_far, results_beside, times_beside
from frugalrl.reporting.sample_browser import Samples, sample_browser
from frugalrl.reporting.seeds import Arm, arms, drawn

_CHARTS = (
    ("reward/mean", "Reward", "mean of the step's completions; should rise", False),
    ("verdict/correct_frac", "Correct in training", "share of sampled completions, at the training temperature", True),
    ("completion/mean_tokens", "Completion length", "mean tokens; a rise towards the cap announces truncation", False),
    ("completion/truncated_frac", "Truncated", "share of completions cut at the cap", True),
    ("policy/kl", "KL from the reference", "nats per token; a sudden jump is alarming", False),
    ("meter/foreign_completion_frac", "Other languages", "share of completions with a sentence in one", True),
    ("meter/repeated_frac", "Repetition", "share of text that repeats itself; a rise announces loops", True),
    ("completion/cap_tokens", "Cap on completions", "tokens, where a length schedule moves it", False),
    ("cost/usd", "Cost", "dollars so far, at the recipe's price of the machine", False),
    ("policy/entropy", "Entropy", "nats per token; a fast fall to 0 ends exploration", False),
    ("group/zero_std_frac", "Groups without a learning signal", "share of groups whose rewards are all equal", True),
    ("policy/grad_norm", "Gradient norm", "before clipping", False),
    ("loss/sft", "Loss", "fine-tuning, nats per token", False),
)
_MARK = {"correct": "✓ correct", "incorrect": "✗ incorrect", "unknown": "? unknown"}
_INTERVALS = "Base and final on the same problems. In brackets: 95 % intervals, clustered by problem."
_LAST_SAMPLES = 20
_SHOWN_SAMPLES = 3


def run_page(runs: Sequence[RunRecord], samples: Samples | None = None, is_followed: bool = False) -> str:
    """The whole document.

    samples: every kept one, to be filtered and read; None shows the best and worst only. is_followed: see
    `html_page.page`.
    """
    names = [str(run.recipe.get("name", run.label)) for run in runs]
    several = len(runs) > 1
    title = f"{len(runs)} runs of {', '.join(dict.fromkeys(names))}" if several else f"Run {runs[0].label}"
    descriptions = dict.fromkeys(str(run.recipe.get("description") or "").rstrip(".") for run in runs)
    about = [f"{next(iter(descriptions))}." if len(descriptions) == 1 and any(descriptions) else ""]
    lead = " ".join([*about, how_far(runs) if several else progress(runs[0])])
    found = arms([run.recipe for run in runs], [run.label for run in runs])
    parts = [
        legend([arm.label for arm in found], pinned=True) if several else "",
        results_beside(runs, found) if several else _result(runs[0]),
        choice(runs),
        _accuracy(runs, found),
        _training(runs, found),
        beside_published(runs),
        guard_events(runs),
        _time(runs, found),
        _samples(runs),
        sample_browser(samples, mathml) if samples is not None else "",
        provenance(runs),
    ]
    return html.page(title, lead.strip(), parts, page_assets.style(), page_assets.scripts(is_followed), is_followed)


# --------------------------------------------------------------------------------------------------- results


def _result(run: RunRecord) -> str:
    found = comparison(run)
    return html.section(
        "Did it help?", html.finding(found.text, found.kind), _scores_of_one(run), html.notes(list(run.notes))
    )


def _scores_of_one(run: RunRecord) -> str:
    scores = [(name, run.summary.get(name)) for name in ("base", "final")]
    rows = [[name, *_score_cells(score)] for name, score in scores if isinstance(score, Mapping)]
    if run.summary.get("difference"):
        rows.append(["difference", html.cell(*gain(run)), "", "", "", ""])
    heads = ["model", "accuracy (avg@k)", "any of k right", "mean tokens", "truncated", "unknown"]
    return html.html_table(heads, rows, _INTERVALS) if rows else ""


def _score_cells(score: Mapping[str, Any]) -> list[str]:
    names = ("pass_at_k", "mean_tokens", "truncated_frac", "unknown_frac")
    found = [value if isinstance(value := score.get(name), int | float) else None for name in names]
    pass_at_k, tokens, truncated, unknown = found
    return [
        html.cell(*accuracy(score)),
        "–" if pass_at_k is None else percent(pass_at_k),
        "–" if tokens is None else f"{tokens:.0f}",
        _share(truncated),
        _share(unknown),
    ]


def _share(value: float | None) -> str:
    """A share in percent; a dash where a run of an older version did not keep it."""
    return "–" if value is None else f"{100 * value:.1f} %"


def _accuracy(runs: Sequence[RunRecord], found: Sequence[Arm]) -> str:
    figures = []
    for split in SPLITS:
        own = {at: Series(run.label, points, at) for at, run in enumerate(runs) if (points := _evaluated(run, split))}
        if any(len(one.points) > 2 for one in own.values()):
            chart = _chart(f"{split} accuracy", *drawn(found, own), is_share=True)
            figures.append(html.figure(f"Accuracy on {split}", _accuracy_remark(found), chart))
    rows = [
        _evaluation_row(run.label if len(runs) > 1 else "", split, step, values)
        for run in runs
        for step, values in run.evaluations
        for split in SPLITS
        if f"{split}/avg_at_k" in values
    ]
    sentences = html.notes([sentence for run in runs for sentence in looks(run)])
    if not rows:
        return html.section("Accuracy by step", html.paragraph("No evaluation is logged."))
    warnings = "".join(html.finding(sentence, "bad") for run in runs for sentence in overused_test(run))
    table = html.html_table(["evaluation", "step", "accuracy", "mean tokens", "truncated", "unknown"], rows)
    listed = html.folded("Every evaluation, as a table", sentences, table)
    return html.section("Accuracy by step", warnings, html.charts(figures) if figures else "", listed)


def _accuracy_remark(found: Sequence[Arm]) -> str:
    bands = [arm.has_band for arm in found]
    if not any(bands):
        return "band and whiskers: 95 % interval, clustered by problem; step 0 is the base"
    return "thin lines: single seeds" + ("; step 0 is the base" if all(bands) else "; whiskers: 95 % interval")


def _chart(heading: str, lines: Sequence[Series], rows: Sequence[Series], is_share: bool) -> str:
    return line_chart(heading, lines, percent=is_share) + chart_numbers(rows, percent=is_share)


def _evaluated(run: RunRecord, split: str) -> list[Point]:
    names = [f"{split}/{name}" for name in ("avg_at_k", "ci_low", "ci_high")]
    return [
        Point(step, *(values.get(name) for name in names)) for step, values in run.evaluations if names[0] in values
    ]


def _evaluation_row(label: str, split: str, step: int, values: Mapping[str, float | None]) -> list[str]:
    tokens, shares = values.get(f"{split}/mean_tokens"), ("truncated_frac", "unknown_frac")
    return [
        escape(f"{label} {split}".strip()),
        str(step),
        html.cell(*accuracy(values, f"{split}/")),
        "–" if tokens is None else f"{tokens:.0f}",
        *(_share(values.get(f"{split}/{name}")) for name in shares),
    ]


# -------------------------------------------------------------------------------------------------- training


def _training(runs: Sequence[RunRecord], found: Sequence[Arm]) -> str:
    if not any(run.steps for run in runs):
        return html.section("How training went", html.paragraph("No training step is logged yet."))
    window = max(1, max(len(run.steps) for run in runs) // 20)
    figures, absent = [], []
    for name, heading, remark, is_share in _CHARTS:
        own = {at: _smoothed(run, name, at, window, len(runs) == 1) for at, run in enumerate(runs)}
        own = {at: one for at, one in own.items() if any(point.y is not None for point in one.points)}
        if own:
            chart = _chart(heading, *drawn(found, own), is_share=is_share)
            figures.append(html.figure(heading, f"{name}: {remark}", chart))
        elif name == "policy/kl" and not all(run.is_fine_tuning for run in runs):
            absent.append("No KL is logged: the recipe holds no reference model (kl_coef is 0).")
    thin = "thin lines are single steps" if len(runs) == 1 else "thin lines are single seeds"
    has_thin = any(arm.has_band for arm in found) or (len(runs) == 1 and window > 1)
    means = f"Lines are running means of {window} steps" if window > 1 else "A point for every step"
    said = html.paragraph(f"{means}{'; ' + thin if has_thin else ''}.")
    return html.section("How training went", said, html.charts(figures), html.notes(absent))


def _smoothed(run: RunRecord, name: str, slot: int, window: int, with_single_steps: bool) -> Series:
    points = [Point(step, values[name]) for step, values in run.steps if name in values]
    faint = points if with_single_steps and window > 1 else ()
    return Series(run.label, running_mean(points, window), slot, faint)


def _time(runs: Sequence[RunRecord], found: Sequence[Arm]) -> str:
    seconds = [_seconds(run) for run in runs]
    if not any(seconds):
        return html.section("Time and cost", html.paragraph("No times are logged."))
    unfinished = [run.label for run in runs if run.steps and not run.summary]
    remarks = [f"Training steps only, for runs that have not finished: {', '.join(unfinished)}."] if unfinished else []
    if not any(_price(run) for run in runs):
        remarks.append("No cost is known: the recipe has no budget.usd_per_hour.")
    said = html.paragraph(" ".join(remarks)) if remarks else ""
    if len(runs) == 1:
        return html.section("Time and cost", said, _times_of_one(runs[0], seconds[0]))
    slots = {at: slot for slot, arm in enumerate(found) for at in arm.runs}
    usd = [_usd(run, sum(own.values())) for run, own in zip(runs, seconds, strict=True)]
    return html.section("Time and cost", said, times_beside(runs, seconds, usd, [slots[at] for at in range(len(runs))]))


def _times_of_one(run: RunRecord, seconds: Mapping[str, float]) -> str:
    total = sum(seconds.values())
    rows = [
        [escape(phase), duration(value), percent(share), share_bar(share), _usd(run, value)]
        for phase, value in sorted(seconds.items(), key=lambda one: -one[1])
        for share in [value / total if total else 0.0]
    ]
    rows.append(["total", duration(total), "", "", _usd(run, total)])
    return html.html_table(["phase", "time", "share", "", "cost"], rows)


def _price(run: RunRecord) -> float | None:
    """Of the machine, dollars per hour, if the recipe says."""
    budget = run.recipe.get("budget")
    price = budget.get("usd_per_hour") if isinstance(budget, Mapping) else None
    return float(price) if isinstance(price, int | float) else None


def _usd(run: RunRecord, seconds: float) -> str:
    price = _price(run)
    return "–" if price is None else f"${price * seconds / 3600:.2f}"


def _seconds(run: RunRecord) -> dict[str, float]:
    """By phase: the summary's, which counts everything, or else the sum over the logged steps."""
    known = run.summary.get("wall_seconds")
    if isinstance(known, Mapping):
        return {str(phase): float(value) for phase, value in known.items() if _is_phase(phase, value)}
    sums: dict[str, float] = {}
    for _, values in run.steps:
        for name, value in values.items():
            if name.startswith("time/") and value is not None:
                sums[name.removeprefix("time/")] = sums.get(name.removeprefix("time/"), 0.0) + value
    return sums


def _is_phase(phase: str, value: object) -> bool:
    return phase != "total" and isinstance(value, int | float)


# --------------------------------------------------------------------------------------------------- samples


def _samples(runs: Sequence[RunRecord]) -> str:
    """The best and the worst of each run; of several runs folded."""
    parts = [_samples_of(run) for run in runs]
    if len(runs) > 1:
        parts = [html.folded(escape(run.label), own) for run, own in zip(runs, parts, strict=True)]
    return html.section("Best and worst samples", *parts)


def _samples_of(run: RunRecord) -> str:
    best, worst = best_and_worst(run.samples)
    solved = [one for one in run.summary.get("solved_now") or [] if isinstance(one, Mapping)]
    parts = []
    if best:
        steps = [sample.get("step") for sample in run.samples[-_LAST_SAMPLES:]]
        parts.append(html.paragraph(f"From the first group of each of steps {steps[0]} to {steps[-1]}, as sampled."))
        parts += ["<h3>Best rewards</h3>", *map(_sample, best), "<h3>Worst rewards</h3>", *map(_sample, worst)]
    else:
        parts.append(html.paragraph("No samples are logged."))
    if solved:
        parts.append("<h3>Solved now, not before</h3>")
        parts += [
            html.folded(
                escape(f"{one.get('problem')} (answer {one.get('gold')})"),
                "<p>Base:</p>" + html.preformatted(str(one.get("before"))),
                "<p>Trained:</p>" + html.preformatted(str(one.get("after"))),
            )
            for one in solved
        ]
    return "".join(parts)


def best_and_worst(samples: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Up to three completions with the highest and with the lowest reward, each of another group.

    Of equal rewards the later step comes first. A completion is in one list only.
    """
    highest, lowest = [], []
    for sample in reversed(samples[-_LAST_SAMPLES:]):
        completions = [one for one in sample.get("completions") or [] if isinstance(one, Mapping)]
        rewarded = [one for one in completions if isinstance(one.get("reward"), int | float)]
        if not rewarded:
            continue
        about = {name: sample.get(name) for name in ("step", "prompt", "gold")}
        highest.append({**max(rewarded, key=lambda one: one["reward"]), **about})
        lowest.append({**min(rewarded, key=lambda one: one["reward"]), **about})
    best = sorted(highest, key=lambda one: -one["reward"])[:_SHOWN_SAMPLES]
    worst = [one for one in sorted(lowest, key=lambda one: one["reward"]) if one not in best]
    return best, worst[:_SHOWN_SAMPLES]


def _sample(sample: Mapping[str, Any]) -> str:
    label = str(sample.get("verdict"))
    css = label if label in _MARK else "unknown"
    terms = sample.get("breakdown")
    shown = ", ".join(f"{name} {value}" for name, value in terms.items()) if isinstance(terms, Mapping) else ""
    head = (
        f'<span class="verdict {css}">{escape(_MARK.get(label, label))}</span> '
        f"({escape(str(sample.get('reason', '')))}), reward {sample['reward']:g}, "
        f"step {escape(str(sample.get('step')))}"
    )
    about = f"Gold answer: {sample.get('gold')}. Rewards: {shown or 'not logged'}."
    text = html.preformatted(str(sample.get("text")))
    return html.folded(
        head, html.paragraph(about), "<p>Prompt:</p>", html.preformatted(str(sample.get("prompt")), 3000),
        "<p>Completion:</p>", text,
    )  # fmt: skip
