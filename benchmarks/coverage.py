"""How often 95 % intervals hold the truth: ours, and the usual alternatives, on simulated evaluations.

    python benchmarks/coverage.py [--runs 20000] [--out benchmarks/records/coverage.json]

Problems are drawn from a distribution of difficulty whose mean is the truth, then k samples of each; a run covers if
the interval holds that mean. For the difference of two models each problem's difficulty moves by a random amount with
a known mean. 20,000 runs know a share of 95 % to 0.15 points. One JSON record.
"""

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

from frugalrl.statistics.intervals import Estimate, difference_interval, score_interval

DIFFICULTIES = {
    "uniform": (1.0, 1.0),
    "easy or hard": (0.3, 0.3),
    "hard (20 %)": (0.3, 1.2),
    "rather easy (67 %)": (2.0, 1.0),
    "very hard (10 %)": (0.5, 4.5),
    "very easy (91 %)": (4.0, 0.4),
    "all alike (50 %)": (50.0, 50.0),
}
"""Beta distributions of a problem's chance to be solved."""
SIZES = (30, 500)
SAMPLES = (1, 4, 16)
GAIN = 0.1
"""Of the share of failures, on average, that the second model turns into successes."""


def student(means: np.ndarray) -> Estimate:
    """Student's interval over the problems' means."""
    n = len(means)
    margin = float(stdtrit(n - 1, 0.975)) * float(means.std(ddof=1)) / n**0.5
    return Estimate(float(means.mean()), float(means.mean()) - margin, float(means.mean()) + margin)


def bootstrap(means: np.ndarray, rng: np.random.Generator) -> Estimate:
    """The percentile bootstrap over problems, 1,000 resamples."""
    resampled = means[rng.integers(len(means), size=(1000, len(means)))].mean(axis=1)
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Estimate(float(means.mean()), float(low), float(high))


def coverage(interval: Callable[[np.ndarray], Estimate], values: np.ndarray, truth: float) -> float:
    """The share of rows of [runs, n] whose interval holds the truth."""
    held = [one.ci_low - 1e-12 <= truth <= one.ci_high + 1e-12 for one in map(interval, values)]
    return float(np.mean(held))


def drawn(rng: np.random.Generator, runs: int, n: int, k: int, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """Means of one model and differences to a better one, each [runs, n]."""
    chance = rng.beta(a, b, size=(runs, n))
    better = chance + GAIN * 2 * rng.random((runs, n)) * (1 - chance)
    first = rng.binomial(k, chance) / k
    return first, rng.binomial(k, better) / k - first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = []
    for n in SIZES:
        for k in SAMPLES:
            for name, (a, b) in DIFFICULTIES.items():
                means, differences = drawn(rng, chosen.runs, n, k, a, b)
                truth = a / (a + b)
                rows.append(
                    {
                        "difficulty": name,
                        "n": n,
                        "k": k,
                        "score_interval": coverage(score_interval, means, truth),
                        "student": coverage(student, means, truth),
                        "bootstrap": coverage(lambda one: bootstrap(one, rng), means[: chosen.runs // 10], truth),
                        "paired_difference": coverage(difference_interval, differences, GAIN * (1 - truth)),
                    }
                )
    record = {
        "what": "share of simulated evaluations whose 95 % interval holds the truth",
        "runs": chosen.runs,
        "runs_of_the_bootstrap": chosen.runs // 10,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "rows": rows,
    }
    text = json.dumps(record, indent=1)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
