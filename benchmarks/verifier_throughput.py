"""Verdicts a second: a single in-process loop against a pool of two workers, in one run.

    FRUGALRL_DATA=../shared/data python benchmarks/verifier_throughput.py [--answers 400] [--rounds 3] [--out FILE]

Ordinary answers: golds of MATH-500 and OlympiadBench that need computer algebra, each with itself in other words
and with another problem's gold, half right and half wrong. The loop is the same verifier with computer algebra in
the process itself (no limits); math-verify's own loop is timed beside it. The rounds alternate, and the median of
their ratios is what counts: a busy machine slows both sides. One JSON record goes to standard output, and to FILE.
"""

import argparse
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import math_verify

from frugalrl.rewards.comparison import compare
from frugalrl.rewards.extraction import extract_answer
from frugalrl.rewards.symbolic import compare_symbolically
from frugalrl.rewards.verifier_pool import AnswerItem, VerifierPool

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


def _seconds(function: Callable[[list[AnswerItem]], object], items: list[AnswerItem]) -> float:
    started = time.perf_counter()
    function(items)
    return time.perf_counter() - started


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
    with VerifierPool(workers=2, limit_seconds=10.0) as pool:
        for kind in ("symbolic", "mixed"):
            warm_up = ordinary_answers(40, kind == "mixed", arguments.rounds)
            pool.judge_many(warm_up)
            in_process_loop(warm_up)
            rounds = []
            for number in range(arguments.rounds):
                items = ordinary_answers(arguments.answers, kind == "mixed", number)
                seconds = {
                    "loop": _seconds(in_process_loop, items),
                    "pool": _seconds(pool.judge_many, items),
                    "math_verify": _seconds(math_verify_loop, items),
                }
                rounds.append({name: round(value, 3) for name, value in seconds.items()})
            record[kind] = {
                "seconds": rounds,
                "pool_answers_per_second": round(max(arguments.answers / one["pool"] for one in rounds)),
                "ratio_to_loop": round(statistics.median(one["loop"] / one["pool"] for one in rounds), 2),
                "ratio_to_math_verify": round(statistics.median(one["math_verify"] / one["pool"] for one in rounds), 2),
            }
    text = json.dumps(record, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
