"""From a recipe, cards and settings to plans: what the command and the Python API call."""

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from frugalrl.config.loading import change_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import DataError, RecipeError
from frugalrl.host_memory import available_bytes, container_limit
from frugalrl.planning.forecast.cards import card_named
from frugalrl.planning.forecast.lengths import Lengths, seen, with_mean
from frugalrl.planning.forecast.measure import measure
from frugalrl.planning.forecast.memory import MemorySettings
from frugalrl.planning.forecast.plan import Place, Plan, is_sharded, place_of, plan_run, settings_of
from frugalrl.planning.forecast.shape import shape_of
from frugalrl.planning.forecast.traced import TracedMemory, traced_memory
from frugalrl.training.distributed.devices import refuse_absent
from frugalrl.training.length_schedule import largest_cap

_DEFAULT_CARDS = ("A40", "A100-80GB", "L4", "L40S", "RTX-4090", "H100", "H200")


def plans(
    recipe: TrainRecipe,
    gpus: Sequence[str] = (),
    usd_per_hour: float | Mapping[str, float] | None = None,
    measured: bool = False,
    tries: Sequence[Sequence[str]] = (),
    mean_tokens: float | None = None,
    lengths_file: str | None = None,
    instant: bool = False,
    processes: int | None = None,
) -> list[tuple[str, Plan]]:
    """A plan for each machine and setting, with its name. Raises UserError.

    usd_per_hour: of a card, or by card. instant: memory from the formula alone, without a run of the code on fake
    tensors. processes: cards that share a run, each with one; None: as many as `devices.train` names, or one.
    """
    processes = _processes(recipe, processes)
    _refuse_no_price(usd_per_hour)
    cap = largest_cap(recipe.length_schedule, recipe.rollout.max_completion_tokens)
    lengths = _lengths(cap, mean_tokens, lengths_file)
    by_card = (
        {card_named(name): price for name, price in usd_per_hour.items()} if isinstance(usd_per_hour, Mapping) else {}
    )
    price = usd_per_hour if isinstance(usd_per_hour, float | int) else recipe.budget.usd_per_hour
    places: list[Place] = []
    if measured:
        refuse_absent(recipe.devices, torch.cuda.device_count())
        machine, own, shape = measure(recipe)
        lengths = lengths or own
        on_cpu = not torch.cuda.is_available()
        here = Place(machine, memory_here(on_cpu), price, "your price", on_cpu, threads=torch.get_num_threads())
        places.append(here)
    else:
        shape = shape_of(recipe.model)
    cards = [card_named(name) for name in gpus or (() if measured else _DEFAULT_CARDS)]
    places += [place_of(card, by_card.get(card, price)) for card in cards]
    places = [replace(place, processes=processes) for place in places]
    variants = [("", recipe), *((" ".join(one), change_recipe(recipe, list(one))) for one in tries)]

    @functools.cache
    def traced_at(at: int, settings: MemorySettings) -> TracedMemory | None:
        return None if instant else traced_memory(variants[at][1], shape, settings)

    def traced(at: int, place: Place) -> TracedMemory | None:
        changed = variants[at][1]
        return None if is_sharded(changed, shape, place) else traced_at(at, settings_of(changed, shape, place))

    return [
        (
            f"{'' if processes == 1 else f'{processes} x '}{place.machine.name} {changes}".strip(),
            plan_run(changed, shape, place, lengths, traced(at, place)),
        )
        for place in places
        for at, (changes, changed) in enumerate(variants)
    ]


def _refuse_no_price(usd_per_hour: float | Mapping[str, float] | None) -> None:
    given = usd_per_hour.values() if isinstance(usd_per_hour, Mapping) else [usd_per_hour]
    wrong = [one for one in given if one is not None and not 0 < one < math.inf]
    if wrong:
        raise RecipeError(f"usd_per_hour is {wrong[0]}. Give dollars an hour above 0, or leave it out.")


def _processes(recipe: TrainRecipe, asked: int | None) -> int:
    """As asked, or as the recipe's list of GPUs says; where both do, they agree."""
    named = len(recipe.devices.train)
    if asked is not None and asked < 1:
        raise RecipeError(f"A run has at least one process, not {asked}. Give the number of cards that share it.")
    if asked is not None and named not in (0, asked):
        raise RecipeError(
            f"devices.train names {named} GPUs, a process each, and the plan is to be for {asked}. Leave --processes "
            "out, or change one of them."
        )
    return asked or max(1, named)


def memory_here(on_cpu: bool) -> float:
    """Gigabytes: of the GPU, or of memory that is free, which a container may limit."""
    if not on_cpu:
        return torch.cuda.get_device_properties(0).total_memory / 1e9
    free, limit = available_bytes(), container_limit()
    return (free if limit is None else min(free, limit)) / 1e9


def _lengths(cap: int, mean_tokens: float | None, file: str | None) -> Lengths | None:
    if mean_tokens is not None:
        if not 0 < mean_tokens <= cap:
            raise RecipeError(f"A mean of {mean_tokens:g} tokens does not lie in 1..{cap}, the cap. Give another.")
        return with_mean(mean_tokens, cap, 0.8, 1.25, "your figure")
    if file is None:
        return None
    try:
        rows = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines() if line.strip()]
        tokens = [int(row["tokens"]) for row in rows if isinstance(row, dict) and "tokens" in row]
    except (OSError, ValueError, TypeError, OverflowError) as error:
        raise DataError(f"Lengths cannot be read from {file}: {error}. Give .jsonl with `tokens` in rows.") from None
    if min(tokens, default=0) < 0:
        raise DataError(f"Lengths cannot be read from {file}: a completion has {min(tokens)} tokens. Correct it.")
    if not tokens:
        raise DataError(f"{file} holds no row with `tokens`. Give results of frugalrl eval, or --mean-tokens.")
    return seen(tokens, cap, f"{len(tokens):,} completions of {Path(file).name}")
