"""What the plan says, as findings: whether memory and disk hold the run, and whether its budget holds its steps.

By the closed formula, at once. Time is known where the device is a card of the table; on a CPU or another card the run
itself says after its third step what it will take.
"""

import resource
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from frugalrl.config.loading import change_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.planning.doctor.finding import Finding, Level
from frugalrl.planning.forecast.cards import CARDS, Card
from frugalrl.planning.forecast.clock import Machine
from frugalrl.planning.forecast.lengths import prior
from frugalrl.planning.forecast.plan import Place, Plan, place_of, plan_run
from frugalrl.planning.forecast.planning import memory_here
from frugalrl.planning.forecast.shape import ModelShape
from frugalrl.planning.forecast.work import disk_bytes
from frugalrl.training.length_schedule import largest_cap

_TIGHT = 0.9
"""Of the memory or the disk: from here on something small may be too much."""
_UNKNOWN = Machine("an unknown machine", 1e-5, 1e10, 1e12, 1e12)
"""Where memory and tokens are asked and no time."""


def plan_findings(recipe: TrainRecipe, shape: ModelShape, device: torch.device, folder: Path) -> list[Finding]:
    """folder: of the run, or one above it that exists."""
    on_cpu = device.type == "cpu"
    name = None if on_cpu else torch.cuda.get_device_name(device)
    place = _place(recipe, name, memory_here(on_cpu), on_cpu)
    plan = plan_run(recipe, shape, place)
    cap = largest_cap(recipe.length_schedule, recipe.rollout.max_completion_tokens)
    free = shutil.disk_usage(nearest(folder)).free / 1e9
    return [
        memory_finding(plan),
        disk_finding(lambda one: disk_bytes(one, shape, prior(cap).mean) / 1e9, free, recipe),
        *budget_findings(plan, knows_time=place.machine is not _UNKNOWN),
    ]


def nearest(folder: Path) -> Path:
    """The folder itself, or the first above it that exists."""
    found = folder.absolute()
    while not found.exists():
        found = found.parent
    return found


def _place(recipe: TrainRecipe, device_name: str | None, memory_gb: float, on_cpu: bool) -> Place:
    """The device as a place of the plan: a card of the table by its name, with the memory that it has."""
    card = None if device_name is None else card_of(device_name)
    if card is None:
        price, threads = recipe.budget.usd_per_hour, torch.get_num_threads()
        return Place(_UNKNOWN, memory_gb, price, "your price", on_cpu, threads=threads)
    return replace(place_of(card, recipe.budget.usd_per_hour), memory_gb=memory_gb)


def card_of(device_name: str) -> Card | None:
    """torch's name of a device, e.g. ``NVIDIA A100-SXM4-80GB``, as a card of the table; None if there is none.

    Every part of a card's name has to be among the words. Laptops' cards share names and nothing else, and the table's
    H100 is the SXM board, which moves twice as much as the others.
    """
    words = set(device_name.upper().replace("-", " ").split())
    if "LAPTOP" in words or ("H100" in words and words & {"PCIE", "NVL"}):
        return None
    return next((card for card in CARDS.values() if set(card.name.upper().split("-")) <= words), None)


def memory_finding(plan: Plan) -> Finding:
    """Whether the peak fits into what is free."""
    name, peak, room = "plan/memory", plan.needed_gb, plan.memory_gb
    shown = f"{peak:.3g} GB at the peak, of {room:.3g} GB"
    if peak <= _TIGHT * room:
        return Finding(name, "green", shown)
    level: Level = "yellow" if plan.fits else "red"
    sets = " ".join(f"--set {one}" for one in plan.advice[-1].sets) if plan.advice and not plan.fits else ""
    what = "it leaves almost nothing" if plan.fits else "the run would end out of memory"
    return Finding(
        name,
        level,
        f"{shown}: {what} (rollout {plan.rollout_gb:.3g} GB, update {plan.update_gb:.3g} GB).",
        sets or "--set training.logits_chunk_tokens=256; frugalrl plan RECIPE --measure lists what saves most",
    )


def peak_gb(device: torch.device) -> float:
    """The most memory that this process has held: of the GPU, or resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def measured_finding(peak: float, room: float, device: str) -> Finding:
    """What sampling and one update held at their peak. room: of the whole GPU, or what is still free of the host's."""
    name, is_host = "plan/measured", device == "cpu"
    total = peak + room if is_host else room
    shown = f"{peak:.3g} GB at the peak of the doctor's own samples and update, of {total:.3g} GB"
    if peak <= _TIGHT * total:
        return Finding(name, "green", shown)
    return Finding(
        name,
        "yellow",
        f"{shown}: longer completions than these would not fit.",
        "--set training.logits_chunk_tokens=256, or --set model.gradient_checkpointing=true",
    )


def disk_finding(needed_by: Callable[[TrainRecipe], float], free: float, recipe: TrainRecipe) -> Finding:
    """Whether checkpoints, the model and the results fit beside what lies there. In GB."""
    name, needed = "plan/disk", needed_by(recipe)
    shown = f"{needed:.3g} GB for checkpoints, model and results, of {free:.3g} GB that are free"
    if needed <= _TIGHT * free:
        return Finding(name, "green", shown)
    level: Level = "yellow" if needed <= free else "red"
    what = "it leaves almost nothing" if needed <= free else "a checkpoint would not be written"
    return Finding(name, level, f"{shown}: {what}.", _room(needed_by, free, recipe))


def _room(needed_by: Callable[[TrainRecipe], float], free: float, recipe: TrainRecipe) -> str:
    """Fewer checkpoints, if that is enough; else fewer steps too; else another disk."""
    elsewhere = "--out FOLDER on a larger disk"
    changes = [] if recipe.training.keep_last == 1 else ["training.keep_last=1"]
    while not changes or needed_by(change_recipe(recipe, changes)) > _TIGHT * free:
        steps = int(_TIGHT * free / needed_by(change_recipe(recipe, changes)) * recipe.training.steps)
        if len(changes) > 1 or steps < 1:
            return elsewhere
        changes = [*changes, f"training.steps={max(1, 9 * steps // 10)}"]
    return f"{' '.join(f'--set {one}' for one in changes)}, or {elsewhere}"


def budget_findings(plan: Plan, knows_time: bool) -> list[Finding]:
    """The recipe's caps against the plan: red where surely fewer steps are made than the recipe says."""
    return [
        Finding(f"plan/{over.key}", "red" if over.is_sure else "yellow", f"{over.message}.", over.fix)
        for over in plan.budget
        if knows_time or over.key == "budget.tokens"
    ]
