"""What the guard would have done in a run, from the lines of its log: a pure replay.

Decisions: every line is observed as the trainer would have, so that over the log of a guarded run the replay finds the
decisions of the run. After a rollback that did not happen, the log goes on with the policy that would have been
left; what is found later is still shown, since it says whether the signals kept firing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from frugalrl.config.stability_schema import GuardSettings
from frugalrl.training.guard.rules import Decision, observe, rolled_back
from frugalrl.training.guard.signals import SIGNALS, Reading, settings_of
from frugalrl.training.guard.state import GuardState

Line = tuple[int, Mapping[str, float]]
"""A step, and the metrics of one line of the log."""


@dataclass(frozen=True)
class Worst:
    """How far a signal went at its worst."""

    signal: str
    action: str
    """The most it may cause."""
    step: int | None
    """Of its worst reading; None if it had none."""
    reading: Reading | None


@dataclass(frozen=True)
class Replay:
    """The outcome of a replay."""

    decisions: tuple[Decision, ...]
    """Those that were not to do nothing, in order."""
    worst: tuple[Worst, ...]
    """One for each signal, in the order of the table."""
    state: GuardState
    """At the end of the log."""


def replay(lines: Sequence[Line], settings: GuardSettings) -> Replay:
    """Observe all lines of a log in order."""
    state = GuardState()
    decisions = []
    worst: dict[str, tuple[int, Reading]] = {}
    for step, metrics in lines:
        state, decision = observe(rolled_back(state), step, metrics, settings)
        if decision.action != "none":
            decisions.append(decision)
        for name, signal in state.signals.items():
            reading = signal.reading
            if reading is not None and (name not in worst or reading.severity > worst[name][1].severity):
                worst[name] = (step, reading)
    found = [(name, *worst.get(name, (None, None))) for name in SIGNALS]
    table = tuple(Worst(name, settings_of(name, settings).action, step, reading) for name, step, reading in found)
    return Replay(tuple(decisions), table, state)
