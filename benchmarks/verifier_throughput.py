"""Verdicts per second: a single in-process loop against a pool of two workers, in one run.

    FRUGALRL_DATA=../shared/data python benchmarks/verifier_throughput.py [--answers 400] [--rounds 3] [--out FILE]

Ordinary answers: golds of MATH-500 and OlympiadBench that need computer algebra, each with itself in other words
and with another problem's gold, half right and half wrong. The loop is the same verifier with computer algebra in
the process itself (no limits); math-verify's own loop is timed beside it. The rounds alternate; the median of their
ratios is what counts. Two workers can only be faster where two cores are free, so that processor time is measured
too: `ratio_of_cpu_seconds` is the loop's over half of all that the pool took, parent included, which is the ratio
on two idle cores. One JSON record goes to standard output, and to FILE.
"""

import argparse
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import math_verify

from frugalrl.verify.maths.comparison import compare
from frugalrl.verify.maths.extraction import extract_answer
from frugalrl.verify.maths.symbolic import compare_symbolically
from frugalrl.verify.workers.pool import AnswerItem, VerifierPool

DATA = Path(os.environ.get("FRUGALRL_DATA", "../shared/data"))


def ordinary_answers(count: int, mixed: bool, round_number: int) -> list[AnswerItem]:
    """Boxed answers with their golds; only those that need computer algebra unless mixed.

    Each round writes the answers differently, since parsed text is kept: a round never meets its own answers again.
    """
    golds = []
    for name in ("math500", "olympiadbench"):
        with (DATA / "bench" / f"{name}.jsonl").open(encoding="utf-8") as lines:
            golds += [str(json.loads(line)["answer"]).strip("$") for line in lines]
    rng = random.Random(0)
    rng.shuffle(golds)
    k = round_number + 1
    others = golds[1:] + golds[:1]
    pairs = [
        pair
        for gold, other in zip(golds, others, strict=True)
        for pair in ((f"({gold})+{k}-{k}", gold), (f"{other}+{k}-{k}", gold))
    ]
    if not mixed:
        pairs = [(answer, gold) for answer, gold in pairs if compare(answer, gold).outcome == "undecided"]
    pairs = pairs * (1 + count // len(pairs))
    return [AnswerItem(f"So we get $\\boxed{{{answer}}}$.", gold) for answer, gold in pairs[:count]]


def in_process_loop(items: list[AnswerItem]) -> None:
    """The same verdicts without a pool."""
    for item in items:
        answer = extract_answer(item.completion).answer
        compare(answer or "", str(item.gold), compare_symbolically)


def math_verify_loop(items: list[AnswerItem]) -> None:
    """What most trainers run: parse both sides, verify."""
    for item in items:
        gold = math_verify.parse(f"\\boxed{{{item.gold}}}", parsing_timeout=None)
        math_verify.verify(gold, math_verify.parse(item.completion, parsing_timeout=None), timeout_seconds=None)


def _seconds(function: Callable[[list[AnswerItem]], object], items: list[AnswerItem]) -> tuple[float, float]:
    """Wall clock, and processor time of this process."""
    started, cpu_started = time.perf_counter(), time.process_time()
    function(items)
    return time.perf_counter() - started, time.process_time() - cpu_started


def _pool_seconds(pool: VerifierPool, items: list[AnswerItem]) -> tuple[float, float]:
    """Wall clock, and processor time of this process and the workers."""
    started, cpu_started = time.perf_counter(), time.process_time()
    judgements = pool.judge_timed(items)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    return wall, cpu + sum(judgement.cpu_seconds for judgement in judgements)


def _median(ratios: Iterable[float]) -> float:
    return round(statistics.median(ratios), 2)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    record: dict[str, object] = {
        "python": platform.python_version(), "cpus": os.cpu_count(), "load": os.getloadavg(),
        "answers": arguments.answers,
    }  # fmt: skip
    with VerifierPool(workers=2, cpu_seconds=10.0) as pool:
        for kind in ("symbolic", "mixed"):
            warm_up = ordinary_answers(40, kind == "mixed", arguments.rounds)
            pool.judge_many(warm_up)
            in_process_loop(warm_up)
            rounds: list[dict[str, tuple[float, float]]] = []
            for number in range(arguments.rounds):
                items = ordinary_answers(arguments.answers, kind == "mixed", number)
                rounds.append(
                    {
                        "loop": _seconds(in_process_loop, items),
                        "pool": _pool_seconds(pool, items),
                        "math_verify": _seconds(math_verify_loop, items),
                    }
                )
            record[kind] = {
                "seconds_wall_and_cpu": rounds,
                "pool_answers_per_second": round(max(arguments.answers / one["pool"][0] for one in rounds)),
                "ratio_to_loop": _median(one["loop"][0] / one["pool"][0] for one in rounds),
                "ratio_of_cpu_seconds": _median(one["loop"][1] / (one["pool"][1] / 2) for one in rounds),
                "ratio_to_math_verify": _median(one["math_verify"][0] / one["pool"][0] for one in rounds),
            }
    text = json.dumps(record)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
