"""`frugalrl guard RUN`: when the guard would have acted in a run, and why.

Replays the run's log, so it needs no model and takes a moment; `--set guard.kl.threshold=5` tries other settings.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frugalrl.errors import DataError

if TYPE_CHECKING:
    from frugalrl.reporting.run_record import RunRecord
    from frugalrl.training.guard.replay import Line, Replay
    from frugalrl.training.guard.rules import Decision


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "guard",
        help="when the guard would have acted in a run, and why",
        description="Replay the guard over a run's metrics.jsonl: what each signal was in the run's first steps, how "
        "far it went, and every warning, rollback or stop with its reason.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a folder that `frugalrl train` wrote")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="guard.A=B",
        help="replace a setting of the guard, e.g. guard.kl.threshold=5; may be repeated",
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the replay. Raises DataError for what is no training run, RecipeError for settings that are wrong."""
    from frugalrl.config.loading import load_part
    from frugalrl.config.stability_schema import GuardPart
    from frugalrl.reporting.run_reader import read_run
    from frugalrl.training.guard.replay import replay

    record = read_run(arguments.run, str(arguments.run))
    recipe = arguments.run / "recipe.yaml"
    settings = load_part(recipe, GuardPart, arguments.set).guard
    lines = log_lines(record)
    whose = "settings of the run's recipe" if recipe.is_file() else "default settings"
    changed = f", {len(arguments.set)} changed" if arguments.set else ""
    counts = f"{len(record.steps)} steps, {len(record.evaluations)} evaluations"
    sys.stdout.write(f"{arguments.run}: {counts}; {whose}{changed}\n\n")
    sys.stdout.write(replay_text(replay(lines, settings)) + "\n")
    return 0


def log_lines(record: "RunRecord") -> "list[Line]":
    """The lines of a run's log in the order in which the guard saw them. Raises DataError without training steps."""
    if not any("reward/mean" in values for _, values in record.steps):
        raise DataError(
            f"The run {record.label} has no training step with a reward in its metrics.jsonl, so there is nothing to "
            "watch. Name a run of `frugalrl train` that got past its first step."
        )
    numbered = [(step, 0, values) for step, values in record.steps]
    numbered += [(step, 1, values) for step, values in record.evaluations]
    return [
        (step, {name: math.nan if value is None else value for name, value in values.items()})
        for step, _, values in sorted(numbered, key=lambda one: one[:2])
    ]


def replay_text(found: "Replay") -> str:
    """A table of the signals and a line for each decision."""
    from frugalrl.reporting.console import table

    rows: list[Sequence[str]] = [("signal", "may", "compared with", "limit", "worst", "at step", "severity")]
    for worst in found.worst:
        reading = worst.reading
        if reading is None:
            rows.append((worst.signal, worst.action, "-", "-", "-", "-", "-"))
        else:
            numbers = (f"{number:.4g}" for number in (reading.level, reading.limit, reading.value))
            rows.append((worst.signal, worst.action, *numbers, str(worst.step), f"{reading.severity:.2f}"))
    return "\n".join([table(rows), "", *_decision_lines(found.decisions)])


_WOULD_HAVE = {"warn": "warned", "stop": "stopped the run and kept the best checkpoint"}


def _decision_lines(decisions: "Sequence[Decision]") -> list[str]:
    if not decisions:
        return ["The guard would not have acted."]
    lines = []
    left = False
    for decision in decisions:
        done = _WOULD_HAVE.get(
            decision.action, f"rolled back to the last good checkpoint before step {decision.before}"
        )
        lines.append(f"Step {decision.step}: would have {done}. {decision.reason}")
        if decision.action == "rollback" and not left:
            lines.append("From here on an unguarded log is that of a policy which would have been left.")
            left = True
    return lines
