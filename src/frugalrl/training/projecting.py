"""What a run is projected to take and cost in all: its metrics, its lines, and what that says about its budget."""

from collections.abc import Mapping, Sequence
from typing import Any

from frugalrl.reporting.console import duration
from frugalrl.training.limits.budget import usd
from frugalrl.training.limits.projection import FIRST_STEP, SHOWN_AT, Projection, project, steps_within, usual_steps
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run

_ENDS = {"seconds": "", "seconds_low": "_low", "seconds_high": "_high"}


def eta_seconds(run: Run, progress: Progress) -> float:
    """What is left, evaluations and checkpoints included; also after the first steps, without an interval."""
    usual = usual_steps(_recent(progress))
    stepping = sum(usual) / len(usual) * (_steps(run) - progress.step) if usual else 0.0
    return max(0.0, stepping) + _beside(run, progress)


def projection_metrics(run: Run, progress: Progress) -> dict[str, float]:
    """Seconds that are left, and dollars in all, each with an interval; nothing before the third step."""
    left, price = _projection(run, progress), run.budget.usd_per_hour
    if left is None:
        return {}
    whole = left.in_all(run.seconds)
    found = {
        "cost/seconds_left": round(left.left, 3),
        "cost/seconds_left_low": round(left.low, 3),
        "cost/seconds_left_high": round(left.high, 3),
    }
    if price is not None:
        found["cost/usd_total"] = usd(whole.left, price)
        found["cost/usd_total_low"] = usd(whole.low, price)
        found["cost/usd_total_high"] = usd(whole.high, price)
    return found


def projection_notes(run: Run, progress: Progress) -> tuple[str, ...]:
    """Lines for people after the third step, and now and then later."""
    left, price = _projection(run, progress), run.budget.usd_per_hour
    if left is None or progress.step not in SHOWN_AT or progress.step >= _steps(run):
        return ()
    whole = left.in_all(run.seconds)
    line = (
        f"   Projected from {progress.step} steps: {duration(left.left)} to go "
        f"[{duration(left.low)}, {duration(left.high)}], {duration(whole.left)} in all"
    )
    if price is not None:
        value, low, high = (usd(one, price) for one in (whole.left, whole.low, whole.high))
        line += f", ${value:.2f} [{low:.2f}, {high:.2f}]"
    return (f"{line}.", *_of_the_budget(run, progress, whole))


def first_projection(lines: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """What was projected first, of the whole run, from the lines of its log; None for a run that ended before."""
    line = next((one for one in lines if "cost/seconds_left" in one), None)
    if line is None:
        return None
    ends = {name: line["cost/seconds"] + line[f"cost/seconds_left{end}"] for name, end in _ENDS.items()}
    return {"step": line["step"], **{name: round(value, 3) for name, value in ends.items()}}


def _of_the_budget(run: Run, progress: Progress, whole: Projection) -> tuple[str, ...]:
    """Whether the cap in hours or dollars holds what is projected: what is surely over, and what may be."""
    cap, steps = run.budget.seconds, _steps(run)
    if cap is None or cap >= whole.high:
        return ()
    holds = steps_within(cap - run.seconds, _recent(progress), progress.step, _beside(run, progress))
    sure = "holds" if cap < whole.low else "may hold only"
    if holds >= steps:
        return (f"   The budget of {duration(cap)} may not hold all {steps} steps.",)
    return (
        f"   The budget of {duration(cap)} {sure} about {holds} of {steps} steps. The run will end within it; a new "
        f"run with --set training.steps={max(holds, 1)} would end its schedule there.",
    )


def _projection(run: Run, progress: Progress) -> Projection | None:
    if progress.step < FIRST_STEP:
        return None
    return project(_recent(progress), progress.step, _steps(run), _beside(run, progress))


def _recent(progress: Progress) -> list[float]:
    return [cost.seconds for cost in progress.spending.recent_steps]


def _steps(run: Run) -> int:
    """The steps that the run makes unless something ends it."""
    return min(run.recipe.training.steps, run.budget.steps or run.recipe.training.steps)


def _beside(run: Run, progress: Progress) -> float:
    """Seconds of the evaluations, checkpoints and the end that are still to come, as the last ones took."""
    recipe, spending = run.recipe, progress.spending
    costs = {split: cost.seconds for split, cost in spending.evaluations.items()}
    ahead = range(progress.step, _steps(run))
    validations = _multiples(recipe.evaluation.every, ahead) if run.problems.validation else 0
    saves = _multiples(recipe.training.save_every, ahead)
    return (
        validations * costs.get("validation", 0.0)
        + saves * (spending.save_seconds or run.load_seconds)
        + spending.end_seconds(run.load_seconds)
    )


def _multiples(every: int | None, steps: range) -> int:
    return 0 if every is None else sum(step % every == 0 for step in steps)
