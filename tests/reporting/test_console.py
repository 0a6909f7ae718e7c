"""The lines a person reads."""

import pytest

from frugalrl.reporting.console import PROGRESS_HEADER, difference, duration, estimate, progress_line, table
from frugalrl.statistics.intervals import Estimate


def test_a_line_of_progress_stands_under_its_header():
    metrics = {
        "reward/mean": 1.25,
        "verdict/correct_frac": 0.5,
        "completion/mean_tokens": 41.6,
        "completion/truncated_frac": 0.02,
        "policy/kl": 0.0312,
        "policy/entropy": 0.151,
        "throughput/tokens_per_second": 3210.4,
    }
    line = progress_line(7, 100, metrics, 185)
    assert line.split() == ["7/100", "1.250", "50", "%", "42", "2", "%", "0.0312", "0.151", "3210", "3m05s"]
    assert len(line) == len(PROGRESS_HEADER)
    del metrics["policy/kl"]
    assert " - " in progress_line(7, 100, metrics, 185)


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, "0s"), (59.6, "1m00s"), (185, "3m05s"), (7500, "2h05m")])
def test_durations(seconds, shown):
    assert duration(seconds) == shown


def test_numbers_come_with_their_interval():
    assert estimate(Estimate(0.4633, 0.4391, 0.4877)) == "46.3 % [43.9, 48.8]"
    assert difference(Estimate(-0.014, -0.13, 0.103)) == "-1.4 points [-13.0, +10.3]"


def test_columns_line_up():
    assert table([("a", "b"), ("long", "c")]) == "a     b\nlong  c"
