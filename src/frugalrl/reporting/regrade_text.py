"""What judging stored completions again prints: accuracy before and after, and which verdicts changed."""

from collections import Counter
from collections.abc import Sequence

from frugalrl.evaluation.regrading import Change, Regraded
from frugalrl.reporting.console import estimate, percent


def regraded_lines(regraded: Regraded, show: int) -> str:
    """The printed text. show: so many changed samples are listed."""
    before, after = regraded.accuracies
    total, changed = len(regraded.after.samples), len(regraded.changes)
    old, new = regraded.before.header, regraded.after.header
    lines = [
        f"{regraded.path}: {total} samples of {len({one.problem_id for one in regraded.after.samples})} problems, "
        f"judged by {_judge(old.judged_by, old.verifier)}, now by {_judge(new.judged_by, new.verifier)}",
        f"  accuracy {estimate(before)} before, {estimate(after)} now; {changed} verdicts changed "
        f"({percent(changed / total)})",
    ]
    kinds = Counter(
        (one.before.verdict, one.after.verdict, one.before.reason, one.after.reason) for one in regraded.changes
    )
    lines += [
        f"  {count:>6}  {was} ({why_before}) -> {now} ({why_now})"
        for (was, now, why_before, why_now), count in kinds.most_common()
    ]
    lines += [f"  {_shown(one)}" for one in regraded.changes[:show]]
    if changed > show:
        lines.append(f"  ... and {changed - show} more; --show lists them")
    return "\n".join(lines)


def summary_lines(all_of_them: Sequence[Regraded]) -> str:
    """One line for several files."""
    changed = sum(len(one.changes) for one in all_of_them)
    total = sum(len(one.after.samples) for one in all_of_them)
    return f"{len(all_of_them)} files, {total} samples, {changed} verdicts changed."


def _judge(name: str, digest: str) -> str:
    return f"{name} {digest}".strip()


def _shown(change: Change) -> str:
    golds = " or ".join((change.problem.gold, *change.problem.also_accepted)) or "-"
    answer = change.after.extracted if change.after.extracted is not None else change.before.extracted
    return (
        f"{change.problem.problem_id} sample {change.before.sample}: {change.before.verdict} -> "
        f"{change.after.verdict} ({change.after.reason}), answer {_short(answer or 'none')}, gold {_short(golds)}"
    )


def _short(text: str, most: int = 80) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 3] + "..."
