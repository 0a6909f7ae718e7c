"""How often a rule claims an improvement that is not there: ours against the best of single samples.

    python benchmarks/selection.py [--runs 1000] [--out benchmarks/records/selection.json]

Each run has a base and eight checkpoints that are all equally good: 500 problems from a uniform distribution of
difficulty, k samples of each by every model. Our rule is `evaluation.selection.select`; the other takes the checkpoint
with the highest score of one sample per problem and reports its gain over the base's single score, as Open-RS did on
the test set. A second table has checkpoints that gain a point at each evaluation, to see what `patience` costs.
One JSON record.
"""

import argparse
import json
import platform
from pathlib import Path

import numpy as np

from frugalrl.statistics.selection import select, stop_step

PROBLEMS, CHECKPOINTS = 500, 8


def drawn(rng: np.random.Generator, chance: np.ndarray, k: int) -> list[list[bool]]:
    """k samples of each problem, [n][k]."""
    return (rng.random((len(chance), k)) < chance[:, None]).tolist()


def under_the_null(runs: int, k: int, rng: np.random.Generator) -> dict[str, float]:
    """The share of runs in which each rule claims a gain, and the mean gain that the naive one reports."""
    claims, naive, gains = 0, 0, []
    for _ in range(runs):
        chance = rng.random(PROBLEMS)
        base = drawn(rng, chance, k)
        checkpoints = [drawn(rng, chance, k) for _ in range(CHECKPOINTS)]
        claims += select(base, dict(enumerate(checkpoints, start=1)), "validation").claims_improvement
        single = [float(np.mean([samples[0] for samples in one])) for one in (base, *checkpoints)]
        naive += max(single[1:]) > single[0]
        gains.append(max(single[1:]) - single[0])
    return {
        "k": k,
        "our_rule_claims": claims / runs,
        "max_of_single_samples_claims": naive / runs,
        "mean_gain_it_reports_points": 100 * float(np.mean(gains)),
    }


def stopped_too_early(runs: int, n: int, k: int, patience: int, rng: np.random.Generator) -> float:
    """The share of runs stopped before the last of eight evaluations, each a point better than the one before."""
    stopped = 0
    for _ in range(runs):
        chance = rng.random(n)
        base = drawn(rng, chance, k)
        rising = {step: drawn(rng, chance + 0.01 * step * 2 * (1 - chance), k) for step in range(1, CHECKPOINTS + 1)}
        stopped += stop_step(base, rising, patience)[0] is not None
    return stopped / runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    record = {
        "what": "8 checkpoints, 500 problems, all as good as the base: how often an improvement is claimed",
        "runs": chosen.runs,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "null": [under_the_null(chosen.runs, k, rng) for k in (1, 4)],
        "stopped_before_the_end_though_rising_a_point_an_evaluation": [
            {"n": n, "k": k, "patience": patience, "share": stopped_too_early(chosen.runs // 5, n, k, patience, rng)}
            for n, k in ((128, 2), (500, 4))
            for patience in (1, 2, 3, 4)
        ],
    }
    text = json.dumps(record, indent=1)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
