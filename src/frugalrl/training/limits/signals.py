"""Ctrl-C and the signals of a machine that is being taken away, as requests to stop after the step."""

import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from frugalrl.training.limits.stopping import StopRequest

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ECHO_SECONDS = 2.0
"""A launcher hears of a Ctrl-C when its processes do, and sends it to them again."""


class Interrupts:
    """Ctrl-C, SIGTERM and SIGHUP alike raise KeyboardInterrupt, once: what a launcher passes on is heard already.

    Outside of the main thread, where Python allows no handlers, signals are left as they are.
    """

    def __enter__(self) -> "Interrupts":
        self._asked_at = -math.inf
        self._before = _handled(self._interrupt)
        return self

    def __exit__(self, *error: object) -> None:
        _restore(self._before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        before, self._asked_at = self._asked_at, time.monotonic()
        if self._asked_at - before >= _ECHO_SECONDS:
            raise KeyboardInterrupt


class GracefulStop:
    """Ctrl-C, SIGTERM and SIGHUP: the first asks the run to stop after its step, a second Ctrl-C stops at once.

    Outside of the main thread, where Python allows no handlers, signals are left as they are.
    """

    def __init__(self, show: Callable[[str], None], processes: int = 1) -> None:
        """processes: that share the run. Their launcher passes on a Ctrl-C that they got from the terminal too."""
        self._show = show
        self._echo_seconds = _ECHO_SECONDS if processes > 1 else 0.0
        self._asked_at = -math.inf
        self._request = StopRequest()
        self.requested, self.evaluating = self._request.requested, self._request.evaluating

    def __enter__(self) -> "GracefulStop":
        self._before = _handled(self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        _restore(self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.requested() and number == signal.SIGINT:
            if time.monotonic() - self._asked_at < self._echo_seconds:
                return
            raise KeyboardInterrupt
        self._asked_at = time.monotonic()
        try:
            self._request.ask()  # first: a second signal may come while the line is printed
        finally:
            self._show("\nStopping after this step, with a checkpoint. Press Ctrl-C again to stop at once.")


def _handled(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Give the signals a handler; returns those that they had."""
    is_main = threading.current_thread() is threading.main_thread()
    # Under nohup SIGHUP stays ignored: such a run is meant to outlive its terminal.
    kept = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    wanted = [number for number in _SIGNALS if is_main and not (kept and number == signal.SIGHUP)]
    return {number: signal.signal(number, handler) for number in wanted}


def _restore(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
