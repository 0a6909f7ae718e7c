"""The plan against Open-RS's released evaluation logs: one prediction for each checkpoint, beside what the logs say.

66 evaluations of 21 checkpoints on three benchmarks, by vLLM 0.7.2 on one A40-class card at a cap of 32,768 tokens
(`anchors/openrs_eval_runs.jsonl` of the shared data, which FRUGALRL_DATA names). Mean lengths are predicted from the
other two experiments' logs, so no log predicts itself; the cost of sorting the vocabulary and the spread of lengths
were fitted to all of them. `plan_errors.py --history` writes the table.
"""

import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any

from frugalrl.planning.forecast.cards import card_named
from frugalrl.planning.forecast.clock import decode_seconds, machine_of
from frugalrl.planning.forecast.lengths import with_mean
from frugalrl.planning.forecast.shape import KNOWN

PAPER = KNOWN["deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"]
TASKS = {"aime24": "AIME24", "amc23": "AMC23", "math_500": "MATH-500"}
CAP, SPREAD, ROWS, USD_PER_HOUR = 32_768, 0.9, 256, 0.44


def read_logs() -> list[dict[str, Any]]:
    """The evaluations that ran to their end, one for each checkpoint and benchmark. Exits without the shared data."""
    folder = os.environ.get("FRUGALRL_DATA")
    file = Path(folder or ".") / "anchors" / "openrs_eval_runs.jsonl"
    if folder is None or not file.is_file():
        raise SystemExit("The released logs are in the shared data: set FRUGALRL_DATA.")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    last = {(row["exp"], row["step"], row["task"]): row for row in rows if row["complete"]}
    return list(last.values())


def predicted(row: Mapping[str, Any], mean_tokens: float) -> dict[str, float]:
    """Tokens and seconds of an evaluation whose completions have that mean."""
    lengths = with_mean(mean_tokens, CAP, 1.0, 1.0, "other experiments", SPREAD)
    server = replace(machine_of(card_named("A40")), launch_seconds=0.0)
    count, prompt = row["n_prompts"], row["mean_prompt_tokens_est"]
    seconds = decode_seconds(PAPER, server, lengths, count, ROWS, prompt, 2, True)
    return {"mean": mean_tokens, "tokens": mean_tokens * count, "hours": seconds / 3600}


def compared(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each checkpoint: what the logs say, what is predicted before, and from their lengths."""
    checkpoints: dict[tuple[int, int], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        checkpoints[row["exp"], row["step"]].append(row)
    made = []
    for (experiment, step), own in sorted(checkpoints.items()):
        others = {
            row["task"]: mean(
                one["mean_completion_tokens_est"]
                for one in rows
                if one["task"] == row["task"] and one["exp"] != experiment
            )
            for row in own
        }
        made.append(
            {
                "experiment": experiment,
                "step": step,
                "logged": {
                    "means": {row["task"]: row["mean_completion_tokens_est"] for row in own},
                    "tokens": sum(row["total_out_tokens_est"] for row in own),
                    "hours": sum(row["gen_s"] for row in own) / 3600,
                },
                "before": _summed([(row["task"], predicted(row, others[row["task"]])) for row in own]),
                "given_lengths": _summed(
                    [(row["task"], predicted(row, row["mean_completion_tokens_est"])) for row in own]
                ),
            }
        )
    return made


def _summed(parts: Sequence[tuple[str, Mapping[str, float]]]) -> dict[str, Any]:
    return {
        "means": {task: one["mean"] for task, one in parts},
        "tokens": sum(one["tokens"] for _, one in parts),
        "hours": sum(one["hours"] for _, one in parts),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row for each checkpoint, and one for all."""
    lines = [
        f"| experiment, step | mean tokens, {' / '.join(TASKS.values())}: predicted; logged | M tokens: predicted; "
        "logged | hours: predicted; logged | at $0.44: predicted; logged | error | error, given the lengths |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        means = [" / ".join(f"{row[which]['means'][task]:,.0f}" for task in TASKS) for which in ("before", "logged")]
        lines.append(f"| {row['experiment']}, {row['step']} | {'; '.join(means)} | {_sums(row)} |")
    whole = {
        which: {key: sum(row[which][key] for row in rows) for key in ("tokens", "hours")}
        for which in ("before", "given_lengths", "logged")
    }
    lines.append(f"| all | | {_sums(whole)} |")
    return "\n".join(lines) + "\n"


def _sums(row: Mapping[str, Any]) -> str:
    before, given, logged = row["before"], row["given_lengths"], row["logged"]
    return (
        f"{before['tokens'] / 1e6:.2f}; {logged['tokens'] / 1e6:.2f} | {before['hours']:.2f}; {logged['hours']:.2f} | "
        f"{USD_PER_HOUR * before['hours']:.2f}; {USD_PER_HOUR * logged['hours']:.2f} | "
        f"{before['hours'] / logged['hours'] - 1:+.0%} | {given['hours'] / logged['hours'] - 1:+.0%}"
    )


def errors(rows: Sequence[Mapping[str, Any]]) -> str:
    """A sentence: how far off, and how often the interval that a plan states holds the hours."""
    found = {
        which: [row[which]["hours"] / row["logged"]["hours"] - 1 for row in rows]
        for which in ("before", "given_lengths")
    }
    parts = [f"{median(one):+.0%} in the middle, {mean(map(abs, one)):.0%} on average" for one in found.values()]
    return f"Hours of a checkpoint: {parts[0]}; given the lengths of its own log {parts[1]}."
