"""`frugalrl guard RUN`: when the guard would have acted in a run, and why.

Replays the run's log and its stored evaluations, so it needs no model and takes a moment;
`--set guard.least_fall=0.1` tries other settings.
"""

import argparse
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frugalrl.commands.running import show
from frugalrl.errors import DataError, OutputError

if TYPE_CHECKING:
    from frugalrl.config.schema import GuardPart
    from frugalrl.reporting.run_record import RunRecord
    from frugalrl.training.guard.replay import Line, Replay, SignRow, Stored
    from frugalrl.training.guard.rules import GuardRule

_FILE = re.compile(r"(validation|guard)-step-(\d+)\.jsonl")


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "guard",
        help="when the guard would have acted in a run, and why",
        description="Replay the guard over a run's metrics.jsonl and evaluations/: how near each sign came to its "
        "limit, and every warning, evaluation called for, rollback or stop with its reason.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a folder that `frugalrl train` wrote")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="guard.A=B",
        help="replace a setting of the guard, e.g. guard.least_fall=0.1; may be repeated",
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the replay. Raises DataError for what is no training run, RecipeError for settings that are wrong."""
    from frugalrl.reporting.run_reader import read_run
    from frugalrl.training.guard.replay import replay, sign_rows

    record = read_run(arguments.run, str(arguments.run))
    part, whose = _settings(arguments.run / "recipe.yaml", arguments.set)
    lines, evaluations = log_lines(record), stored_evaluations(arguments.run)
    counts = f"{len(lines)} steps, {len(evaluations)} evaluations"
    show(f"{arguments.run}: {counts}; {whose}\n")
    found = replay(lines, evaluations, rule_of(part, evaluations))
    show(replay_text(found, sign_rows(lines)))
    return 0


def _settings(recipe: Path, overrides: Sequence[str]) -> "tuple[GuardPart, str]":
    """The part of a run's recipe, and whose it is. Settings of a guard of an earlier version are passed over."""
    from frugalrl.config.loading import load_part
    from frugalrl.config.schema import GuardPart
    from frugalrl.errors import RecipeError

    whose = "settings of the run's recipe" if recipe.is_file() else "default settings"
    try:
        part = load_part(recipe, GuardPart)
    except RecipeError:
        part, whose = GuardPart(), "default settings, since the run's recipe is of another version"
    if overrides:
        changed = load_part(Path(), GuardPart, [*_as_overrides(part), *overrides])
        return changed, f"{whose}, {len(overrides)} changed"
    return part, whose


def _as_overrides(part: "GuardPart") -> list[str]:
    plain = part.model_dump(mode="json")
    return [f"{section}={json.dumps(values)}" for section, values in plain.items()]


def log_lines(record: "RunRecord") -> "list[Line]":
    """A run's training steps in order. Raises DataError if there is none with a reward."""
    if not any("reward/mean" in values for _, values in record.steps):
        raise DataError(
            f"The run {record.label} has no training step with a reward in its metrics.jsonl, so there is nothing to "
            "watch. Name a run of `frugalrl train` that got past its first step."
        )
    return [
        (step, {name: math.nan if value is None else value for name, value in values.items()})
        for step, values in sorted(record.steps, key=lambda one: one[0])
    ]


def stored_evaluations(run_folder: Path) -> "list[Stored]":
    """The evaluations that the guard of a run looks at, with known verdicts. Raises OutputError."""
    files = {path: _FILE.fullmatch(path.name) for path in sorted((run_folder / "evaluations").glob("*.jsonl"))}
    named = [(path, match[1], int(match[2])) for path, match in files.items() if match]
    validates = any(split == "validation" for _, split, _ in named)
    return [_stored(path, step, split == "guard", validates) for path, split, step in named]


def _stored(path: Path, step: int, called: bool, validates: bool) -> "Stored":
    from frugalrl.training.guard.replay import Stored

    verdicts: dict[str, list[bool]] = {}
    tokens = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            tokens.append(row["completion_tokens"])
            if row["verdict"] != "unknown":
                verdicts.setdefault(row["problem_id"], []).append(row["verdict"] == "correct")
        mean = sum(tokens) / len(tokens)
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise OutputError(f"{path} cannot be read: {error!r}. Remove it to replay the guard without it.") from None
    return Stored(step, verdicts, mean, called, whole=not called or not validates)


def rule_of(part: "GuardPart", evaluations: "Sequence[Stored]") -> "GuardRule":
    """What was fixed for a run, from its recipe and the size of its first evaluation."""
    from frugalrl.training.guard.rules import GuardRule, called_samples

    samples = part.rollout.prompts_per_step * part.rollout.group_size
    first = min(evaluations, key=lambda one: one.step, default=None)
    called, every = 0, None
    if first is not None and first.called:
        called = len(first.verdicts)
    elif first is not None:
        called, every = called_samples(samples, len(first.verdicts)), part.evaluation.every
    return GuardRule(samples, called, every, **part.guard.model_dump(exclude={"enabled", "held_out"}))


def replay_text(found: "Replay", rows: "Sequence[SignRow]") -> str:
    """A table of the signs, and a line for each decision."""
    from frugalrl.reporting.console import table

    shown: list[Sequence[str]] = [("sign", "metric", "does", "limit", "nearest", "at step", "passed at")]
    for row in rows:
        limit = "-" if row.limit is None else f"{row.limit:.4g}"
        worst = ("-", "-") if row.worst is None else (f"{row.worst[0]:.4g}", str(row.worst[1]))
        fired = ", ".join(map(str, row.fired[:5])) + (" ..." if len(row.fired) > 5 else "")
        does = "evaluate" if row.calls else "warn"
        shown.append((row.sign, row.metric, does, limit, *worst, fired or "-"))
    return "\n".join([table(shown), "", *_decision_lines(found)])


_WOULD_HAVE = {
    "warn": "warned",
    "evaluate": "evaluated",
    "clear": "gone on",
    "rollback": "rolled back to the best evaluation",
    "stop": "stopped the run and kept the best checkpoint",
}


def _decision_lines(found: "Replay") -> list[str]:
    acted = [one.action for one in found.decisions if one.action in ("rollback", "stop")]
    lines, left = [], False
    for decision in found.decisions:
        missing = ""
        if decision.action == "evaluate" and decision.step in found.unanswered:
            missing = " This run has no such evaluation, so what it would have decided is not known."
        lines.append(f"Step {decision.step}: would have {_WOULD_HAVE[decision.action]}. {decision.reason}{missing}")
        if decision.action == "rollback" and not left:
            lines.append("From here on an unguarded log is that of a policy which would have been left.")
            left = True
    return lines if acted else [*lines, "The guard would not have rolled back or stopped this run."]
