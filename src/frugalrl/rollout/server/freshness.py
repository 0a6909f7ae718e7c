"""Whether a server samples from the weights that it was sent: a verdict from what it reports and what it computes.

Pure. After each update the server scores fixed completions, and so does the trainer. Three witnesses, since no one of
them sees everything:
- the version that the server names: catches an update that was skipped and a server that was restarted;
- the checksums of the tensors that its workers received: catches a part that is missing or damaged;
- the log-probs: catch whatever else, such as an output head that is packed once and never again.

The bounds on the log-probs are measured (docs/servers.md). In fp32 a fresh server differs by at most 3.9e-7 in the mean
and 2e-5 at a token, and one that is a single step behind at a learning rate of 1e-6 by 4e-5 and 2.7e-3; an old head
after one such step by 6e-6 and 2.2e-4. In bf16 a fresh server differs by 1.6e-3 and 0.2, more than a step at 1e-6 does:
there the log-probs tell only a server that has not moved at all where the trainer has, or one that is far off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """The largest difference between a fresh server and the trainer, in nats at temperature 1."""

    mean: float
    """Over all tokens of the probe."""
    largest: float
    """At one token."""
    moved: float
    """A mean change of the trainer's log-probs that a fresh server must have followed at least a little."""


FLOAT32 = Bounds(mean=2e-6, largest=1e-4, moved=2e-6)
BFLOAT16 = Bounds(mean=5e-3, largest=0.6, moved=1e-4)
"""If either side computes in 16 bits."""
_NULL_FACTOR = 3.0
"""Other kernels and larger models round more: bounds grow to this many times what the first update shows."""
_CEILINGS = {FLOAT32: Bounds(2e-5, 1e-3, 2e-6), BFLOAT16: Bounds(2e-2, 2.0, 1e-4)}
"""And not beyond this: a first update that went wrong must not become the measure."""


@dataclass(frozen=True)
class Gap:
    """How far apart two lists of log-probs are."""

    mean: float
    largest: float

    @staticmethod
    def between(one: Sequence[float], other: Sequence[float]) -> "Gap":
        """Of the same tokens, in the same order; there is at least one. NaN counts as infinitely far."""
        differences = [abs(a - b) if a == a and b == b else float("inf") for a, b in zip(one, other, strict=True)]
        return Gap(sum(differences) / len(differences), max(differences))


@dataclass(frozen=True)
class Witness:
    """What is known of a server after an update."""

    version: str
    """The name of the weights that it reports."""
    received: Sequence[Mapping[str, str]]
    """For each worker: the checksum of each tensor that it received."""
    logprobs: Sequence[float]
    """Of the probe's tokens."""


def bounds_for(dtypes: Sequence[str]) -> Bounds:
    """By the dtypes of the servers and the trainer."""
    return FLOAT32 if all(one == "float32" for one in dtypes) else BFLOAT16


def ceiling_of(bounds: Bounds) -> Bounds:
    """What the first update of a run is held to."""
    return _CEILINGS[bounds]


def after_first(bounds: Bounds, first: Gap) -> Bounds:
    """The bounds for the rest of a run, once its first update is within the ceiling."""
    mean, largest = _NULL_FACTOR * first.mean, _NULL_FACTOR * first.largest
    return Bounds(max(bounds.mean, mean), max(bounds.largest, largest), bounds.moved)


def staleness(
    expected_version: str,
    sent: Mapping[str, str],
    witness: Witness,
    trainer: Sequence[float],
    bounds: Bounds,
    before: tuple[Sequence[float], Sequence[float]] | None = None,
) -> str | None:
    """What is wrong with the weights of a server, as the end of a sentence; None if they are fresh.

    sent: the checksum of each tensor of this update. trainer: its log-probs of the probe's tokens. before: those of
    server and trainer after the update before this one.
    """
    if witness.version != expected_version:
        return (
            f"names its weights {witness.version!r} and should have {expected_version!r}: the update was skipped, "
            "or the server was restarted with its first weights"
        )
    missing = _missing(sent, witness.received)
    if missing is not None:
        return missing
    gap = Gap.between(witness.logprobs, trainer)
    moved = None if before is None else Gap.between(before[1], trainer)
    stood_still = before is not None and list(before[0]) == list(witness.logprobs)
    if moved is not None and stood_still and moved.mean > bounds.moved:
        return (
            "computes exactly what it did before the update, while the policy has moved by "
            f"{moved.mean:.2g} nats a token: the update was skipped"
        )
    if gap.mean <= bounds.mean and gap.largest <= bounds.largest:
        return None
    apart = (
        f"is {gap.mean:.2g} nats a token from the policy (at most {gap.largest:.2g}; a fresh one is within "
        f"{bounds.mean:.2g} and {bounds.largest:.2g})"
    )
    return (
        f"{apart} though all {len(sent)} tensors arrived: a part of it computes with older weights, such as a packed "
        "output head, or it runs another model"
    )


def _missing(sent: Mapping[str, str], received: Sequence[Mapping[str, str]]) -> str | None:
    """What a worker did not receive as it was sent; None if all did."""
    for number, own in enumerate(received):
        wrong = [name for name, checksum in sent.items() if own.get(name) != checksum]
        if wrong:
            absent = sum(name not in own for name in wrong)
            how = "did not receive" if absent == len(wrong) else "received damaged or older"
            return f"was half updated: worker {number} {how} {len(wrong)} of {len(sent)} tensors, such as {wrong[0]}"
    return None
