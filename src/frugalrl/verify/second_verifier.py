"""math-verify as it is published, called as its own documentation does: a second opinion on stored completions.

It has no say in training. What it accepts and this package's verifier does not, or the other way round, is worth a
look. It runs in a process of its own, one answer after another: its own time limit is an alarm, which some inputs
ignore, so the process is ended from outside and started again.

Run as ``python -m frugalrl.verify.second_verifier``, it is that process.
"""

import json
import os
import resource
import selectors
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Self

from frugalrl.types import Verdict
from frugalrl.verify.maths.extraction import text_after_reasoning
from frugalrl.verify.reasons import WALL_LIMIT

NAME = "math-verify"
_SECONDS = 10.0
"""For one answer: math-verify's own limit is five for parsing and five for comparing."""
_MEMORY_BYTES = 2 << 30


class SecondVerifier:
    """The process, from the first answer to the end of the ``with`` block."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[str] | None = None

    def verdict(self, completion: str, golds: Sequence[str], reasoning_open: bool) -> Verdict:
        """Whether math-verify finds one of the golds in what follows the reasoning."""
        text = text_after_reasoning(completion, reasoning_open)
        if text is None:
            return Verdict("incorrect", None, "unclosed_reasoning")
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"text": text, "golds": list(golds)}) + "\n")
            process.stdin.flush()
            line = _line_within(process.stdout, self._seconds)
        except OSError:
            line = ""
        if not line:
            self._end()
            return Verdict("unknown", None, WALL_LIMIT)
        answer = json.loads(line)
        return Verdict(answer["label"], answer["extracted"], answer["reason"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _started(self) -> "subprocess.Popen[str]":
        if self._process is None:
            environment = {**os.environ, "SYMPY_GROUND_TYPES": "python", "MPMATH_NOGMPY": "1"}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "frugalrl.verify.second_verifier"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
            assert self._process.stdout is not None
            _line_within(self._process.stdout, 60.0)  # it says when it has imported sympy
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None


def _line_within(stream: IO[str], seconds: float) -> str:
    """The next line; nothing if it takes longer, or the other side has ended."""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        return stream.readline() if selector.select(seconds) else ""


# --------------------------------------------------------------------------------------------- in the process


def _judged(text: str, golds: Sequence[str]) -> dict[str, str | None]:
    """The verdict of math-verify with its defaults; a gold is put in a box, or it would be misread."""
    import math_verify

    answer = math_verify.parse(text)
    read = [math_verify.parse(gold if "\\boxed" in gold else f"\\boxed{{{gold}}}") for gold in golds]
    shown = str(answer[-1]) if answer else None
    if not any(read):
        return {"label": "unknown", "extracted": shown, "reason": "unreadable_gold"}
    same = any(math_verify.verify(gold, answer) for gold in read if gold)
    return {
        "label": "correct" if same else "incorrect",
        "extracted": shown,
        "reason": "equal" if same else "different" if answer else "no_answer",
    }


def _main() -> None:
    import math_verify

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    math_verify.verify(math_verify.parse("$1$"), math_verify.parse("$1$"))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = _judged(asked["text"], asked["golds"])
        except Exception as error:  # whatever a parser raises on odd input: it has no verdict
            answer = {"label": "unknown", "extracted": None, "reason": type(error).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
