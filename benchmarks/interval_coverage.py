"""How often 95 % intervals hold the truth: ours, and the usual alternatives, on simulated evaluations.

    python benchmarks/interval_coverage.py [--runs 4000] [--out benchmarks/records/coverage.json]

Problems are drawn from a distribution of difficulty whose mean is the truth, then k samples of each; a run covers if
the interval holds that mean. For the difference of two models each problem's difficulty moves by a random amount with
a known mean (`share`), or one problem in twenty is turned over and the others stay (`few`). 4,000 runs know a share of
95 % to 0.35 points. Differences and the bootstrap are simulated a tenth as often. One JSON record.
"""

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

from frugalrl.statistics.intervals import Estimate, score_interval
from frugalrl.statistics.paired_tests import paired

BETAS = {
    "uniform": (1.0, 1.0),
    "easy or hard": (0.3, 0.3),
    "all alike (50 %)": (50.0, 50.0),
    "rather easy (67 %)": (2.0, 1.0),
    "hard (20 %)": (0.3, 1.2),
    "10 %": (0.5, 4.5),
    "10 %, easy or hard": (0.2, 1.8),
    "91 %": (4.0, 0.4),
    "6 %": (0.3, 4.7),
    "3 %, most never solved": (0.1, 3.233),
    "3 %": (0.3, 9.7),
    "3 %, alike": (30.0, 970.0),
    "1 %": (0.1, 9.9),
}
"""Beta distributions of a problem's chance to be solved."""
OUTLIERS = {
    "3 %: 1 of 34 at 70 %, others at 1 %": (0.01, 0.7, 0.029),
    "12 %: 1 of 50 at 90 %, others at 10 %": (0.1, 0.9, 0.02),
}
"""Most problems' chance, the others', and the share of those: a few problems unlike all others."""
SIZES = (10, 30, 100, 500)
SAMPLES = (1, 4, 16, 64)
PAIRED = ("uniform", "hard (20 %)", "10 %, easy or hard", "91 %", "3 %, most never solved", "3 %")
GAIN = 0.1
"""Of the share of failures, on average, that the second model turns into successes."""
TURNED = 0.05
"""The share of problems whose chance is turned over."""


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


def chances(name: str, rng: np.random.Generator, runs: int, n: int) -> tuple[np.ndarray, float]:
    """Each problem's chance, [runs, n], and the mean it is drawn from."""
    if name in BETAS:
        a, b = BETAS[name]
        return rng.beta(a, b, size=(runs, n)), a / (a + b)
    most, others, share = OUTLIERS[name]
    return np.where(rng.random((runs, n)) < share, others, most), most + share * (others - most)


def paired_coverage(name: str, kind: str, rng: np.random.Generator, runs: int, n: int, k: int) -> dict[str, float]:
    """How often the interval of a difference holds the mean change, and how often it and the test disagree about 0."""
    chance, truth = chances(name, rng, runs, n)
    if kind == "share":
        other, gain = chance + GAIN * 2 * rng.random((runs, n)) * (1 - chance), GAIN * (1 - truth)
    else:
        other, gain = np.where(rng.random((runs, n)) < TURNED, 1 - chance, chance), TURNED * (1 - 2 * truth)
    held, disagreed = 0, 0
    for before, after in zip(chance, other, strict=True):
        sides = [(rng.random((n, k)) < one[:, None]).tolist() for one in (before, after)]
        found = paired(*sides)
        estimate = found.estimate
        held += estimate.ci_low - 1e-12 <= gain <= estimate.ci_high + 1e-12
        disagreed += (found.p_value < found.level) == (estimate.ci_low <= 0 <= estimate.ci_high)
    return {"held": held / runs, "disagreed": disagreed / runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    few = max(1, chosen.runs // 10)
    rows, differences = [], []
    for n in SIZES:
        for k in SAMPLES:
            for name in (*BETAS, *OUTLIERS):
                chance, truth = chances(name, rng, chosen.runs, n)
                means = rng.binomial(k, chance) / k
                row = {"difficulty": name, "n": n, "k": k, "ours": coverage(score_interval, means, truth)}
                row["student"] = coverage(student, means, truth)
                if n == 30:
                    row["bootstrap"] = coverage(lambda one: bootstrap(one, rng), means[:few], truth)
                rows.append(row)
            if k > 16:
                continue
            for name in PAIRED:
                for kind in ("share", "few"):
                    found = paired_coverage(name, kind, rng, few if n < 500 else few // 4, n, k)
                    differences.append({"difficulty": name, "change": kind, "n": n, "k": k, **found})
    record = {
        "what": "share of simulated evaluations whose 95 % interval holds the truth",
        "runs": chosen.runs,
        "runs_of_the_bootstrap_and_of_differences": few,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "rows": rows,
        "differences": differences,
    }
    text = json.dumps(record, indent=1)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
