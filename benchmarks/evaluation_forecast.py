"""The forecast of an evaluation held against 67 that were logged: Open-RS's, on one card with vLLM 0.7.2.

Each of the three experiments (7 or 8 checkpoints each, of other lengths) is forecast from the other two: their mean
lengths stand in place of those in `planning.forecast.lengths`. Reads anchors/openrs_eval_runs.jsonl below
FRUGALRL_DATA; writes records/evaluation_forecast.json and the table in docs/evaluating.md. Two CPU seconds.

    python benchmarks/evaluation_forecast.py
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from doc_tables import put

from frugalrl.planning.forecast.cards import card_named
from frugalrl.planning.forecast.clock import decode_seconds
from frugalrl.planning.forecast.evaluations import Asked, Engine, beyond, forecast, served_by
from frugalrl.planning.forecast.lengths import with_mean
from frugalrl.planning.forecast.plan import Place
from frugalrl.planning.forecast.shape import KNOWN

RECORD = Path(__file__).parent / "records" / "evaluation_forecast.json"
ANCHORS = Path("anchors") / "openrs_eval_runs.jsonl"
NAMES = {"aime24": "aime24", "math_500": "math500", "amc23": "amc23"}
SHAPE = KNOWN["deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"]
CAP, SPREAD = 32_768, 0.9
SERVER = served_by(card_named("A40"))
"""The log names no card: 44.34 GiB, and the paper rented A40s."""
_ROWS = 256
"""Of vLLM by default; the cache of 1.1 M tokens holds them."""


def runs_in(data: Path) -> list[dict[str, Any]]:
    """The finished evaluations."""
    rows = [json.loads(line) for line in (data / ANCHORS).read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row.get("complete") and "mean_completion_tokens_est" in row]


def means(runs: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float, float]]:
    """By benchmark: the median of the mean tokens, the least and the most."""
    tokens = {
        name: [row["mean_completion_tokens_est"] for row in runs if NAMES[row["task"]] == name]
        for name in NAMES.values()
    }
    return {
        name: (float(round(median(own))), float(round(min(own))), float(round(max(own))))
        for name, own in tokens.items()
    }


def _seconds(run: dict[str, Any]) -> float:
    """By the clock, with the lengths that were measured."""
    lengths = with_mean(run["mean_completion_tokens_est"], CAP, 1.0, 1.0, "measured", SPREAD)
    return decode_seconds(SHAPE, SERVER, lengths, run["n_prompts"], _ROWS, run["mean_prompt_tokens_est"], 2, True)


def held_out(runs: Sequence[dict[str, Any]], experiment: int) -> list[dict[str, Any]]:
    """Each evaluation of an experiment, forecast from the others."""
    others = [row for row in runs if row["exp"] != experiment]
    known, place, found = means(others), Place(SERVER, 47.7, 0.44, "as Open-RS paid"), []
    for run in (row for row in runs if row["exp"] == experiment):
        mean, low, high = known[NAMES[run["task"]]]
        lengths = beyond(with_mean(mean, CAP, low / mean, high / mean, "other experiments", SPREAD))
        prompt = run["mean_prompt_tokens_est"]
        asked = Asked(NAMES[run["task"]], run["n_prompts"], prompt, round(prompt), CAP, lengths)
        expected = forecast([asked], Engine(_ROWS, is_server=True), SHAPE, place)
        assert expected.seconds is not None
        found.append(
            {
                "benchmark": asked.name,
                "tokens": expected.tokens.value / run["total_out_tokens_est"],
                "tokens_held": expected.tokens.low <= run["total_out_tokens_est"] <= expected.tokens.high,
                "clock": _seconds(run) / run["gen_s"],
                "seconds": expected.seconds.value / run["gen_s"],
                "seconds_held": expected.seconds.low <= run["gen_s"] <= expected.seconds.high,
            }
        )
    return found


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each benchmark: median error, its range, and how often the interval held."""
    heads = ("benchmark", "evaluations", "tokens", "range held", "seconds, lengths known", "seconds", "range held")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name in [*NAMES.values(), "all"]:
        own = [row for row in rows if name in ("all", row["benchmark"])]
        shown = [f"{median(row[what] for row in own) - 1:+.0%} ({min(row[what] for row in own) - 1:+.0%} to "
                 f"{max(row[what] for row in own) - 1:+.0%})" for what in ("tokens", "clock", "seconds")]  # fmt: skip
        held = [f"{sum(row[what] for row in own)} of {len(own)}" for what in ("tokens_held", "seconds_held")]
        lines.append(f"| {name} | {len(own)} | {shown[0]} | {held[0]} | {shown[1]} | {shown[2]} | {held[1]} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    runs = runs_in(Path(os.environ.get("FRUGALRL_DATA", "../shared/data")))
    rows = [row for experiment in (1, 2, 3) for row in held_out(runs, experiment)]
    record = {"means": means(runs), "evaluations": rows}
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    put("evaluating.md", "evaluation forecast", table(rows))
    print(table(rows), record["means"], sep="\n")


if __name__ == "__main__":
    main()
