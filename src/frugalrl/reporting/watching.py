"""What a run looks like just now, from the files that another process is writing: for a terminal view.

Only what a frame needs is read: the metrics, and the ends of the samples, of the guard's decisions and of the log.
"""

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalrl.config.loading import read_yaml
from frugalrl.errors import DataError, RecipeError
from frugalrl.reporting.console import duration, percent
from frugalrl.reporting.line_log import LOG_FILE

_TAIL_BYTES = 1 << 18
_QUIET_SECONDS = 120
"""Without a line for so long, a run that has not ended is said to be silent."""
_BLOCKS = "▁▂▃▄▅▆▇█"
_SHARES = {"accuracy", "truncated"}
_CURVES: Mapping[str, str] = {
    "reward": "reward/mean",
    "accuracy": "verdict/correct_frac",
    "tokens": "completion/mean_tokens",
    "truncated": "completion/truncated_frac",
    "KL": "policy/kl",
    "entropy": "policy/entropy",
    "loss": "loss/sft",
    "tokens/s": "throughput/tokens_per_second",
}


@dataclass(frozen=True)
class Frame:
    """A run at one moment, as texts."""

    title: str
    state: str
    """Where it is, how long it took, how long it will take, and what it cost."""
    curves: Sequence[tuple[str, str, str, str]]
    """Name, last value, mean of the last ten, and the course of the last 40 steps in blocks."""
    evaluations: Sequence[tuple[str, str, str]]
    """Step, split, accuracy with its interval."""
    phases: Sequence[tuple[str, str]]
    """Each phase's share of the last steps."""
    guard: Sequence[str]
    samples: Sequence[tuple[str, str, str]]
    """Verdict, reward, the end of a completion; of the newest group."""
    question: str
    lines: Sequence[str]
    """The end of the log."""
    is_over: bool


def read_frame(folder: Path, now: float | None = None) -> Frame:
    """The run in a folder. Raises DataError if it is none."""
    if not (folder / "recipe.yaml").is_file() and not (folder / "metrics.jsonl").is_file():
        raise DataError(f"{folder} is not a run folder. Name one that `frugalrl train` is writing, or wrote.")
    lines = _json_lines(folder / "metrics.jsonl", whole=True)
    steps = [line for line in lines if not _splits(line)]
    recipe = _recipe(folder)
    summary = _json_file(folder / "summary.json")
    sample = next(iter(_json_lines(folder / "samples.jsonl")[-1:]), {})
    silent = (time.time() if now is None else now) - _written(folder)
    return Frame(
        title=f"{recipe.get('name', folder.name)}  {folder}",
        state=_state(steps, recipe, summary, silent),
        curves=[_curve(name, [step.get(key) for step in steps]) for name, key in _CURVES.items() if _has(steps, key)],
        evaluations=[_evaluation(line, split) for line in lines for split in _splits(line)][-6:],
        phases=_phases(steps[-10:]),
        guard=[_decision(one) for one in _json_lines(folder / "guard.jsonl")[-3:]],
        samples=[_sample(one) for one in sample.get("completions", ())[:3]],
        question=_one_line(str(sample.get("prompt", ""))),
        lines=_tail(folder / LOG_FILE).splitlines()[-3:],
        is_over=bool(summary),
    )


# ----------------------------------------------------------------------------------------------------- files


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _json_lines(path: Path, whole: bool = False) -> list[dict[str, Any]]:
    """The objects of a file that somebody may be writing; a torn line is left for the next frame."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if whole else _tail(path)
    except OSError:
        return []
    found = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _json_file(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _recipe(folder: Path) -> dict[str, Any]:
    try:
        values = read_yaml(folder / "recipe.yaml")
    except RecipeError:
        return {}
    return values if isinstance(values, dict) else {}


def _written(folder: Path) -> float:
    """When something was last written to the run's logs."""
    names = ("metrics.jsonl", LOG_FILE, "summary.json")
    return max(((folder / name).stat().st_mtime for name in names if (folder / name).is_file()), default=0.0)


# ----------------------------------------------------------------------------------------------------- texts


def _state(steps: Sequence[dict[str, Any]], recipe: dict[str, Any], summary: dict[str, Any], silent: float) -> str:
    last = steps[-1] if steps else {}
    total = (recipe.get("training") or {}).get("steps")
    step = last.get("step", 0)
    parts = [f"step {step}{f' of {total}' if total else ''}"]
    seconds = _number(last.get("cost/seconds"))
    if seconds is not None:
        parts.append(f"{duration(seconds)} so far")
    if summary:
        parts.append(f"ended early: {summary['ended_early']}" if summary.get("ended_early") else "ended")
    elif total and len(steps) > 1:
        times = [one["unix_time"] for one in steps[-11:] if isinstance(one.get("unix_time"), int | float)]
        each = (times[-1] - times[0]) / max(1, len(times) - 1) if times else 0.0
        parts.append(_left(last, each * (total - step)))
        if silent > max(_QUIET_SECONDS, 5 * each):
            parts.append(f"nothing written for {duration(silent)}: evaluating, stopped or killed")
    usd = _number(last.get("cost/usd"))
    if usd is not None:
        parts.append(f"${usd:.2f}{'' if summary else _in_all(last)}")
    return ", ".join(parts)


def _left(last: Mapping[str, Any], otherwise: float) -> str:
    """What the run itself projects, with its interval; before it does, the steps that are left at the pace so far."""
    value, low, high = (_number(last.get(f"cost/seconds_left{end}")) for end in ("", "_low", "_high"))
    if value is None or low is None or high is None:
        return f"about {duration(otherwise)} left"
    return f"about {duration(value)} left [{duration(low)}, {duration(high)}]"


def _in_all(last: Mapping[str, Any]) -> str:
    value, low, high = (_number(last.get(f"cost/usd_total{end}")) for end in ("", "_low", "_high"))
    return "" if value is None or low is None or high is None else f" of ${value:.2f} [{low:.2f}, {high:.2f}] in all"


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


def _has(steps: Sequence[dict[str, Any]], key: str) -> bool:
    return any(_number(step.get(key)) is not None for step in steps)


def _curve(name: str, raw: Sequence[Any]) -> tuple[str, str, str, str]:
    values = [value for one in raw if (value := _number(one)) is not None]
    recent = values[-10:]
    return name, _shown(name, values[-1]), _shown(name, sum(recent) / len(recent)), blocks(values[-40:])


def _shown(name: str, value: float) -> str:
    if name in _SHARES:
        return percent(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.4f}" if name == "KL" else f"{value:.3f}"


def blocks(values: Sequence[float]) -> str:
    """The course of some values, a character each, from the lowest to the highest."""
    if not values:
        return ""
    low, high = min(values), max(values)
    if high == low:
        return _BLOCKS[3] * len(values)
    return "".join(_BLOCKS[round((value - low) / (high - low) * (len(_BLOCKS) - 1))] for value in values)


def _splits(line: Mapping[str, Any]) -> list[str]:
    return [name.removesuffix("/avg_at_k") for name in line if name.endswith("/avg_at_k")]


def _evaluation(line: Mapping[str, Any], split: str) -> tuple[str, str, str]:
    values = [_number(line.get(f"{split}/{name}")) for name in ("avg_at_k", "ci_low", "ci_high")]
    middle, low, high = (float("nan") if value is None else 100 * value for value in values)
    return str(line.get("step", "?")), split, f"{middle:.1f} % [{low:.1f}, {high:.1f}]"


def _phases(steps: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    sums: dict[str, float] = {}
    for step in steps:
        for name, value in step.items():
            if name.startswith("time/") and (seconds := _number(value)) is not None:
                sums[name.removeprefix("time/")] = sums.get(name.removeprefix("time/"), 0.0) + seconds
    whole = sum(sums.values())
    ordered = sorted(sums.items(), key=lambda item: -item[1])
    return [(name, percent(value / whole)) for name, value in ordered if whole and value / whole >= 0.005]


def _decision(one: Mapping[str, Any]) -> str:
    action = str(one.get("action", "?")).replace("_", " ")
    why = one.get("reason") or (f"to step {one['to']}" if "to" in one else "")
    return f"step {one.get('step', '?')}: {action}{f', {why}' if why else ''}"


def _sample(one: Mapping[str, Any]) -> tuple[str, str, str]:
    reward = _number(one.get("reward"))
    return str(one.get("verdict", "")), "" if reward is None else f"{reward:.2f}", _one_line(str(one.get("text", "")))


def _one_line(text: str) -> str:
    """Without line breaks and the markers of a chat template."""
    return " ".join(re.sub(r"<[|｜][^<>]{1,40}[|｜]>|<think>", " ", text).split())
