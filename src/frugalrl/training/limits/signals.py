"""Ctrl-C and the signals of a machine that is being taken away, as requests to stop after the step."""

import math
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from frugalrl.training.limits.stopping import StopRequest

_ECHO_SECONDS = 2.0
"""A launcher hears of a Ctrl-C when its processes do, and sends it to them again."""


class GracefulStop:
    """Ctrl-C, SIGTERM and SIGHUP: the first asks the run to stop after its step, a second Ctrl-C stops at once.

    Outside of the main thread, where Python allows no handlers, signals are left as they are.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, show: Callable[[str], None], processes: int = 1) -> None:
        """processes: that share the run. Their launcher passes on a Ctrl-C that they got from the terminal too."""
        self._show = show
        self._echo_seconds = _ECHO_SECONDS if processes > 1 else 0.0
        self._asked_at = -math.inf
        self._request = StopRequest()
        self.requested, self.evaluating = self._request.requested, self._request.evaluating

    def __enter__(self) -> "GracefulStop":
        is_main = threading.current_thread() is threading.main_thread()
        # Under nohup SIGHUP stays ignored: such a run is meant to outlive its terminal.
        kept = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        wanted = [number for number in self._SIGNALS if is_main and not (kept and number == signal.SIGHUP)]
        self._before = {number: signal.signal(number, self._ask) for number in wanted}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

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
