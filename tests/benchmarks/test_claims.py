"""The paper's claims against made-up runs whose answer can be seen by eye."""

import math
from collections.abc import Callable, Sequence

import pytest
from claims import (
    accuracy_by_step,
    claim_verdict,
    collapse_step,
    paper_claims,
    window_mean,
)
from scipy import stats

from frugalrl.reporting.run_record import RunRecord, Values
from frugalrl.statistics.intervals import Estimate, over_seeds

Lines = Sequence[tuple[int, Values]]


def a_run(
    accuracies: dict[int, float],
    tokens: float = 40.0,
    truncated: Callable[[int], float] = lambda step: 0.05,
    kl: Callable[[int], float] = lambda step: 0.001 * step,
    foreign: Callable[[int], float] = lambda step: 0.05,
) -> RunRecord:
    last = max(accuracies)
    steps = [
        (
            step,
            {
                "completion/mean_tokens": tokens,
                "completion/truncated_frac": truncated(step),
                "policy/kl": kl(step),
                "meter/foreign_completion_frac": foreign(step),
            },
        )
        for step in range(1, last + 1)
    ]
    evaluations = [
        (step, {"validation/avg_at_k": value, "validation/mean_tokens": tokens + 1})
        for step, value in accuracies.items()
    ]
    looks_at_test = [(step, {"test/avg_at_k": 0.99}) for step in (0, last)]
    return record("run", steps, [*evaluations, *looks_at_test])


def record(label: str, steps: Lines, evaluations: Lines) -> RunRecord:
    rest = {"samples": [], "summary": {}, "looks": [], "environment": {}, "guard": [], "notes": []}
    return RunRecord(label=label, recipe_text="", recipe={}, steps=steps, evaluations=evaluations, **rest)


def runs(accuracies: dict[int, float], tokens: float = 40.0, **given: Callable[[int], float]) -> list[RunRecord]:
    """Three seeds that differ by half a point and half a token."""
    shifts = (-0.005, 0.0, 0.005)
    return [
        a_run({step: value + shift * (step > 0) for step, value in accuracies.items()}, tokens + 100 * shift, **given)
        for shift in shifts
    ]


RISE = {0: 0.40, 10: 0.60, 20: 0.80, 60: 0.75, 100: 0.70}
EXPERIMENTS = {
    "open-rs1": runs(RISE, tokens=60.0, truncated=lambda step: 0.3 if 41 <= step <= 50 else 0.1),
    "open-rs2": runs({**RISE, 10: 0.85}, tokens=50.0),
    "open-rs3": runs(RISE, tokens=50.0, kl=lambda step: 0.02, foreign=lambda step: 0.005 * step),
    "open-rs3-language": runs({**RISE, 100: 0.68}, tokens=50.0),
    "collapse": runs({0: 0.40, 5: 0.85, 40: 0.10}),
}
CLAIMS = {claim.name: claim for claim in paper_claims(EXPERIMENTS)}


def test_the_interval_over_seeds_is_scipys():
    values = [0.31, 0.35, 0.42]
    low, high = stats.t.interval(0.95, df=2, loc=stats.tmean(values), scale=stats.sem(values))
    found = over_seeds(values)
    assert (found.value, found.ci_low, found.ci_high) == pytest.approx((0.36, low, high))


def test_one_seed_has_no_interval_and_decides_nothing():
    assert claim_verdict(over_seeds([0.3]), smallest=0.01) == "inconclusive"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.02, 0.30, "reproduced"),
        (-0.10, 0.30, "inconclusive"),
        (-0.10, 0.005, "not reproduced"),
        (-0.30, -0.10, "not reproduced"),
        (math.nan, math.nan, "inconclusive"),
    ],
)
def test_the_whole_interval_decides(low, high, verdict):
    assert claim_verdict(Estimate(0.0, low, high), smallest=0.01) == verdict


def test_the_early_gain_is_read_at_a_fifth_of_the_steps_and_not_at_the_best():
    claim = CLAIMS["early gain, open-rs2"]
    assert claim.values == pytest.approx((0.395, 0.400, 0.405))  # step 20: 80 %, though step 10 has 85 %
    assert claim.verdict == "reproduced"


def test_the_later_loss_is_early_less_last():
    assert CLAIMS["later loss, collapse"].values == pytest.approx((0.75, 0.75, 0.75))
    assert CLAIMS["later loss, open-rs1"].values == pytest.approx((0.10, 0.10, 0.10))
    assert CLAIMS["collapse ends below its base"].values == pytest.approx((0.305, 0.300, 0.295))


def test_equal_seeds_have_no_interval_and_are_not_called_reproduced():
    assert CLAIMS["later loss, collapse"].verdict == "inconclusive"


def test_truncation_is_the_worst_tenth_less_the_first_step():
    assert CLAIMS["truncation pressure, open-rs1"].values == pytest.approx((0.2, 0.2, 0.2))


def test_lengths_are_compared_between_settings_seed_by_seed():
    assert CLAIMS["mixing shortens, in training"].values == pytest.approx((10.0, 10.0, 10.0))
    assert CLAIMS["mixing shortens, same problems"].values == pytest.approx((10.0, 10.0, 10.0))
    assert CLAIMS["cosine shortens further"].values == pytest.approx((0.0, 0.0, 0.0))


def test_the_peak_is_the_highest_evaluation():
    assert CLAIMS["cosine costs peak accuracy"].values == pytest.approx((0.05, 0.05, 0.05))


def test_kl_is_compared_between_the_first_and_the_last_tenth():
    # Medians of 0.001 x step over 91..100 and over 1..10: 0.0955 - 0.0055.
    assert CLAIMS["KL grows, open-rs1"].values == pytest.approx((0.09, 0.09, 0.09))
    assert CLAIMS["KL grows, open-rs3"].values == pytest.approx((0.0, 0.0, 0.0))


def test_drift_is_the_last_tenth_less_the_first():
    # Means of 0.005 x step over 91..100 and over 1..10: 0.4775 - 0.0275.
    assert CLAIMS["language drift, open-rs3"].values == pytest.approx((0.45, 0.45, 0.45))
    assert CLAIMS["language drift, open-rs2"].values == pytest.approx((0.0, 0.0, 0.0))


def test_a_language_reward_is_held_against_the_same_setting_without_it():
    assert CLAIMS["a language reward stops drift"].values == pytest.approx((0.4275, 0.4275, 0.4275))
    assert CLAIMS["a language reward costs accuracy"].values == pytest.approx((0.02, 0.02, 0.02))


def test_a_window_leaves_out_what_was_not_finite():
    run = a_run({0: 0.4, 10: 0.5})
    gap = record("run", [(1, {"m": 1.0}), (2, {"m": None}), (4, {"m": 3.0})], run.evaluations)
    assert window_mean(gap, "m", 0.0, 0.5) == 1.0
    assert window_mean(gap, "m", 0.0, 1.0) == 2.0
    assert math.isnan(window_mean(gap, "absent", 0.0, 1.0))


@pytest.mark.parametrize(
    ("accuracies", "step"),
    [
        ({0: 0.4, 10: 0.8, 20: 0.3, 30: 0.2}, 20),
        ({0: 0.4, 10: 0.3, 20: 0.5, 30: 0.2}, 30),
        ({0: 0.4, 10: 0.3, 20: 0.5}, None),
        ({0: 0.4, 10: 0.8, 20: 0.4}, None),
    ],
)
def test_a_run_has_collapsed_where_it_stays_below_its_base(accuracies, step):
    assert collapse_step(a_run(accuracies)) == step


def test_a_run_that_was_not_evaluated_early_is_refused():
    late = runs({0: 0.4, 50: 0.6, 100: 0.5})
    with pytest.raises(ValueError, match="no evaluation between the base's"):
        paper_claims({**EXPERIMENTS, "open-rs1": late})


def test_a_run_without_validation_is_refused():
    bare = record("bare", [], [])
    with pytest.raises(ValueError, match="bare has 0 evaluations"):
        accuracy_by_step(bare)
