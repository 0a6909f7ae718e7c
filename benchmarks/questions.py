"""The paper's open questions in miniature, with a verdict for each: `python benchmarks/questions.py`.

Runs every arm of question_arms.py with its seeds, one thread a run, --workers at a time; finished runs are skipped, so
the command can be stopped and started again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from question_arms import ARMS, QUESTIONS, SEEDS
from question_data import make_sets
from question_runs import run_here
from seeded_runs import MINI, SeededRun


def main() -> None:
    """Train what is missing, record all, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/questions"))
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--only", nargs="*", choices=list(QUESTIONS), help="questions (default: all)")
    chosen = parser.parse_args()
    questions = chosen.only or list(QUESTIONS)
    if any("$DATA" in one for name in questions for arm in QUESTIONS[name].arms for one in ARMS[arm].overrides):
        make_sets(chosen.out / "data")
    run_here(jobs_of(questions, chosen.out), chosen.out, chosen.workers)


def jobs_of(questions: Sequence[str], out: Path) -> list[SeededRun]:
    """The runs of some questions, each once: question by question, and all arms of a seed before the next seed."""
    wanted = [(arm, seed) for name in questions for seed in SEEDS for arm in QUESTIONS[name].arms]
    return [job_of(arm, seed, out) for arm, seed in dict.fromkeys(wanted)]


def job_of(arm: str, seed: int, out: Path) -> SeededRun:
    """One run of an arm."""
    settings = tuple(one.replace("$DATA", str((out / "data").resolve())) for one in ARMS[arm].overrides)
    return SeededRun(f"question-{arm.replace(' ', '-')}", MINI / f"{ARMS[arm].recipe}.yaml", seed, settings)


if __name__ == "__main__":
    main()
