"""Stop requests, from a signal handler to the loop.

A request waits for the end of the step, because half a step is useless; an evaluation is interrupted at once, because
it can last longer than the notice of a spot machine (30 seconds to 2 minutes) and is repeated after a resume.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class StopRequested(Exception):  # noqa: N818 - a request, not an error
    """Raised inside an evaluation to interrupt it."""


class StopRequest:
    """Made by `ask`, from a signal handler of the main thread; read by `requested` and obeyed inside `evaluating`."""

    def __init__(self) -> None:
        self._asked = False
        self._is_evaluating = False

    def requested(self) -> bool:
        return self._asked

    def ask(self) -> None:
        """Raises StopRequested if an evaluation is under way."""
        self._asked = True
        if self._is_evaluating:
            self._is_evaluating = False  # once
            raise StopRequested

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """A block that a request interrupts with StopRequested, or does not enter."""
        if self._asked:
            raise StopRequested
        self._is_evaluating = True
        try:
            yield
        finally:
            self._is_evaluating = False
