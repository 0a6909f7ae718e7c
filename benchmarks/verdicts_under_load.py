"""How many verdicts change when the machine is busy: one batch judged in quiet, then twice beside busy loops.

    FRUGALRL_DATA=../shared/data python benchmarks/verdicts_under_load.py [--answers 500] [--loops 4] [--out FILE]

The batch: golds of MATH-500 and OlympiadBench that need computer algebra, each in other words and with another
problem's gold, and every twentieth replaced by a sum that takes from 0.1 to 0.4 s, or for ever. The record says how
many took more than half the limit and came, where alone a verdict could still change, since load also makes
processor time longer. One JSON record goes to standard output, and to FILE.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from verifier_throughput import ordinary_answers

from frugalrl.verify.workers.pool import DEFAULT_CPU_SECONDS, AnswerItem, Judgement, VerifierPool

BUSY = "while True: pass"


def batch(count: int) -> list[AnswerItem]:
    """Ordinary answers, every twentieth replaced by a sum of sines that costs what its length says."""
    items = ordinary_answers(count, mixed=False, round_number=0)
    for position, index in enumerate(range(0, count, 20)):
        terms = (100, 400, 700, 1000, 10**9)[position % 5]
        items[index] = AnswerItem(f"\\boxed{{\\sum_{{k=1}}^{{{terms}}} \\sin(k+{position})}}", "\\sqrt{2}")
    return items


def judged(items: list[AnswerItem]) -> tuple[list[Judgement], float]:
    """All judgements by a fresh pool, and the seconds it took."""
    with VerifierPool() as pool:
        pool.judge(items[1])
        started = time.perf_counter()
        return pool.judge_timed(items), time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=int, default=500)
    parser.add_argument("--loops", type=int, default=4)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    items = batch(arguments.answers)
    rounds = [judged(items)]
    loops = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(arguments.loops)]
    try:
        rounds += [judged(items), judged(items)]
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    verdicts = [[one.verdict for one in found] for found, _ in rounds]
    record = {
        "answers": len(items),
        "busy_loops": arguments.loops,
        "cores": os.cpu_count(),
        "limit_cpu_seconds": DEFAULT_CPU_SECONDS,
        "changed_between_loaded_rounds": sum(a != b for a, b in zip(verdicts[1], verdicts[2], strict=True)),
        "changed_from_quiet": sum(a != b for a, b in zip(verdicts[0], verdicts[1], strict=True)),
        "reasons": [dict(Counter(verdict.reason for verdict in found)) for found in verdicts],
        "seconds": [round(seconds, 1) for _, seconds in rounds],
        "cpu_seconds_max_answered": [
            round(max(one.cpu_seconds for one in found if one.verdict.label != "unknown"), 3) for found, _ in rounds
        ],
        "answered_in_more_than_half_the_limit": [
            sum(one.cpu_seconds > DEFAULT_CPU_SECONDS / 2 and one.verdict.label != "unknown" for one in found)
            for found, _ in rounds
        ],
    }
    text = json.dumps(record, indent=1)
    sys.stdout.write(text + "\n")
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
