"""A bonus on the policy's entropy, so that it keeps exploring: fixed, or held near a target.

    loss = loss - coefficient * mean entropy of the tokens in the loss

Adaptive control is Skywork-OR1's (2505.22312): after each step the coefficient moves by `step`, up if entropy was at
most `target` and down otherwise, and the bonus is active only while entropy is at most the target. As in TRL, the
entropy used is that of the last step, and the coefficient stays between 0 and `coef_max`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class EntropyRule:
    """The settings of the bonus."""

    coef: float = 0.0
    adaptive: bool = False
    target: float = 0.2
    """Nats per token."""
    step: float = 0.005
    coef_max: float = 1.0


@dataclass(frozen=True)
class EntropyState:
    """The state that the next step depends on; saved in checkpoints."""

    coefficient: float = 0.0
    last_entropy: float | None = None
    """Of the previous step, in nats per token; None before the first."""


def active_coefficient(rule: EntropyRule, state: EntropyState) -> float:
    """The weight of the bonus in the coming step."""
    if not rule.adaptive:
        return rule.coef
    below = state.last_entropy is not None and state.last_entropy <= rule.target
    return state.coefficient if below else 0.0


def after_step(rule: EntropyRule, state: EntropyState, entropy: float) -> EntropyState:
    """The state after a step has measured its entropy. A step without one (NaN) changes nothing."""
    if not rule.adaptive or entropy != entropy:
        return state
    moved = state.coefficient + (rule.step if entropy <= rule.target else -rule.step)
    return EntropyState(min(max(moved, 0.0), rule.coef_max), entropy)
