"""The guard's state, as frozen values that survive a round trip through JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from frugalrl.statistics.sequential import Evidence
from frugalrl.training.guard.signs import CHANGE_SIGNS, WARNING_SIGNS, Detector, Watch


@dataclass(frozen=True)
class Reference:
    """The best evaluation so far: what later ones are compared with, and where a rollback goes."""

    step: int
    accuracy: float
    allowance: float
    """How much of the accuracy may be luck."""


@dataclass(frozen=True)
class Rollback:
    """A rollback that was decided."""

    step: int
    """The step after which it was decided."""
    to: int
    """The step of the reference; 0 is the base."""
    reason: str


@dataclass(frozen=True)
class GuardState:
    """The guard's memory of a run."""

    detectors: Mapping[str, Detector] = field(default_factory=lambda: {name: Detector() for name in CHANGE_SIGNS})
    watches: Mapping[str, Watch] = field(default_factory=lambda: {name: Watch() for name in WARNING_SIGNS})
    credit: float = 1.0
    """Evaluations that the guard may still request; steps earn it."""
    look_tokens: float = 0.0
    """Mean tokens of a completion in the newest evaluation; 0 before the first."""
    sign: str | None = None
    """A sign that is waiting for an evaluation, in words."""
    asked: bool = False
    """An evaluation was requested and not yet made."""
    evaluations: int = 0
    """Number of evaluations on all problems, each of which could have become the reference."""
    reference: Reference | None = None
    evidence: Evidence = field(default_factory=Evidence)
    last_look: int = 0
    """The step of the newest evaluation."""
    suspect_since: int | None = None
    """The step at which a drop was found that is not yet confirmed."""
    called: int = 0
    """Requested evaluations that were made, without that of the base."""
    rollbacks: tuple[Rollback, ...] = ()
    lr_factor: float = 1.0
    """The product of the factors of all rollbacks."""
    pending: bool = False
    """The last rollback was decided and not yet carried out."""
    stopped: str | None = None
    """Why the run was stopped."""


def to_json(state: GuardState) -> dict[str, Any]:
    """Plain JSON values; every number in them is finite."""
    return asdict(state)


def from_json(values: Mapping[str, Any]) -> GuardState:
    """The inverse of `to_json`, also after a round trip through text. Raises KeyError or TypeError for anything
    else."""
    reference, evidence = values["reference"], values["evidence"]
    kept = {
        "detectors": {name: _tupled(Detector, values["detectors"][name], "warm_up") for name in CHANGE_SIGNS},
        "watches": {name: _tupled(Watch, values["watches"][name], "early", "recent") for name in WARNING_SIGNS},
        "reference": None if reference is None else Reference(**reference),
        "evidence": _tupled(Evidence, evidence, "log_wealth"),
        "rollbacks": tuple(Rollback(**one) for one in values["rollbacks"]),
    }
    return GuardState(**{**values, **kept})


def _tupled(kind: Any, values: Mapping[str, Any], *names: str) -> Any:
    """A frozen record whose sequences JSON has made lists."""
    return kind(**{**values, **{name: tuple(values[name]) for name in names}})
