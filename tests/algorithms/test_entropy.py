"""The entropy bonus: a coefficient that seeks a target."""

import math

import pytest

from frugalrl.algorithms.entropy import EntropyRule, EntropyState, active_coefficient, after_step

ADAPTIVE = EntropyRule(adaptive=True, target=0.2, step=0.005)


def test_the_coefficient_climbs_while_entropy_is_low_and_is_active_only_then():
    """Entropies 0.5 and 0.3 are above 0.2: off, and no lower than 0. Then three steps below, one above, one below."""
    state, active = EntropyState(), []
    for entropy in (0.5, 0.3, 0.2, 0.1, 0.1, 0.25, 0.15):
        active.append(active_coefficient(ADAPTIVE, state))
        state = after_step(ADAPTIVE, state, entropy)
    active.append(active_coefficient(ADAPTIVE, state))
    assert active == pytest.approx([0.0, 0.0, 0.0, 0.005, 0.010, 0.015, 0.0, 0.015])
    assert state == EntropyState(pytest.approx(0.015), 0.15)


def test_the_coefficient_stays_below_its_cap():
    rule, state = EntropyRule(adaptive=True, coef_max=0.012), EntropyState()
    for _ in range(9):
        state = after_step(rule, state, 0.0)
    assert state.coefficient == 0.012


def test_a_fixed_coefficient_never_moves():
    rule = EntropyRule(coef=0.01)
    assert after_step(rule, EntropyState(0.01), 0.0) == EntropyState(0.01)
    assert active_coefficient(rule, EntropyState(0.01)) == 0.01


def test_a_step_that_measured_nothing_changes_nothing():
    state = EntropyState(0.02, 0.1)
    assert after_step(ADAPTIVE, state, math.nan) is state
