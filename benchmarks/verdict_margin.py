"""How near the processor-time limit real answers come: every benchmark's golds, and more of a training pool.

    FRUGALRL_DATA=../shared/data python benchmarks/verdict_margin.py [--pool-golds 6000] [--out FILE]

Each gold is judged against itself, against itself in other words, and against another gold, with ten times the
default limit. An answer between half and twice the limit is one whose verdict a busy machine could change. One JSON
record goes to standard output, and to FILE.
"""

import argparse
import gzip
import json
import os
import random
import sys
from pathlib import Path

from frugalrl.verify.workers.pool import DEFAULT_CPU_SECONDS, AnswerItem, VerifierPool

DATA = Path(os.environ.get("FRUGALRL_DATA", "../shared/data"))
BENCHMARKS = ("math500", "olympiadbench", "minerva_math", "aime24", "amc23", "gsm8k_test")
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)


def golds(from_pool: int) -> list[str]:
    """Of all benchmarks, and so many distinct ones of the pool."""
    found = []
    for name in BENCHMARKS:
        lines = (DATA / "bench" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        found += [str(json.loads(line)["answer"]).strip("$") for line in lines]
    with gzip.open(DATA / "pool" / "deepscaler_40k.jsonl.gz", "rt", encoding="utf-8") as rows:
        pool = list(dict.fromkeys(str(json.loads(row)["answer"]).strip("$") for row in rows))
    random.Random(0).shuffle(pool)
    return found + pool[:from_pool]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool-golds", type=int, default=6000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    accepted = golds(arguments.pool_golds)
    others = accepted[:]
    random.Random(1).shuffle(others)
    items = [
        AnswerItem(f"\\boxed{{{answer}}}", gold)
        for gold, other in zip(accepted, others, strict=True)
        for answer in (gold, f"({gold})+3-3", f"{other}+3-3")
    ]
    with VerifierPool(cpu_seconds=10 * DEFAULT_CPU_SECONDS) as pool:
        used = [one.cpu_seconds for one in pool.judge_timed(items)]
    record = {
        "golds": len(accepted),
        "answers": len(items),
        "by_computer_algebra": sum(seconds > 0 for seconds in used),
        "limit_cpu_seconds": DEFAULT_CPU_SECONDS,
        "longer_than_seconds": {str(bound): sum(seconds > bound for seconds in used) for bound in BOUNDS},
        "within_factor_two_of_limit": sum(DEFAULT_CPU_SECONDS / 2 < one < 2 * DEFAULT_CPU_SECONDS for one in used),
        "longest_seconds": round(max(used), 3),
    }
    text = json.dumps(record, indent=1)
    sys.stdout.write(text + "\n")
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
