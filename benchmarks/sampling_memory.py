"""Peak memory of the solver steps of `frugalrl curate`, by the number of samples.

    python benchmarks/sampling_memory.py --problems 20000 --problems 80000 [--samples 4] [--out FILE]

Each size runs in its own process. The solver answers at once with a boxed number, so what is measured is the package:
the samples cache with its index, the verdicts and the pass rates; then the cache is opened again, as a resumed run
does. One JSON record.
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from frugalrl.config.curation_schema import PASS_RATE_BANDS
from frugalrl.curation.records import PoolRow
from frugalrl.curation.row_store import RowStore
from frugalrl.curation.sample_cache import SampleCache
from frugalrl.curation.sampling import Questions, pass_rates
from frugalrl.curation.solver import Answer, Ask
from frugalrl.verify.workers.pool import VerifierPool


class Instant:
    """A solver that answers at once: right about half of the time."""

    solver_id, asked, batch, most_failed = "instant", "as it is", 256, 0.0

    def answers(self, asks: Sequence[Ask]) -> Iterator[tuple[int, Answer]]:
        for at, ask in enumerate(asks):
            bit = hashlib.blake2b(f"{ask.text} {ask.sample}".encode(), digest_size=1).digest()[0] & 1
            yield at, Answer(f"After some thought: \\boxed{{{4 + bit}}}", "stop", 12)


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def one_size(problems: int, samples: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with RowStore(folder) as store, VerifierPool() as pool:
            for number in range(problems):
                store.add(
                    PoolRow(f"r{number}", "pool", "pool", f"Problem {number}: what is two and two? " * 5, "4", "")
                )
            before, began = peak_mb(), time.process_time()
            with SampleCache(folder) as cache:
                rates = pass_rates(
                    Questions(store.all_rows()), Instant(), "instant", samples, PASS_RATE_BANDS, stop_early=False,
                    cache=cache, pool=pool, tick=lambda done: None,
                )  # fmt: skip
                correct = sum(rate.correct for rate in rates)
            after, seconds = peak_mb(), time.process_time() - began
            began = time.process_time()
            with SampleCache(folder) as cache:
                held = len(cache)
            opened = time.process_time() - began
        return {
            "problems": problems,
            "samples": held,
            "correct": correct,
            "peak_mb_before": before,
            "peak_mb": after,
            "peak_mb_opened_again": peak_mb(),
            "cpu_seconds": round(seconds, 1),
            "cpu_seconds_to_open_again": round(opened, 1),
            "cache_mb": (folder / "samples.jsonl").stat().st_size >> 20,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, action="append", default=[])
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", type=int, help="measure this size alone (for itself)")
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(one_size(chosen.one, chosen.samples)))
        return
    sizes = []
    for problems in chosen.problems:
        command = [sys.executable, __file__, "--one", str(problems), "--samples", str(chosen.samples)]
        sizes.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
        print(json.dumps(sizes[-1]), file=sys.stderr)
    text = json.dumps({"what": "solver steps of frugalrl curate, peak memory", "sizes": sizes}, indent=1)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
