"""What the functions of the public API return: frozen records that show themselves, in a line and in a notebook.

Each has `folder` (where its files are), `summary` (the outcome) and `metrics` (a list of plain mappings, for
``pandas.DataFrame(result.metrics)``). Numbers are read from the files of the run, so that they are what a report shows.
"""

import html
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frugalrl.curation.summary import CurationReport
    from frugalrl.evaluation.comparing import Comparison
    from frugalrl.evaluation.regrading import Regraded
    from frugalrl.evaluation.scores import BenchmarkScore
    from frugalrl.reporting.summary import Score, Summary

_CSS = "text-align:left;vertical-align:top;padding:2px 10px"


class Result(ABC):
    """Shows the rows of a result as one line, or as a small table in a notebook."""

    @abstractmethod
    def _rows(self) -> Sequence[tuple[str, str]]:
        """What is shown: names and values."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}: {value}' for name, value in self._rows())})"

    def _repr_html_(self) -> str:
        """For notebooks."""
        rows = "".join(
            f'<tr><th style="{_CSS}">{html.escape(name)}</th><td style="{_CSS}">{html.escape(value)}</td></tr>'
            for name, value in self._rows()
        )
        return f"<table>{rows}</table>"


def _logged(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log; a last line that was cut off by a kill is left out."""
    lines: list[dict[str, Any]] = []
    for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


@dataclass(frozen=True, repr=False)
class TrainResult(Result):
    """A training run."""

    folder: Path
    summary: "Summary | None"
    """Base and kept model, the difference with its interval, times; None if the run was stopped before its end."""

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`: one for each step and each evaluation, by metric name (docs/glossary.md)."""
        return _logged(self.folder)

    @property
    def model(self) -> Path | None:
        """The folder of the kept model in Hub layout; None if the run was stopped."""
        return None if self.summary is None else self.folder / "model"

    def _rows(self) -> Sequence[tuple[str, str]]:
        summary = self.summary
        if summary is None:
            return [("folder", str(self.folder)), ("stopped", "resume with resume=True")]
        rows = [("folder", str(self.folder)), ("steps", str(summary.steps)), ("kept step", str(summary.kept_step))]
        if summary.ended_early:
            rows.append(("ended early", summary.ended_early))
        if summary.base is not None and summary.final is not None:
            rows.append((f"{summary.split}, base", _accuracy(summary.base)))
            rows.append((f"{summary.split}, kept", _accuracy(summary.final)))
            rows.append(("against the base", summary.verdict))
        return rows


def _accuracy(score: "Score") -> str:
    return f"{100 * score.avg_at_k:.1f} % [{100 * score.ci_low:.1f}, {100 * score.ci_high:.1f}]"


@dataclass(frozen=True, repr=False)
class SftResult(Result):
    """A run of supervised fine-tuning."""

    folder: Path
    model: Path | None
    """The folder of the model in Hub layout; None if the run was stopped before its end."""

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`: `loss/sft` in nats per token, and `loss/validation` at the end."""
        return _logged(self.folder)

    @property
    def summary(self) -> dict[str, float]:
        """The last value of each metric; empty before the first."""
        values: dict[str, float] = {}
        for line in self.metrics:
            values |= {name: value for name, value in line.items() if "/" in name}
        return values

    def _rows(self) -> Sequence[tuple[str, str]]:
        losses = [(name, f"{value:.4f}") for name, value in self.summary.items() if name.startswith("loss/")]
        end = ("stopped", "resume with resume=True") if self.model is None else ("model", str(self.model))
        return [("folder", str(self.folder)), end, *losses]


@dataclass(frozen=True, repr=False)
class EvaluateResult(Result):
    """A model on benchmarks."""

    folder: Path
    """A file for each benchmark, with every judged sample."""
    model: str
    scores: "tuple[tuple[str, BenchmarkScore], ...]"
    """By benchmark, in the order asked."""
    text: str
    """The table that `frugalrl eval` prints."""
    page: Path | None = None
    """The HTML page with every sample."""

    @property
    def summary(self) -> "dict[str, BenchmarkScore]":
        """By benchmark."""
        return dict(self.scores)

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """For each benchmark: accuracy (avg@k) with its 95 % interval, and what it hides; shares in 0..1."""
        return [
            {
                "benchmark": name,
                "problems": one.problems,
                "k": one.samples,
                "avg_at_k": one.accuracy.value,
                "ci_low": one.accuracy.ci_low,
                "ci_high": one.accuracy.ci_high,
                "pass_at_k": one.pass_at_k,
                "majority_at_k": one.majority_at_k,
                "smallest_effect": one.smallest_effect,
                "truncated_fraction": one.truncated_fraction,
                "unknown": one.unknown,
                "mean_tokens": one.mean_tokens,
            }
            for name, one in self.scores
        ]

    @property
    def samples(self) -> list[dict[str, Any]]:
        """Every judged sample that is kept: `benchmark`, `problem_id`, `sample`, `text`, `extracted`, `verdict` ..."""
        from frugalrl.evaluation.results import read_results, results_path

        files = {name: results_path(self.folder, name) for name, _ in self.scores}
        return [
            {"benchmark": name, **asdict(one)} for name, file in files.items() for one in read_results(file).samples
        ]

    def _rows(self) -> Sequence[tuple[str, str]]:
        rows = [("model", self.model)]
        for name, one in self.scores:
            value = one.accuracy
            interval = f"{100 * value.value:.1f} % [{100 * value.ci_low:.1f}, {100 * value.ci_high:.1f}]"
            rows.append((name, f"{interval}, {one.problems} problems x {one.samples}"))
        return [*rows, ("folder", str(self.folder))]


@dataclass(frozen=True, repr=False)
class CompareResult(Result):
    """Two models on the same problems, the second against the first."""

    comparisons: "tuple[Comparison, ...]"
    """One for each benchmark that both were measured on."""
    first: str
    second: str
    text: str
    """Tables and sentences, as `frugalrl compare` prints them."""
    folder: Path
    """Of the second model's results."""

    @property
    def summary(self) -> dict[str, str]:
        """By benchmark: whether the second is better, worse, or that this cannot be told."""
        return {one.benchmark: one.verdict for one in self.comparisons}

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Accuracies and their difference in 0..1, for each benchmark."""
        return [
            {
                "benchmark": one.benchmark,
                "n": one.n,
                "first": one.first.accuracy.value,
                "second": one.second.accuracy.value,
                "difference": one.difference.estimate.value,
                "ci_low": one.difference.estimate.ci_low,
                "ci_high": one.difference.estimate.ci_high,
                "p_value": one.difference.p_value,
                "adjusted_p_value": one.adjusted_p_value,
                "verdict": one.verdict,
            }
            for one in self.comparisons
        ]

    def _rows(self) -> Sequence[tuple[str, str]]:
        rows = [("first", self.first), ("second", self.second)]
        for one in self.metrics:
            points = [100 * one[name] for name in ("difference", "ci_low", "ci_high")]
            seen = "{:+.1f} points [{:+.1f}, {:+.1f}]".format(*points)
            rows.append((one["benchmark"], f"{one['verdict']}, {seen}, n = {one['n']}"))
        return rows


@dataclass(frozen=True, repr=False)
class RegradeResult(Result):
    """Stored completions, judged again."""

    regraded: "tuple[Regraded, ...]"
    """One for each results file."""
    files: tuple[Path, ...]
    """What was written."""
    text: str
    """What `frugalrl regrade` prints."""

    @property
    def folder(self) -> Path | None:
        """Of the files."""
        return self.files[0].parent if self.files else None

    @property
    def summary(self) -> dict[str, int]:
        """By benchmark: how many verdicts changed."""
        return {one.after.header.benchmark: len(one.changes) for one in self.regraded}

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Every sample whose verdict changed, with verdict, reason and answer before and after."""
        return [
            {
                "benchmark": one.after.header.benchmark,
                "problem_id": change.problem.problem_id,
                "sample": change.before.sample,
                "gold": change.problem.gold,
                "verdict_before": change.before.verdict,
                "reason_before": change.before.reason,
                "extracted_before": change.before.extracted,
                "verdict": change.after.verdict,
                "reason": change.after.reason,
                "extracted": change.after.extracted,
            }
            for one in self.regraded
            for change in one.changes
        ]

    def _rows(self) -> Sequence[tuple[str, str]]:
        return [(name, f"{count} verdicts changed") for name, count in self.summary.items()]


@dataclass(frozen=True, repr=False)
class CurateResult(Result):
    """A curated set."""

    folder: Path
    report: "CurationReport | None"
    """Every step with examples of what it dropped; None if the folder held the complete set already."""

    @property
    def summary(self) -> dict[str, int]:
        """Problems by split."""
        return dict(self._manifest()["splits"])

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The steps: name, problems before and after, and how many were dropped for which reason."""
        return list(self._manifest()["steps"])

    def _manifest(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        return found

    def _rows(self) -> Sequence[tuple[str, str]]:
        steps = [(one["name"], f"{one['before']:,} -> {one['after']:,}") for one in self.metrics]
        splits = ", ".join(f"{name} {count:,}" for name, count in self.summary.items() if count)
        return [("folder", str(self.folder)), *steps, ("problems", splits)]


@dataclass(frozen=True, repr=False)
class ScoreResult(Result):
    """Verdicts and rewards of stored completions."""

    file: Path | None
    """What was written; None if the rows are held in memory."""
    kept: tuple[Mapping[str, Any], ...]
    """The rows, if they were not written."""
    summary: Mapping[str, float | None]
    """The share of each verdict, and the mean of each reward over the completions that have it; None for none."""
    text: str
    """What `frugalrl score` prints: verdicts by reason, the mean of each reward."""

    @property
    def folder(self) -> Path | None:
        """Of the file."""
        return None if self.file is None else self.file.parent

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Each row as it came, with `verdict`, `extracted`, `reason`, `seconds` and a column for each reward."""
        if self.file is None:
            return [dict(row) for row in self.kept]
        with self.file.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def _rows(self) -> Sequence[tuple[str, str]]:
        numbers = [(name, "-" if value is None else f"{value:.3f}") for name, value in self.summary.items()]
        return numbers if self.file is None else [("file", str(self.file)), *numbers]


@dataclass(frozen=True, repr=False)
class ReportResult(Result):
    """A report that was written."""

    page: Path
    """The HTML page, one file without network or scripts."""
    card: Path
    """The Markdown card."""
    folders: tuple[Path, ...]
    """Of the runs."""

    @property
    def folder(self) -> Path:
        """Where the page is."""
        return self.page.parent

    @property
    def summary(self) -> str:
        """The card's text."""
        return self.card.read_text(encoding="utf-8")

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of each run's log, with the run's folder in `run`."""
        return [{"run": str(folder), **line} for folder in self.folders for line in _logged(folder)]

    def _rows(self) -> Sequence[tuple[str, str]]:
        return [("page", str(self.page)), ("card", str(self.card))]
