"""The pool keeps order and limits, survives its workers, and leaves nothing behind."""

import asyncio
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from frugalrl.config.schema import VerifierSettings
from frugalrl.verify import answers
from frugalrl.verify.maths import symbolic
from frugalrl.verify.reasons import LIMIT_REASONS
from frugalrl.verify.workers import worker
from frugalrl.verify.workers.lanes import TimeLimits
from frugalrl.verify.workers.pool import AnswerItem, VerifierPool
from tests.processes import below, command_of, crowded

HANGS = AnswerItem(r"\boxed{\sum_{k=1}^{1000000000} \sin(k)}", r"\sqrt{2}")
EQUAL = AnswerItem(r"\boxed{\frac{2}{\sqrt{2}}}", r"\sqrt{2}")
OTHER = AnswerItem(r"\boxed{\frac{3}{\sqrt{2}}}", r"\sqrt{2}")


def _verifiers() -> list[int]:
    return [pid for pid in below(os.getpid()) if b"verify.workers.worker" in command_of(pid)]


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _wait_until_gone(pids: list[int], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not all(map(_is_gone, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in pids if not _is_gone(pid)] == []


def test_verdicts_come_in_the_order_asked(patient_pool: VerifierPool) -> None:
    golds = [f"\\sqrt{{{number}}}" for number in range(2, 42)]
    items = [
        AnswerItem(f"\\boxed{{\\sqrt{{{number}}}\\cdot 1^{{1}}}}", gold)
        for number, gold in zip(range(2, 42), golds, strict=True)
    ]
    items[7::8] = [OTHER] * len(items[7::8])
    labels = [verdict.label for verdict in patient_pool.judge_many(items)]
    assert labels == ["incorrect" if index % 8 == 7 else "correct" for index in range(40)]


def test_a_hanging_answer_is_unknown_and_no_other_is_lost() -> None:
    with VerifierPool(workers=2, cpu_seconds=1.0) as pool:
        pool.judge(EQUAL)
        items = [EQUAL, HANGS, OTHER, EQUAL]
        judged = pool.judge_timed(items)
    assert [(one.verdict.label, one.verdict.reason) for one in judged] == [
        ("correct", "equivalent"), ("unknown", "cpu_limit"), ("incorrect", "different"), ("correct", "equivalent"),
    ]  # fmt: skip
    assert 1.0 <= judged[1].cpu_seconds < 1.2


def test_a_worker_that_is_killed_is_replaced() -> None:
    known = _verifiers()
    with VerifierPool(workers=1, cpu_seconds=20.0) as pool:
        assert pool.judge(EQUAL).label == "correct"
        zygote, worker = [pid for pid in _verifiers() if pid not in known]
        os.kill(worker, signal.SIGKILL)
        assert pool.judge(EQUAL).reason == "worker_died"
        assert pool.judge(EQUAL).label == "correct"
        assert worker not in _verifiers()
        assert zygote in _verifiers()


def test_a_zygote_that_is_killed_is_replaced() -> None:
    known = _verifiers()
    with VerifierPool(workers=1, cpu_seconds=20.0) as pool:
        pool.judge(EQUAL)
        zygote, worker = [pid for pid in _verifiers() if pid not in known]
        os.kill(zygote, signal.SIGKILL)
        _wait_until_gone([worker])
        assert pool.judge(EQUAL).label == "unknown"
        assert pool.judge(EQUAL).label == "correct"


def test_a_worker_has_its_memory_limit() -> None:
    known = _verifiers()
    with VerifierPool(workers=1, cpu_seconds=20.0, memory_limit_bytes=512 << 20) as pool:
        pool.judge(EQUAL)
        _, worker = [pid for pid in _verifiers() if pid not in known]
        limits = Path(f"/proc/{worker}/limits").read_text().splitlines()
    assert str(512 << 20) in next(line for line in limits if line.startswith("Max address space"))
    assert next(line for line in limits if line.startswith("Max file size")).split()[3:5] == ["0", "0"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(MemoryError, "memory_limit"), (RecursionError, "recursion_limit"), (ArithmeticError, "symbolic_error")],
)
def test_an_answer_that_breaks_computer_algebra_is_undecided(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], reason: str
) -> None:
    def breaks(_answer: str, _gold: str) -> str:
        raise error

    monkeypatch.setattr(symbolic, "compare_symbolically", breaks)
    comparison = worker.compared_with_any(r"\sqrt{8}", [r"2\sqrt{2}"])
    assert (comparison.outcome, comparison.reason) == ("undecided", reason)


def test_nothing_starts_before_it_is_needed() -> None:
    with VerifierPool(workers=1) as pool:
        before = _verifiers()
        assert pool.judge(AnswerItem(r"\boxed{\frac{2}{4}}", "0.5")).label == "correct"
        assert _verifiers() == before


def test_close_ends_every_process_and_a_later_question_starts_them_again() -> None:
    pool = VerifierPool(workers=2, cpu_seconds=20.0)
    known = set(_verifiers())
    pool.judge_many([EQUAL, OTHER, EQUAL])
    started = [pid for pid in _verifiers() if pid not in known]
    assert len(started) >= 2
    pool.close()
    _wait_until_gone(started)
    assert pool.judge(EQUAL).label == "correct"
    pool.close()


def test_it_works_from_any_thread(patient_pool: VerifierPool) -> None:
    found: dict[int, list[str]] = {}

    def ask(number: int) -> None:
        found[number] = [verdict.label for verdict in patient_pool.judge_many([EQUAL, OTHER] * 3)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: ["correct", "incorrect"] * 3 for number in range(4)}


def test_an_event_loop_runs_on_while_workers_compare() -> None:
    async def ask(pool: VerifierPool) -> tuple[list[str], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.05)
                ticks += 1

        ticking = asyncio.create_task(tick())
        verdicts = await pool.judge_many_async([EQUAL, HANGS])
        ticking.cancel()
        return [verdict.label for verdict in verdicts], ticks

    with VerifierPool(workers=2, cpu_seconds=1.0) as pool:
        pool.judge(EQUAL)
        labels, ticks = asyncio.run(ask(pool))
    assert labels[1] == "unknown"
    assert ticks >= 3


def test_a_forked_child_gets_a_pool_of_its_own(patient_pool: VerifierPool) -> None:
    patient_pool.judge(EQUAL)
    script = (
        "import os\n"
        "from frugalrl.verify.workers.pool import AnswerItem, VerifierPool\n"
        f"item = {EQUAL!r}\n"
        "pool = VerifierPool(workers=1, cpu_seconds=20)\n"
        "first = pool.judge(item).label\n"
        "pid = os.fork()\n"
        "second = pool.judge(item).label\n"
        "pool.close()\n"
        "if pid == 0:\n"
        "    os._exit(0 if second == 'correct' else 1)\n"
        "print(first, second, os.waitpid(pid, 0)[1])\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["correct", "correct", "0"]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_the_parent_ends(ending: signal.Signals) -> None:
    """Ctrl-C, or a death without warning, while a worker hangs."""
    script = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs inherit it ignored
        "from frugalrl.verify.workers.pool import AnswerItem, VerifierPool\n"
        "pool = VerifierPool(workers=2, cpu_seconds=120)\n"
        f"pool.judge({EQUAL!r})\n"
        "print('ready', flush=True)\n"
        f"pool.judge_many([{HANGS!r}] * 4)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    time.sleep(0.3)
    everyone = below(parent.pid)
    assert len(everyone) >= 3
    parent.send_signal(ending)
    parent.wait(timeout=30)
    parent.stdout.close()
    _wait_until_gone(everyone)


def _sum_of_sines(terms: int) -> AnswerItem:
    """Costs what its length says: about 0.3 s of processor time for a thousand."""
    return AnswerItem(f"\\boxed{{\\sum_{{k=1}}^{{{terms}}} \\sin(k)}}", r"\sqrt{2}")


def test_a_busy_machine_changes_no_verdict() -> None:
    """By the clock the sum takes longer than the limit beside so many others; by its processor time it does not."""
    items = [EQUAL, _sum_of_sines(1000), OTHER, _sum_of_sines(1000), HANGS]
    with VerifierPool(workers=2, cpu_seconds=0.8, wall_seconds=300.0) as pool:
        pool.judge_many([EQUAL] * 4)
        with crowded(5):
            judged = pool.judge_timed(items)
    assert [one.verdict.reason for one in judged] == ["equivalent", "different", "different", "different", "cpu_limit"]
    assert judged[3].seconds > 0.8, "the control: the machine was busy"
    assert max(one.cpu_seconds for one in judged) < 1.0


def test_the_two_limits_have_two_reasons() -> None:
    with VerifierPool(workers=1, cpu_seconds=0.2, wall_seconds=60.0) as pool:
        assert pool.judge(HANGS).reason == "cpu_limit"
    known = _verifiers()
    with VerifierPool(workers=1, cpu_seconds=0.4, wall_seconds=0.8) as pool:
        while pool.judge(EQUAL).label != "correct":
            pass
        _, worker_pid = [pid for pid in _verifiers() if pid not in known]
        os.kill(worker_pid, signal.SIGSTOP)  # gets no processor at all
        judged = pool.judge_timed([EQUAL])[0]
        assert (judged.verdict.label, judged.verdict.reason) == ("unknown", "wall_limit")
        assert judged.cpu_seconds < 0.4
        deadline = time.monotonic() + 30
        while worker_pid in _verifiers():  # killed; on a busy machine it takes a moment to be reaped
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert {"cpu_limit", "wall_limit"} <= LIMIT_REASONS


def test_an_answer_over_the_limit_is_cut_off_whenever_the_parent_looks() -> None:
    """0.02 s over: the answer comes before the worker would be killed, and does not count."""
    with VerifierPool(workers=1, cpu_seconds=20.0) as pool:
        pool.judge_many([EQUAL, _sum_of_sines(300)])
        needed = pool.judge_timed([_sum_of_sines(301)])[0].cpu_seconds
        pool.limits = TimeLimits(needed / 3, 60.0)
        pool.close()
        judged = pool.judge_timed([_sum_of_sines(301)])[0]
    assert judged.verdict.reason == "cpu_limit"


def test_the_pool_of_the_process_takes_a_recipes_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_DEFAULT", [])
    answers.configure_default_pool(workers=1, cpu_seconds=0.25, wall_seconds=None)
    first = answers.default_pool()
    assert (first.workers, first.limits) == (1, TimeLimits(0.25, 7.5))
    assert answers.judge(HANGS.completion, HANGS.gold).reason == "cpu_limit"
    answers.configure_default_pool(workers=1, cpu_seconds=0.25, wall_seconds=7.5)
    assert answers.default_pool() is first
    answers.configure_default_pool(**VerifierSettings().model_dump())
    assert answers.default_pool().limits == VerifierPool().limits, "one default for recipes and everything else"
    first.close()
    answers.default_pool().close()


@pytest.mark.parametrize(
    "fields", [{"cpu_seconds": 0.0}, {"cpu_seconds": math.inf}, {"wall_seconds": 1.0}, {"workers": 0}]
)
def test_a_recipe_refuses_limits_that_cannot_be_kept(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"greater than|finite|backstop"):
        VerifierSettings(**fields)


def test_several_accepted_answers_share_one_limit() -> None:
    with VerifierPool(workers=1, cpu_seconds=1.0) as pool:
        pool.judge(EQUAL)
        judged = pool.judge_timed([AnswerItem(HANGS.completion, [r"\sqrt{2}", r"\sqrt{3}", r"\sqrt{5}"])])[0]
    assert judged.verdict.label == "unknown"
    assert judged.cpu_seconds < 1.2


def test_a_pool_refuses_limits_that_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match="time limit"):
        VerifierPool(cpu_seconds=0)
    with pytest.raises(ValueError, match="worker"):
        VerifierPool(workers=0)


def test_one_pool_serves_the_process() -> None:
    assert answers.default_pool() is answers.default_pool()
    assert answers.judge(r"\boxed{10}", "10").label == "correct"
    assert [verdict.label for verdict in answers.judge_many([AnswerItem(r"\boxed{1}", "2")])] == ["incorrect"]
