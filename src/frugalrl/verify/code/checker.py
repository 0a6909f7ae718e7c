"""The code reward: a completion's Python against the problem's tests, in a sandbox.

Tests are read from the columns people have: `test` with `entry_point` (HumanEval), `test_list` with
`test_imports` (MBPP), or `verification_info` with `test_cases` of input and output (open-r1). Calls are graded
from another process and another sandbox than the graded code (`sandboxed.py`); programs that read input and
print are compared line by line here, all lines: the released comparison stopped at the shorter text.

A program that a limit refused memory, a thread or space, that the kernel killed, or that the machine gave no
processor, has no verdict: `unknown`, never `incorrect`. One that used up its own time has: `timeout` is a failure.

Without isolation the reward refuses to run, unless the user accepts the risk in so many words.
"""

import ast
import contextlib
import functools
import json
import os
import re
import secrets
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from frugalrl.errors import DataError, RecipeError
from frugalrl.text.reasoning import split_reasoning
from frugalrl.types import Problem, Verdict, VerdictLabel
from frugalrl.verify.code.sandbox import Limits, Sandbox, isolation_problem, memory_file, start, stop
from frugalrl.verify.code.sandboxed import REFUSALS
from frugalrl.verify.reasons import KILLED, LIMIT_REASONS, WALL_LIMIT

TIMEOUT = "timeout"
_LOOK_SECONDS = 0.1
_END_SECONDS = 1.0
"""For a program whose pipes are closed to end."""
_STATUS_REASONS = {
    **{status: reason for reason, status in REFUSALS.items()},
    **dict.fromkeys((-signal.SIGXCPU, 128 + signal.SIGXCPU), TIMEOUT),
    **dict.fromkeys((-signal.SIGKILL, 128 + signal.SIGKILL), KILLED),
}
"""Of the interpreter itself, and as bubblewrap passes it on."""


@dataclass(frozen=True)
class CallTests:
    """Tests that call the program's functions."""

    tests: tuple[str, ...]
    """Each a piece of Python that raises if the program is wrong."""
    preamble: str
    """Run before the tests, in the grader: imports, helpers of the prompt."""
    entry_point: str
    """The function handed to the tests' ``check``; empty if the tests name functions themselves."""


@dataclass(frozen=True)
class PrintTests:
    """Tests that give input and compare what is printed."""

    cases: tuple[tuple[str, str], ...]
    """(standard input, expected standard output)."""


Tests = CallTests | PrintTests


@dataclass(frozen=True)
class Outcome:
    """The outcome of a program."""

    passed: int
    total: int
    reason: str
    """In a word or two: ``"passed"``, ``"timeout"``, ``"AssertionError"``, or one of `LIMIT_REASONS`."""

    @property
    def is_undecided(self) -> bool:
        """Whether a limit decided, not the tests."""
        return self.passed < self.total and self.reason in LIMIT_REASONS


@dataclass(frozen=True)
class CodeSettings:
    """How programs are run and rewarded."""

    limits: Limits
    workers: int
    partial_credit: bool
    isolated: bool


def code_settings(
    wall_seconds: float = 10.0,
    memory_mb: int = 512,
    workers: int = 2,
    partial_credit: bool = False,
    accept_risk_without_sandbox: bool = False,
) -> CodeSettings:
    """Settings of the code reward.

    wall_seconds: for a program with all its tests; memory_mb: address space of each process; workers: programs
    at once; partial_credit: pay the share of tests passed, else all or nothing.

    Raises ValueError for a limit that is not positive, and RecipeError where programs cannot be isolated and
    the risk is not accepted.
    """
    if wall_seconds <= 0 or memory_mb < 64 or workers < 1:
        raise ValueError("wall_seconds must be positive, memory_mb at least 64 and workers at least 1")
    problem = isolation_problem()
    if problem is not None and not accept_risk_without_sandbox:
        raise RecipeError(
            f"The code reward would run a model's programs without isolation: {problem}. Fix that, or accept "
            "that they can read, change and send whatever you can with accept_risk_without_sandbox: true."
        )
    limits = Limits(wall_seconds=wall_seconds, memory_bytes=memory_mb << 20)
    return CodeSettings(limits, workers, partial_credit, isolated=problem is None)


def code_rewards(
    completions: Sequence[str], problem: Problem, reasoning_open: bool, settings: CodeSettings
) -> list[float | None]:
    """One value in 0..1 for each completion; None where a limit decided, and for all if the problem has no tests."""
    tests = find_tests(problem)
    if tests is None:
        return [None] * len(completions)
    programs = [extract_code(completion, reasoning_open) for completion in completions]
    outcomes = _outcomes(programs, tests, settings)
    return [None if outcome.is_undecided else _paid(outcome, settings) for outcome in outcomes]


def _paid(outcome: Outcome, settings: CodeSettings) -> float:
    share = outcome.passed / outcome.total
    return share if settings.partial_credit else float(share == 1.0)


def code_verdicts(completions: Sequence[str], problem: Problem, reasoning_open: bool) -> list[Verdict]:
    """The verdicts of a code problem: correct if all tests pass under the default limits.

    Unknown where a limit decided, and for all if the problem has no tests or programs cannot be isolated.
    """
    tests, no_sandbox = find_tests(problem), isolation_problem()
    if tests is None or no_sandbox is not None:
        return [Verdict("unknown", None, "no_tests" if tests is None else "no_sandbox")] * len(completions)
    programs = [extract_code(completion, reasoning_open) for completion in completions]
    outcomes = _outcomes(programs, tests, code_settings())
    return [
        Verdict(_label(outcome), program or None, outcome.reason)
        for program, outcome in zip(programs, outcomes, strict=True)
    ]


def _label(outcome: Outcome) -> VerdictLabel:
    if outcome.is_undecided:
        return "unknown"
    return "correct" if outcome.passed == outcome.total else "incorrect"


def _outcomes(programs: Sequence[str], tests: Tests, settings: CodeSettings) -> list[Outcome]:
    with ThreadPoolExecutor(settings.workers) as threads:
        return list(
            threads.map(lambda program: _remembered(program, tests, settings.limits, settings.isolated), programs)
        )


@functools.lru_cache(maxsize=1024)
def _remembered(program: str, tests: Tests, limits: Limits, isolated: bool) -> Outcome:
    """A verdict and a reward ask for the same run, and completions of a group often hold the same program."""
    return run_tests(program, tests, limits, isolated)


def extract_code(completion: str, reasoning_open: bool) -> str:
    """The last fenced block of Python after the reasoning (of the whole text if there was none); "" if none."""
    reasoning, answer = split_reasoning(completion, reasoning_open)
    opened = reasoning_open or "<think>" in completion or "</think>" in completion
    blocks = re.findall(r"```(?:python|py|Python)?[ \t]*\n(.*?)```", answer if opened else reasoning, re.DOTALL)
    return blocks[-1] if blocks else ""


def find_tests(problem: Problem) -> Tests | None:
    """The tests in a problem's columns, or None. Raises DataError if they are there and cannot be read."""
    columns = problem.columns
    if isinstance(columns.get("test"), str) and isinstance(columns.get("entry_point"), str):
        prompt = problem.text if _defines(problem.text, columns["entry_point"]) else ""
        return CallTests((columns["test"],), prompt, columns["entry_point"])
    if columns.get("test_list"):
        imports = columns.get("test_imports") or []
        return CallTests(tuple(map(str, columns["test_list"])), "\n".join(map(str, imports)), "")
    if columns.get("verification_info"):
        return _print_tests(columns["verification_info"], problem.id)
    return None


def run_tests(program: str, tests: Tests, limits: Limits, isolated: bool = True) -> Outcome:
    """Run a program's tests in fresh sandboxes. Never raises for what the program does."""
    total = len(tests.tests if isinstance(tests, CallTests) else tests.cases)
    if not program.strip():
        return Outcome(0, total, "no_code")
    if isinstance(tests, CallTests):
        return _run_call_tests(program, tests, limits, isolated)
    clock = _Clock(limits)
    passed, reason = 0, "passed"
    for given, expected in tests.cases:
        printed, problem = _printed(program, given, limits, isolated, clock)
        right = problem == "" and _lines(printed) == _lines(expected)
        passed += right
        if not right and reason not in LIMIT_REASONS:  # a case without a verdict leaves the whole without one
            reason = problem or "different output"
    return Outcome(passed, total, reason)


class _Clock:
    """The time of one program with all its tests: its own, without what its processes stood in line for."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._started = time.monotonic()
        self._waited: dict[int, float] = {}

    def exceeded(self, sandboxes: Sequence[Sandbox]) -> str:
        """`timeout` if the program has used up its time, `wall_limit` if the machine has; "" if neither."""
        for sandbox in sandboxes:
            waited = sandbox.waited_seconds()
            self._waited[id(sandbox)] = max(waited, self._waited.get(id(sandbox), 0.0))
        elapsed = time.monotonic() - self._started
        if elapsed - sum(self._waited.values()) >= self._limits.wall_seconds:
            return TIMEOUT
        return WALL_LIMIT if elapsed >= self._limits.wall_factor * self._limits.wall_seconds else ""


# -------------------------------------------------------------------------------- functions that are called


def _run_call_tests(program: str, tests: CallTests, limits: Limits, isolated: bool) -> Outcome:
    nonce = secrets.token_hex(16)
    source = f"{tests.preamble}\n{program}" if tests.entry_point else program
    config = {
        "nonce": nonce,
        "source": source,
        "tests": tests.tests,
        "preamble": tests.preamble,
        "entry_point": tests.entry_point,
    }
    report = _graded(json.dumps(config).encode(), limits, isolated)
    total = len(tests.tests)
    if isinstance(report, str):
        return Outcome(0, total, report)
    if report.get("nonce") != nonce or type(report.get("passed")) is not int:
        return Outcome(0, total, "no report")
    if report["run"] != total or report["calls"] < 1:
        return Outcome(0, total, report["refused"] or str(report["reason"])[:80] or "no test called the program")
    reason = "passed" if report["passed"] == total else report["refused"] or str(report["reason"])[:80]
    return Outcome(report["passed"], total, reason)


def _graded(config: bytes, limits: Limits, isolated: bool) -> Mapping[str, Any] | str:
    """The grader's report, empty if it is not one; or why there is none that counts."""
    to_solution, to_grader, report = os.pipe(), os.pipe(), os.pipe()
    config_fd = memory_file("config", config)
    ends = (*to_solution, *to_grader, report[1], config_fd)
    sandboxes: list[Sandbox] = []
    with _folder(isolated) as folder:
        try:
            try:
                solution = start("serve_solution()", limits, isolated, to_solution[0], to_grader[1], (), folder)
                sandboxes.append(solution)
                fds = (config_fd, report[1])
                call = f"grade({config_fd}, {report[1]})"
                sandboxes.append(start(call, limits, isolated, to_grader[0], to_solution[1], fds, folder))
            finally:
                for descriptor in ends:
                    os.close(descriptor)
            data, problem = _read_all(report[0], limits.output_bytes, _Clock(limits), sandboxes)
            found = _report_of(data)
            if "EOFError" in str(found.get("reason")) or not found:  # the program ended before its tests did
                problem = problem or _end_of(solution)
        finally:
            for sandbox in sandboxes:
                stop(sandbox)
            os.close(report[0])
    return problem or found


def _report_of(data: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _end_of(sandbox: Sandbox) -> str:
    """What a program's own end says of limits; "" where it says nothing, or has not come."""
    try:
        return _STATUS_REASONS.get(sandbox.process.wait(_END_SECONDS), "")
    except subprocess.TimeoutExpired:
        return ""


@contextlib.contextmanager
def _folder(isolated: bool) -> Iterator[str]:
    """The folder of a program without a sandbox; one in a sandbox has a private /tmp, and leaves nothing."""
    if isolated:
        yield "/"
        return
    with tempfile.TemporaryDirectory(prefix="frugalrl-code-") as folder:
        yield folder


# ------------------------------------------------------------------------------------- programs that print


def _printed(program: str, given: str, limits: Limits, isolated: bool, clock: _Clock) -> tuple[str, str]:
    """What a program prints, and what went wrong ("" if nothing did)."""
    source_fd = memory_file("source", program.encode(errors="surrogatepass"))
    input_fd = memory_file("input", given.encode(errors="surrogatepass"))
    out_read, out_write = os.pipe()
    sandbox: Sandbox | None = None
    with _folder(isolated) as folder:
        try:
            try:
                call = f"run_program({source_fd})"
                sandbox = start(call, limits, isolated, input_fd, out_write, (source_fd,), folder)
            finally:
                for descriptor in (source_fd, input_fd, out_write):
                    os.close(descriptor)
            data, problem = _read_all(out_read, limits.output_bytes, clock, [sandbox])
            if len(data) > limits.output_bytes:
                return "", "too much output"
            while not problem and sandbox.process.poll() is None:
                time.sleep(_LOOK_SECONDS)
                problem = clock.exceeded([sandbox])
        finally:
            if sandbox is not None:
                stop(sandbox)
            os.close(out_read)
    status = sandbox.process.returncode
    if problem or status == 0:
        return data.decode(errors="replace"), problem
    return "", _STATUS_REASONS.get(status, f"exit status {status}")


def _read_all(descriptor: int, limit_bytes: int, clock: _Clock, sandboxes: Sequence[Sandbox]) -> tuple[bytes, str]:
    """What comes until the end, one byte past the limit, or the end of the time; and which time that was."""
    data = bytearray()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while len(data) <= limit_bytes:
        exceeded = clock.exceeded(sandboxes)
        if exceeded:
            return bytes(data), exceeded
        if not poll.poll(1000 * _LOOK_SECONDS):
            continue
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            break
        data += chunk
    return bytes(data), ""


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def _print_tests(info: object, problem_id: str) -> PrintTests:
    if isinstance(info, str):
        try:
            info = json.loads(info)
        except ValueError:
            info = None
    cases = info.get("test_cases") if isinstance(info, dict) else None
    if not isinstance(cases, list) or not cases or not all(_is_case(case) for case in cases):
        raise DataError(
            f"The verification_info of problem {problem_id} holds no test_cases with input and output. "
            "Fix the column or leave the row out."
        )
    return PrintTests(tuple((case["input"], case["output"]) for case in cases))


def _is_case(case: object) -> bool:
    return isinstance(case, dict) and isinstance(case.get("input"), str) and isinstance(case.get("output"), str)


def _defines(text: str, name: str) -> bool:
    """Whether a problem's text is code that a program continues: Python that begins the requested function.

    A text in words can be Python by chance ("Add", "x + 1"), or by design; it is not run for that.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name for node in tree.body)
