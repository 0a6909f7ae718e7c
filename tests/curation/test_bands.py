"""Bands, and stopping at a problem when its band is certain: the same bands as without stopping."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalrl.config.curation_schema import PASS_RATE_BANDS, Band
from frugalrl.curation.bands import PassRate, band_of, certain_band, column_value, easiest
from frugalrl.curation.sampling import fewest_to_certainty
from frugalrl.statistics.intervals import wilson

THREE = (
    Band(name="hard", low=0, high=0.25),
    Band(name="medium", low=0.25, high=0.75),
    Band(name="easy", low=0, high=1),
)


def test_the_first_band_that_holds_a_value_counts():
    assert [band_of(rate, THREE) for rate in (0, 0.25, 0.26, 0.75, 0.76, 1)] == [
        "hard", "hard", "medium", "medium", "easy", "easy",
    ]  # fmt: skip
    assert band_of(1.5, THREE) is None


def test_a_band_is_certain_when_no_sample_can_change_it():
    """Eight samples: 7 right of 7 is easy whatever comes; 0 of 6 may still reach 2/8 = 0.25, which is hard."""
    assert certain_band(7, 7, 8, THREE) == "easy"
    assert certain_band(0, 6, 8, THREE) == "hard"
    assert certain_band(0, 5, 8, THREE) is None
    assert certain_band(2, 2, 8, PASS_RATE_BANDS) is None


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=9), st.sampled_from([THREE, PASS_RATE_BANDS]))
def test_stopping_early_gives_the_band_that_all_samples_give(outcomes, bands):
    """One sample at a time and by rounds of the fewest that may decide: both draw the same and agree with all."""
    total = len(outcomes)
    whole = band_of(sum(outcomes) / total, bands)
    singly = next(n for n in range(1, total + 1) if certain_band(sum(outcomes[:n]), n, total, bands))
    drawn = 0
    while more := fewest_to_certainty(sum(outcomes[:drawn]), drawn, total, bands):
        drawn += more
    assert max(drawn, 1) == singly
    assert certain_band(sum(outcomes[:singly]), singly, total, bands) == whole


def test_certainty_agrees_with_trying_every_outcome():
    for drawn, correct in ((d, c) for d in range(6) for c in range(d + 1)):
        reached = {band_of((correct + sum(rest)) / 5, THREE) for rest in itertools.product([0, 1], repeat=5 - drawn)}
        assert certain_band(correct, drawn, 5, THREE) == (reached.pop() if len(reached) == 1 else None)


def test_a_rate_is_written_with_wilsons_interval():
    values = PassRate("solver", 3, 8, "medium").values()
    expected = wilson(3 / 8, 8)
    assert values["pass_rate"] == 0.375
    assert values["pass_rate_low"] == pytest.approx(expected.ci_low, abs=1e-6)
    assert values["pass_rate_high"] == pytest.approx(expected.ci_high, abs=1e-6)


def test_of_two_solvers_the_better_one_counts():
    weak, strong = PassRate("weak", 0, 8, "never"), PassRate("strong", 8, 8, "always")
    assert easiest([weak, strong], PASS_RATE_BANDS) == easiest([strong, weak], PASS_RATE_BANDS) == strong


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3.0), ("Level 5", 5.0), ("0.25", 0.25), (0.859375, 0.859375), ("?", None), (None, None), (True, None),
        (float("nan"), None),
    ],
)  # fmt: skip
def test_a_level_is_read_from_numbers_and_words(value, number):
    assert column_value({"level": value}, "level") == number
