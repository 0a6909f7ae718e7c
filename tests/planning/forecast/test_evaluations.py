"""What an evaluation will take: tokens, time, money and rows, and where the constants are from."""

import importlib.util
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from frugalrl.api_forecasting import Meter, Terms, refuse_too_dear
from frugalrl.errors import BudgetSpentError, DataError
from frugalrl.evaluation.runner import Progress
from frugalrl.planning.forecast.budget import Interval
from frugalrl.planning.forecast.cards import card_named
from frugalrl.planning.forecast.evaluation_text import forecast_lines, forecasts_table
from frugalrl.planning.forecast.evaluations import (
    Asked,
    Engine,
    Forecast,
    forecast,
    lengths_of,
)
from frugalrl.planning.forecast.lengths import of_benchmark
from frugalrl.planning.forecast.plan import place_of
from frugalrl.planning.forecast.shape import KNOWN

SHAPE = KNOWN["deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"]
ROOT = Path(__file__).parents[3]
RECORD = json.loads((ROOT / "benchmarks" / "records" / "evaluation_forecast.json").read_text())


def asked(samples: int = 480, cap: int = 32768, name: str = "aime24", **known) -> Asked:
    return Asked(name, samples, 180.0, 300, cap, lengths_of(name, cap, **known))


def test_ranges_hold_for_experiments_that_were_left_out():
    held = [sum(row[what] for row in RECORD["evaluations"]) for what in ("tokens_held", "seconds_held")]
    assert min(held) >= 0.8 * len(RECORD["evaluations"]) > 50
    data = Path(os.environ.get("FRUGALRL_DATA", "../shared/data"))
    if not (data / "anchors" / "openrs_eval_runs.jsonl").is_file():
        pytest.skip("the logs of Open-RS's evaluations are not here")
    spec = importlib.util.spec_from_file_location("evaluation_forecast", ROOT / "benchmarks" / "evaluation_forecast.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
    now = [row for experiment in (1, 2, 3) for row in script.held_out(script.runs_in(data), experiment)]
    assert [row["seconds"] for row in now] == pytest.approx([row["seconds"] for row in RECORD["evaluations"]])


def test_lengths_are_those_that_were_seen_else_the_users_else_of_logs():
    assert lengths_of("aime24", 32768).mean == pytest.approx(of_benchmark("aime24", 32768).mean)
    assert lengths_of("aime25", 32768) == lengths_of("aime24", 32768)
    assert lengths_of("aime24", 4096).mean < 4096, "cut at the cap"
    assert lengths_of("aime24", 32768, [700] * 100).mean == pytest.approx(700, rel=0.01)
    assert lengths_of("aime24", 32768, [700] * 7).mean > 10_000, "too few"
    assert lengths_of("aime24", 32768, [700] * 100, 2000.0).mean == pytest.approx(2000, rel=0.01)
    assert lengths_of("mine", 128).mean == pytest.approx(64, rel=0.01)
    few, many = (lengths_of("mine", 32768, [700] * count) for count in (16, 1600))
    assert few.high > many.high > 1 > many.low > few.low


def test_time_and_money_follow_from_tokens_cards_and_prices():
    card = place_of(card_named("A40"), 0.5)
    one, four = (forecast([asked()], Engine(32), SHAPE, replace(card, processes=number)) for number in (1, 4))
    assert one.tokens.value == pytest.approx(480 * of_benchmark("aime24", 32768).mean, rel=0.01)
    assert one.tokens.low < one.tokens.value < one.tokens.high
    assert one.usd.value == pytest.approx(one.seconds.value / 3600 * 0.5)
    assert 3 < one.seconds.value / four.seconds.value <= 4.05
    assert four.place == "4 x A40"
    served = forecast([asked(10, mean_tokens=1000.0)], Engine(8, is_server=True), usd_per_million=(1.0, 2.0))
    assert served.seconds is None
    assert served.usd.value == pytest.approx((10 * 180 + 10 * 1000 * 2) / 1e6, rel=0.01)
    assert "your figure" in served.dominates
    shown = forecast_lines(one)
    assert shown[0].startswith("Expected: 480 samples, 5.9")
    assert [line.split()[0] for line in shown[1:]] == ["time", "money", "memory", "depends"]
    assert forecasts_table([one, four]).count("$0.5 an hour") == 2


def test_the_rows_that_fit_are_the_most_that_fit():
    place = place_of(card_named("RTX-4090"))
    room = forecast([asked()], Engine(32), SHAPE, place).room
    assert room.rows_that_fit < 32 < room.rows + 1
    at, above = (forecast([asked()], Engine(room.rows_that_fit + more), SHAPE, place).room.peak_gb for more in (0, 1))
    assert at <= 0.97 * place.memory_gb < above


def test_a_budget_refuses_what_is_surely_dearer_and_ends_what_has_spent_it():
    expected = Forecast("A40", 1, Interval(1, 1, 1), {}, 0, None, Interval(5.0, 2.0, 9.0), "", "")
    refuse_too_dear(expected, 2.0)
    refuse_too_dear(expected, None)
    with pytest.raises(BudgetSpentError, match=r"would cost about \$5.00 \[2.00, 9.00\], and max_usd is 1.9"):
        refuse_too_dear(expected, 1.9)
    meter = Meter(None, 1.0)
    meter.refuse_more(Progress(16, 100, 1.0, 1.0, 0, 0.6))
    meter.finished(0.7)
    with pytest.raises(BudgetSpentError, match=r"has cost \$1.1 of max_usd 1, with 32 of 100 samples"):
        meter.refuse_more(Progress(32, 100, 1.0, 1.0, 0, 0.4))
    meter.refuse_more(Progress(100, 100, 1.0, 0.0, 0, 0.4))  # nothing is left to refuse
    for wrong in ({"usd_per_hour": 0.0}, {"max_usd": float("nan")}, {"mean_tokens": -3.0}):
        with pytest.raises(DataError, match="Give a number above 0"):
            Terms(**wrong)
