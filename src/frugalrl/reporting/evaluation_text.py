"""What an evaluation on benchmarks prints: a line before and after each chunk, and the table at the end."""

from collections.abc import Sequence

from frugalrl.evaluation.benchmarking import Plan
from frugalrl.evaluation.runner import Progress
from frugalrl.evaluation.scores import BenchmarkScore
from frugalrl.reporting.console import duration, percent, table
from frugalrl.reporting.lines import Progressing


def opening_line(planned: Plan, there: int) -> str:
    """What will be drawn. there: samples that are kept already."""
    sampling = planned.sampling
    kept = f"; {there} samples are there already" if there else ""
    return (
        f"{planned.benchmark.name}: {len(planned.prompts)} problems x {planned.samples} from "
        f"{planned.benchmark.source}, judged as {planned.benchmark.judged_as}, temperature {sampling.temperature}, "
        f"top_p {sampling.top_p}, at most {sampling.max_completion_tokens} tokens{kept}"
    )


def progress_line(
    name: str, progress: Progress, left: tuple[float, float] | None = None, usd: float | None = None
) -> str:
    """What is said after each chunk. left: the range of the seconds that remain. usd: what it has cost."""
    truncated = percent(progress.truncated / progress.done)
    between = "" if left is None else f" [{duration(left[0])}, {duration(left[1])}]"
    cost = "" if usd is None else f"${usd:.2f} so far, "
    text = (
        f"  {name} {progress.done}/{progress.total}  truncated {truncated}  {duration(progress.seconds)} elapsed, "
        f"{cost}about {duration(progress.eta_seconds)}{between} remaining"
    )
    return Progressing(text, f"eval {name}", progress.done, progress.total, progress.eta_seconds)


def scores_table(rows: Sequence[tuple[str, BenchmarkScore]]) -> str:
    """A line for each benchmark; accuracies in percent, the minimum detectable effect in points."""
    heads = ("benchmark", "problems", "k", "avg@k", "95 % interval", "pass@k", "majority@k", "detectable")
    lines: list[tuple[str, ...]] = [(*heads, "truncated", "unknown", "tokens")]
    for name, score in rows:
        accuracy = score.accuracy
        lines.append(
            (
                name,
                str(score.problems),
                str(score.samples),
                f"{100 * accuracy.value:.1f}",
                f"[{100 * accuracy.ci_low:.1f}, {100 * accuracy.ci_high:.1f}]",
                *(f"{100 * share:.1f}" for share in (score.pass_at_k, score.majority_at_k)),
                f"{100 * score.smallest_effect:.1f}" if score.smallest_effect <= 1 else "none",
                percent(score.truncated_fraction),
                str(score.unknown),
                f"{score.mean_tokens:.0f}",
            )
        )
    split = [_parts_line(name, score, column) for name, score in rows for column in _columns(score)]
    return "\n".join([table(lines), *split, *(line for name, score in rows for line in remarks(name, score))])


def _columns(score: BenchmarkScore) -> list[str]:
    return list(dict.fromkeys(part.column for part in score.parts))


def _parts_line(name: str, score: BenchmarkScore, column: str) -> str:
    """Accuracies by one column, with the numbers of problems."""
    parts = [part for part in score.parts if part.column == column]
    shown = ", ".join(f"{part.value} {100 * part.accuracy.value:.1f} ({part.problems})" for part in parts)
    return f"{name} by {column.lower()}: {shown}"


_NOTABLE_TRUNCATION = 0.01
"""From this share of cut answers on, the cap is part of the result."""
_COARSE_EFFECT = 0.1
"""In 0..1: published gains of small models are mostly smaller than ten points."""


def remarks(name: str, score: BenchmarkScore) -> list[str]:
    """What the table cannot say."""
    said = []
    if score.are_copies:
        said.append(
            f"{name}: the {score.samples} samples of a problem are copies of one another (greedy sampling): they say "
            "no more than --k 1."
        )
    if score.truncated_fraction >= _NOTABLE_TRUNCATION:
        lost = score.if_untruncated - score.accuracy.value
        said.append(
            f"{name}: {100 * score.truncated_fraction:.1f} % of the answers were cut at {score.max_completion_tokens} "
            f"tokens. With a larger cap (--max-tokens) the accuracy might be up to {100 * lost:.1f} points higher."
        )
    if 1 >= score.smallest_effect > _COARSE_EFFECT:
        said.append(
            f"{name}: {score.problems} problems with k = {score.samples} show no gain below "
            f"{100 * score.smallest_effect:.0f} points. More samples (--k) help as long as they differ; more problems "
            "always do."
        )
    if score.smallest_effect > 1:
        said.append(
            f"{name}: no gain over this model would be detected with 80 % power: there are too few problems, or too "
            "few that it leaves unsolved."
        )
    return said
