"""`frugalrl power --gain 3 --accuracy 40`: how many problems and samples it takes to see a gain, before any data."""

import argparse
from typing import Any

from frugalrl.commands.running import show
from frugalrl.errors import DataError

_SAMPLES = (1, 4, 16, 64)
_MOST = 1_000_000
"""Comparisons are simulated problem by problem."""


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "power",
        help="how many problems and samples it takes to see a gain, before anything is measured",
        description="Simulate comparisons and put them to the test that `frugalrl compare` decides with: how many "
        "problems, and how many samples of each, find a gain of so many points with 80 %% power.",
    )
    parser.add_argument("--gain", type=float, required=True, metavar="POINTS", help="the gain to be seen, in points")
    parser.add_argument("--accuracy", type=float, required=True, metavar="PERCENT", help="of the model before")
    parser.add_argument(
        "--spread",
        type=float,
        default=10.0,
        metavar="POINTS",
        help="how much the gain differs from problem to problem, as a standard deviation (default: 10)",
    )
    parser.add_argument(
        "--comparisons",
        type=int,
        default=1,
        help="models, benchmarks or looks that share the 5 %% (default: 1): each gets its part",
    )
    parser.add_argument("--problems", type=int, help="of a set of your own, beside the benchmarks")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Compute and print both tables. Raises DataError for numbers that make no question."""
    from frugalrl.evaluation.benchmarks import BENCHMARKS
    from frugalrl.reporting.power_text import power_lines
    from frugalrl.statistics.intervals import LEVEL
    from frugalrl.statistics.question import Question, problems_for, samples_for

    gain, accuracy, spread = (getattr(arguments, name) / 100 for name in ("gain", "accuracy", "spread"))
    if not (0 <= accuracy <= 1 and gain != 0 and 0 <= accuracy + gain <= 1 and 0 <= spread <= 0.5):
        raise DataError(
            f"An accuracy of {arguments.accuracy:g} % leaves no room for a gain of {arguments.gain:g} points, or the "
            "spread is above 50. Give an accuracy within 0 to 100 % before and after, and a gain that is not 0."
        )
    problems = 1 if arguments.problems is None else arguments.problems
    if not (1 <= arguments.comparisons <= _MOST and 1 <= problems <= _MOST):
        raise DataError(f"--comparisons and --problems lie in 1..{_MOST:,}. Change them.")
    question = Question(accuracy, gain, spread, LEVEL / arguments.comparisons)
    sets = {name: one.size for name, one in BENCHMARKS.items()}
    if arguments.problems is not None:
        sets = {"your own": arguments.problems, **sets}
    sizes = {k: problems_for(question, k) for k in _SAMPLES}
    samples = {size: samples_for(question, size) for size in sorted(set(sets.values()))}
    show(power_lines(question, sizes, {name: (size, samples[size]) for name, size in sets.items()}))
    return 0
