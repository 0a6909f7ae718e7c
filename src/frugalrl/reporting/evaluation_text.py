"""What an evaluation on benchmarks prints: a line before and after each chunk, and the table at the end."""

from collections.abc import Sequence

from frugalrl.evaluation.benchmarking import Plan
from frugalrl.evaluation.runner import Progress
from frugalrl.evaluation.scores import BenchmarkScore
from frugalrl.reporting.console import duration, percent, table


def opening_line(planned: Plan, there: int) -> str:
    """What will be drawn. there: samples that are kept already."""
    sampling = planned.sampling
    kept = f"; {there} samples are there already" if there else ""
    return (
        f"{planned.benchmark.name}: {len(planned.prompts)} problems x {planned.samples} from "
        f"{planned.benchmark.source}, temperature {sampling.temperature}, top_p {sampling.top_p}, at most "
        f"{sampling.max_completion_tokens} tokens{kept}"
    )


def progress_line(name: str, progress: Progress) -> str:
    """What is said after each chunk."""
    truncated = percent(progress.truncated / progress.done)
    return (
        f"  {name} {progress.done}/{progress.total}  truncated {truncated}  {duration(progress.seconds)} elapsed, "
        f"about {duration(progress.eta_seconds)} remaining"
    )


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
    return "\n".join([table(lines), *(line for name, score in rows for line in remarks(name, score))])


def remarks(name: str, score: BenchmarkScore) -> list[str]:
    """What the table cannot say."""
    said = []
    if score.are_copies:
        said.append(
            f"{name}: the {score.samples} samples of a problem are copies of one another (greedy sampling): they say "
            "no more than --k 1."
        )
    if score.smallest_effect > 1:
        said.append(
            f"{name}: no gain over this model would be detected with 80 % power: there are too few problems, or too "
            "few that it leaves unsolved."
        )
    return said
