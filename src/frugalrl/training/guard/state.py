"""What the guard remembers, as frozen values that go through JSON and come back equal."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from frugalrl.training.guard.signals import SIGNALS, Reading, Score


@dataclass(frozen=True)
class SignalState:
    """One signal's memory."""

    early: tuple[float, ...] = ()
    """Its values in the run's first steps."""
    recent: tuple[float, ...] = ()
    """Its newest values, oldest first."""
    best: float | None = None
    """The highest median over a window, of the reward."""
    reading: Reading | None = None
    """The newest."""
    severities: tuple[float, ...] = ()
    """Of its newest readings, oldest first."""
    crossed_at: int | None = None
    """The step at which the excursion began that it is in."""
    fired_at: int | None = None
    """The step at which it was found to hold; None while it does not fire."""


@dataclass(frozen=True)
class Rollback:
    """A rollback that was decided."""

    step: int
    """After which it was decided."""
    before: int
    """Checkpoints of this step or later are not good."""
    reason: str


@dataclass(frozen=True)
class GuardState:
    """The guard's memory of a run."""

    signals: Mapping[str, SignalState] = field(default_factory=lambda: {name: SignalState() for name in SIGNALS})
    scores: tuple[Score, ...] = ()
    """Every validation so far."""
    rollbacks: tuple[Rollback, ...] = ()
    lr_factor: float = 1.0
    """The product of the factors of all rollbacks."""
    quiet_until: int = 0
    """Nothing is done up to this step: the policy has just been rolled back."""
    pending: bool = False
    """The last rollback was decided and not yet made."""
    stopped: str | None = None
    """Why the run was stopped."""

    @property
    def firing(self) -> tuple[str, ...]:
        """The signals that fire, in the order of the table."""
        return tuple(name for name in SIGNALS if self.signals[name].fired_at is not None)

    @property
    def best(self) -> Score | None:
        """The best validation; of equals the first."""
        return max(self.scores, key=lambda score: (score.value, -score.step), default=None)


def to_json(state: GuardState) -> dict[str, Any]:
    """Plain JSON values; every number in them is finite."""
    return asdict(state) | {"signals": {name: asdict(signal) for name, signal in state.signals.items()}}


def from_json(values: Mapping[str, Any]) -> GuardState:
    """The inverse of `to_json`, also after a way through text. Raises KeyError or TypeError for anything else."""
    return GuardState(
        signals={name: _signal(values["signals"][name]) for name in SIGNALS},
        scores=tuple(Score(**one) for one in values["scores"]),
        rollbacks=tuple(Rollback(**one) for one in values["rollbacks"]),
        lr_factor=values["lr_factor"],
        quiet_until=values["quiet_until"],
        pending=values["pending"],
        stopped=values["stopped"],
    )


def _signal(values: Mapping[str, Any]) -> SignalState:
    reading = values["reading"]
    return SignalState(
        early=tuple(values["early"]),
        recent=tuple(values["recent"]),
        best=values["best"],
        reading=None if reading is None else Reading(**reading),
        severities=tuple(values["severities"]),
        crossed_at=values["crossed_at"],
        fired_at=values["fired_at"],
    )
