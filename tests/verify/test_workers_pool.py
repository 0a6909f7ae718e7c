"""The pool keeps order and limits, survives its workers, and leaves nothing behind."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from frugalrl.verify import answers
from frugalrl.verify.maths import symbolic
from frugalrl.verify.workers import worker
from frugalrl.verify.workers.pool import AnswerItem, VerifierPool

HANGS = AnswerItem(r"\boxed{\sum_{k=1}^{1000000000} \sin(k)}", r"\sqrt{2}")
EQUAL = AnswerItem(r"\boxed{\frac{2}{\sqrt{2}}}", r"\sqrt{2}")
OTHER = AnswerItem(r"\boxed{\frac{3}{\sqrt{2}}}", r"\sqrt{2}")


def _processes_of(root: int) -> list[int]:
    """A process and all below it, by /proc."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, newest = [root], [root]
    while newest:
        newest = [pid for pid, parent in parents.items() if parent in newest]
        found += newest
    return found


def _verifiers() -> list[int]:
    return [
        pid
        for pid in _processes_of(os.getpid())
        if b"verify.workers.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


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
    with VerifierPool(workers=2, cpu_seconds=3.0) as pool:
        pool.judge(EQUAL)
        items = [EQUAL, HANGS, OTHER, EQUAL]
        judged = pool.judge_timed(items)
    assert [(one.verdict.label, one.verdict.reason) for one in judged] == [
        ("correct", "equivalent"), ("unknown", "cpu_limit"), ("incorrect", "different"), ("correct", "equivalent"),
    ]  # fmt: skip
    assert 3.0 <= judged[1].seconds < 4.0


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

    with VerifierPool(workers=2, cpu_seconds=2.0) as pool:
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
    everyone = _processes_of(parent.pid)
    assert len(everyone) >= 3
    parent.send_signal(ending)
    parent.wait(timeout=30)
    parent.stdout.close()
    _wait_until_gone(everyone)


def test_several_accepted_answers_share_one_limit() -> None:
    with VerifierPool(workers=1, cpu_seconds=2.0) as pool:
        pool.judge(EQUAL)
        judged = pool.judge_timed([AnswerItem(HANGS.completion, [r"\sqrt{2}", r"\sqrt{3}", r"\sqrt{5}"])])[0]
    assert judged.verdict.label == "unknown"
    assert judged.seconds < 3.0


def test_a_pool_refuses_limits_that_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match="time limit"):
        VerifierPool(cpu_seconds=0)
    with pytest.raises(ValueError, match="worker"):
        VerifierPool(workers=0)


def test_one_pool_serves_the_process() -> None:
    assert answers.default_pool() is answers.default_pool()
    assert answers.judge(r"\boxed{10}", "10").label == "correct"
    assert [verdict.label for verdict in answers.judge_many([AnswerItem(r"\boxed{1}", "2")])] == ["incorrect"]
