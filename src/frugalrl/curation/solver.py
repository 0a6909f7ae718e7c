"""The interface between curation and models: problems in, answers out, from an engine, an endpoint or a script."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Ask:
    """One sample that is wanted of one problem."""

    text: str
    """The problem's, before any template."""
    sample: int
    """0 to n - 1; with the seed it says which answer is drawn."""


@dataclass(frozen=True)
class Answer:
    """A solver's answer."""

    completion: str
    finish_reason: str
    """``stop``, ``length``, ``refused`` where the solver does not take the problem at all, or ``failed`` where the
    request got no answer in all its tries."""
    tokens: int
    """Of the completion; -1 if unknown."""
    reasoning_open: bool = False
    """Whether the prompt had opened ``<think>`` already."""
    prompt_tokens: int = -1
    """Of the prompt; -1 if unknown."""
    said: str = ""
    """Why a problem was refused or failed."""


REFUSED, FAILED = "refused", "failed"
NO_ANSWER = frozenset({REFUSED, FAILED})
"""Finish reasons that may not recur at the next try: such an answer is never cached."""


class Solver(Protocol):
    """Anything that answers problems."""

    @property
    def solver_id(self) -> str:
        """Which model it is: another one has another id, wherever it runs."""
        ...

    @property
    def asked(self) -> str:
        """A hash of prompt, sampling and seed."""
        ...

    @property
    def batch(self) -> int:
        """Useful number of asks at once."""
        ...

    @property
    def most_failed(self) -> float:
        """The share of problems that may fail."""
        ...

    def answers(self, asks: Sequence[Ask]) -> Iterator[tuple[int, Answer]]:
        """The answer to each ask with its position, in the order they are finished.

        Raises ModelError where the solver cannot be reached; what was given before that stays good.
        """
        ...
