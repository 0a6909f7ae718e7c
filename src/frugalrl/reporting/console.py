"""The lines a run prints: pure formatting, values in, text out."""

from collections.abc import Mapping, Sequence

from frugalrl.reporting.lines import Progressing
from frugalrl.reporting.summary import Contender, Score, Summary
from frugalrl.statistics import wording
from frugalrl.statistics.intervals import Estimate
from frugalrl.types import NOTHING_TO_LEARN

PROGRESS_HEADER = "   step  reward  accuracy  tokens  trunc       KL  entropy   tok/s     ETA"


def progress_line(step: int, steps: int, metrics: Mapping[str, float], eta_seconds: float) -> str:
    """One step of training under `PROGRESS_HEADER`."""
    kl = metrics.get("policy/kl")
    accuracy = metrics.get("verdict/correct_frac", float("nan"))
    text = (
        f"{step:>4}/{steps:<4}{metrics['reward/mean']:>6.3f}{percent(accuracy):>10}"
        f"{metrics['completion/mean_tokens']:>8.0f}{percent(metrics['completion/truncated_frac']):>7}"
        f"{'-' if kl is None else f'{kl:.4f}':>9}{metrics['policy/entropy']:>9.3f}"
        f"{metrics['throughput/tokens_per_second']:>8.0f}{duration(eta_seconds):>8}"
    )
    return Progressing(text, "training", step, steps, eta_seconds, keeps=True)


def estimate(value: Estimate) -> str:
    """An accuracy in percent with its interval, e.g. ``46.3 % [43.9, 48.8]``."""
    return f"{100 * value.value:.1f} % [{100 * value.ci_low:.1f}, {100 * value.ci_high:.1f}]"


def difference(value: Estimate) -> str:
    """A difference in points with its interval, e.g. ``+31.2 points [+28.0, +34.5]``."""
    return wording.points(value)


def percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"


def duration(seconds: float) -> str:
    """Seconds as ``42s``, ``3m07s`` or ``2h05m``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows with their columns lined up on the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def final_lines(summary: Summary, folder: str) -> str:
    """The lines printed at the end of a run: the gain, examples, where things are, what to do next."""
    seconds = summary.wall_seconds
    phases = ", ".join(f"{phase} {duration(value)}" for phase, value in seconds.items() if phase != "total")
    lines = ["", *_choice(summary), *_comparison(summary), *_solved(summary)]
    lines += [
        f"Time: {duration(seconds['total'])} ({phases}){_projected(summary)}",
        f"Report: {folder}/report.html (opens in a browser, from disk)",
        f"Run folder: {folder} (summary.json, metrics.jsonl, samples.jsonl, evaluations/, model/)",
        _next(summary, folder),
    ]
    return "\n".join(lines)


def _projected(summary: Summary) -> str:
    """What the run expected of itself, beside what it took."""
    one = summary.projected
    if one is None:
        return ""
    value, low, high = (duration(one[name]) for name in ("seconds", "seconds_low", "seconds_high"))
    return f"; projected after step {one['step']:.0f}: {value} [{low}, {high}]"


def _next(summary: Summary, folder: str) -> str:
    """What to do next: never to train longer after a run that got worse or could not learn."""
    why = summary.ended_early or ""
    last = summary.contenders[-1] if summary.contenders else None
    if why.startswith(NOTHING_TO_LEARN):
        return f"Next: {why[0].upper()}{why[1:]} Then start again; the model kept is the best one before that."
    if summary.kept_step == 0 or summary.verdict == "worse" or (last is not None and last.verdict == "worse"):
        return (
            "Next: the model did not get better, or got worse again. Look at the report; before a longer run try "
            "half the learning rate (optimizer.learning_rate), or easier problems."
        )
    return (
        f"Next: train longer from here with --set model.path={folder}/model, or see `frugalrl recipes` for the "
        "full-size runs."
    )


def _choice(summary: Summary) -> list[str]:
    """Base, best and last on validation, and why one of them is kept."""
    if not summary.contenders:
        return []
    score = summary.contenders[0].score
    rows: list[tuple[str, ...]] = [
        ("", "step", "accuracy (avg@k)", "from the base", "against the base", "truncated", "unknown")
    ]
    for one in summary.contenders:
        accuracy = estimate(_interval(one.score))
        change = "" if one.difference is None else difference(one.difference)
        shares = (percent(one.score.truncated_frac), percent(one.score.unknown_frac))
        rows.append((one.name, str(one.step), accuracy, change, against_base(one), *shares))
    heading = f"validation, used for selection: {score.n} problems, {score.k} samples each, 95 % intervals"
    return [heading, table(rows), *summary.choice, ""]


def against_base(one: Contender) -> str:
    """A verdict with its p-value, e.g. ``better (p < 0.001)``; empty for the base itself."""
    if one.verdict is None or one.p_value is None:
        return ""
    return f"{one.verdict} ({wording.p_value(one.p_value)})"


def _comparison(summary: Summary) -> list[str]:
    base, final = summary.base, summary.final
    if base is None or final is None or summary.difference is None:
        return ["No held-out problems: set data.validation or data.test to measure the gain.", ""]
    if summary.kept_step == 0:
        return [f"{summary.split}: {estimate(_interval(base))} for the base, which is kept in model/.", ""]
    rows = [
        ("", "accuracy (avg@k)", "any of k right", "tokens", "truncated", "unknown"),
        ("base", *_score_cells(base)),
        (f"kept (step {summary.kept_step})", *_score_cells(final)),
    ]
    return [
        f"{summary.split}: {final.n} problems, {final.k} samples each, 95 % intervals, by problem",
        table(rows),
        f"gain  {difference(summary.difference)}, paired by problem: {verdict(summary)}",
        "",
    ]


def verdict(summary: Summary) -> str:
    """Whether the kept model is better than its base, in words."""
    if summary.verdict != "inconclusive":
        return f"{summary.verdict} than the base"
    least = summary.least_effect
    if least is None or not 0 < least <= 1:
        return "inconclusive; no gain is detected here with 80 % power"
    return f"inconclusive; the minimum detectable effect is {100 * least:.1f} points (80 % power)"


def _score_cells(score: Score) -> tuple[str, ...]:
    return (
        estimate(_interval(score)),
        percent(score.pass_at_k),
        f"{score.mean_tokens:.0f}",
        percent(score.truncated_frac),
        percent(score.unknown_frac),
    )


def _interval(score: Score) -> Estimate:
    return Estimate(score.avg_at_k, score.ci_low, score.ci_high)


def _solved(summary: Summary) -> list[str]:
    lines: list[str] = []
    for solved in summary.solved_now:
        lines += [
            f"Solved now, not before: {solved.problem}  (answer {solved.gold})",
            f"  before: {_one_line(solved.before)}",
            f"  now:    {_one_line(solved.after)}",
        ]
    return [*lines, ""] if lines else []


def _one_line(text: str, most_chars: int = 160) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most_chars else flat[: most_chars - 3] + "..."
