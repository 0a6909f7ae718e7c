"""What an evaluation will cost, said before it starts and while it goes on, and where its budget ends it."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from frugalrl.errors import BudgetSpentError, DataError

if TYPE_CHECKING:
    from frugalrl.config.schema import ModelSettings
    from frugalrl.evaluation.benchmark_loading import LoadedBenchmark
    from frugalrl.evaluation.benchmarking import Model, Plan, Settings
    from frugalrl.evaluation.runner import Progress
    from frugalrl.planning.forecast.evaluations import Asked, Forecast
    from frugalrl.planning.forecast.plan import Place
    from frugalrl.planning.forecast.shape import ModelShape
    from frugalrl.training.distributed.world import World

Say = Callable[[str], None]
_CHARS_PER_TOKEN = 3.5
_SHORT_SECONDS = 60.0
"""An evaluation that is surely over by then gets one line."""
_CARDS = ("A40", "A100-80GB", "L40S", "RTX-4090", "H100")
_KNOWN_CONTEXT = 131_072
"""Of models whose configuration is in the program (R1-Distill-Qwen-1.5B)."""


@dataclass(frozen=True)
class Terms:
    """What an evaluation may cost, and what is known of it."""

    usd_per_hour: float | None = None
    """Of the machine, or of each of several GPUs."""
    max_usd: float | None = None
    """Where it ends; what is finished is kept."""
    mean_tokens: float | None = None
    """Of a completion."""

    def __post_init__(self) -> None:
        for name in ("usd_per_hour", "max_usd", "mean_tokens"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise DataError(f"{name} is {value}. Give a number above 0.")


def todo(planned: "Plan", folder: Path, mean_tokens: float | None) -> "Asked":
    """What a benchmark's results file still lacks, with lengths like those of the samples that are there."""
    from frugalrl.evaluation.results import read_results, results_path
    from frugalrl.planning.forecast.evaluations import Asked, lengths_of

    path, wanted = results_path(folder, planned.benchmark.name), {one.problem.id for one in planned.prompts}
    there = read_results(path).samples if path.is_file() and path.stat().st_size else ()
    counted = {
        (one.problem_id, one.sample) for one in there if one.problem_id in wanted and one.sample < planned.samples
    }
    sizes = [len(one.token_ids) or round(len(one.text) / _CHARS_PER_TOKEN) for one in planned.prompts]
    cap = planned.sampling.max_completion_tokens
    return Asked(
        name=planned.benchmark.name,
        samples=len(planned.prompts) * planned.samples - len(counted),
        prompt_tokens=sum(sizes) / len(sizes),
        longest_prompt=max(sizes),
        cap=cap,
        lengths=lengths_of(planned.benchmark.name, cap, [one.tokens for one in there], mean_tokens),
        sorts=planned.sampling.temperature > 0 and planned.sampling.top_p < 1,
    )


def foretell_here(
    world: "World", loaded: "Model", plans: "Sequence[Plan]", settings: "Settings", terms: Terms, say: Say
) -> float | None:
    """Say what a loaded model's evaluation will take, by its own speed; returns dollars a second, if known.

    Raises BudgetSpentError if it would surely cost more than it may.
    """
    from frugalrl.planning.forecast.evaluations import Engine, forecast
    from frugalrl.planning.forecast.shape import shape_of_config
    from frugalrl.training.distributed.placement import own_part

    rate = None if terms.usd_per_hour is None else terms.usd_per_hour * world.size / 3600
    if terms.max_usd is not None and rate is None:
        raise DataError("max_usd says what the evaluation may cost, and no price is known. Give --usd-per-hour.")
    if not world.main(lambda: sum(todo(one, loaded.folder, None).samples for one in plans)):
        return rate

    def tried() -> "tuple[ModelShape, Place]":
        shape = shape_of_config(loaded.config)
        return shape, _place_here(loaded, plans, settings, shape, terms, world.size)

    shape, place = own_part(world, tried)

    def told() -> None:
        asked = [todo(one, loaded.folder, terms.mean_tokens) for one in plans]
        engine = Engine(settings.max_sequences, 4 if loaded.dtype == "float32" else 2)
        expected = forecast([one for one in asked if one.samples], engine, shape, place)
        _say(expected, say)
        refuse_too_dear(expected, terms.max_usd)

    world.main(told)
    return rate


def _place_here(
    loaded: "Model", plans: "Sequence[Plan]", settings: "Settings", shape: "ModelShape", terms: Terms, processes: int
) -> "Place":
    import torch

    from frugalrl.planning.doctor.plan_checks import card_of
    from frugalrl.planning.forecast.clock import machine_of
    from frugalrl.planning.forecast.plan import Place
    from frugalrl.planning.forecast.planning import memory_here
    from frugalrl.planning.forecast.trial import tried

    on_cpu = not loaded.device.startswith("cuda")
    card = None if on_cpu else card_of(torch.cuda.get_device_name())
    prompts = [prompt.token_ids for one in plans for prompt in one.prompts][: settings.max_sequences]
    rows = min(settings.max_sequences, sum(len(one.prompts) * one.samples for one in plans))
    width = 4 if loaded.dtype == "float32" else 2
    machine = tried(loaded.engine, prompts, rows, shape, width, None if card is None else machine_of(card), on_cpu)
    memory = memory_here(on_cpu) / (processes if on_cpu else 1)
    return Place(machine, memory, terms.usd_per_hour, "your price", on_cpu, processes)


def foretell_served(
    plans: "Sequence[Plan]", folder: Path, prices: tuple[float, float] | None, terms: Terms, say: Say
) -> None:
    """Say what a server's evaluation will take: tokens and dollars; how fast it is, its first replies show.

    Raises BudgetSpentError if it would surely cost more than it may.
    """
    from frugalrl.planning.forecast.evaluations import Engine, forecast

    if terms.max_usd is not None and prices is None:
        raise DataError("max_usd says what the evaluation may cost, and no price is known. Give --usd-per-million.")
    asked = [one for one in (todo(plan, folder, terms.mean_tokens) for plan in plans) if one.samples]
    if not asked:
        return
    expected = forecast(asked, Engine(1, is_server=True), usd_per_million=prices)
    _say(expected, say)
    refuse_too_dear(expected, terms.max_usd)


def refuse_too_dear(expected: "Forecast", max_usd: float | None) -> None:
    """Raise BudgetSpentError if even the low end of what is likely is above the most that it may cost."""
    if max_usd is None or expected.usd is None or expected.usd.low <= max_usd:
        return
    from frugalrl.planning.forecast.evaluation_text import usd_shown

    raise BudgetSpentError(
        f"The evaluation would cost about {usd_shown(expected.usd)}, and max_usd is {max_usd:g}. Raise it, or ask for "
        "less with --k, --limit or --max-tokens."
    )


def _say(expected: "Forecast", say: Say) -> None:
    from frugalrl.planning.forecast.evaluation_text import forecast_lines

    lines = forecast_lines(expected)
    is_short = expected.seconds is not None and expected.seconds.high < _SHORT_SECONDS
    for line in [f"{lines[0]},{lines[1].replace('  time    ', '')}"] if is_short else lines:
        say(line)


class Meter:
    """Time and money of an evaluation that is going on."""

    def __init__(self, usd_per_second: float | None, max_usd: float | None) -> None:
        self._rate, self._most = usd_per_second, max_usd
        self._began = time.monotonic()
        self._before = 0.0  # dollars of the benchmarks that are finished
        self._name, self._rounds, self._last = "", list[float](), 0.0

    def line(self, planned: "Plan", progress: "Progress") -> str:
        """What is said after a round: how far it is, what is left with its range, and the cost."""
        from frugalrl.reporting.evaluation_text import progress_line
        from frugalrl.training.limits.projection import project

        if planned.benchmark.name != self._name:
            self._name, self._rounds, self._last = planned.benchmark.name, [], 0.0
        self._rounds.append(progress.seconds - self._last)
        self._last = progress.seconds
        done = len(self._rounds)
        left = math.ceil(progress.eta_seconds / max(1e-9, progress.seconds / done))
        found = project(self._rounds, done, done + left, 0.0) if left else None
        spent = self.spent(progress)
        return progress_line(self._name, progress, None if found is None else (found.low, found.high), spent)

    def spent(self, progress: "Progress") -> float | None:
        """Dollars of this start, if a price is known."""
        if progress.usd is not None:
            return self._before + progress.usd
        return None if self._rate is None else self._rate * (time.monotonic() - self._began)

    def finished(self, usd: float | None) -> None:
        """A benchmark of a server is through, and took so much."""
        self._before += usd or 0.0

    def refuse_more(self, progress: "Progress") -> None:
        """Raise BudgetSpentError if what may be spent is, or would be with the next round."""
        spent = self.spent(progress)
        if self._most is None or spent is None or progress.done == progress.total:
            return
        next_round = 0.0 if self._rate is None else self._rate * self._rounds[-1]
        if spent + next_round >= self._most:
            raise BudgetSpentError(
                f"The evaluation has cost ${spent:.4g} of max_usd {self._most:g}, with {progress.done:,} of "
                f"{progress.total:,} samples of {self._name}. They are kept: raise it and the same command resumes."
            )


def forecasts(
    model: str,
    benchmarks: "Sequence[LoadedBenchmark]",
    settings: "Settings",
    folder: Path | None,
    terms: Terms,
    gpus: Sequence[str],
    processes: int,
    prices: tuple[float, float] | None,
    is_server: bool,
) -> "list[Forecast]":
    """What an evaluation would take on cards of the table, or of a server's tokens; nothing is loaded.

    Empty if all samples are there already.
    """
    from frugalrl.evaluation.benchmarking import default_folder
    from frugalrl.planning.forecast.evaluations import Engine, forecast
    from frugalrl.planning.forecast.shape import shape_of

    if processes < 1:
        raise DataError(f"An evaluation has at least one process, not {processes}. Give the number of cards.")
    context = None if is_server else _context_of(model)
    at = folder or default_folder(model)
    asked = [_asked_of(one, settings, at, terms.mean_tokens, context) for one in benchmarks]
    asked = [one for one in asked if one.samples]
    engine = Engine(settings.max_sequences, is_server=is_server)
    if not asked:
        return []
    if is_server and not gpus:
        return [forecast(asked, engine, usd_per_million=prices)]
    shape = shape_of(_base_settings(model))
    places = _places(gpus or _CARDS, terms.usd_per_hour, processes, is_server)
    return [forecast(asked, engine, shape, place, prices) for place in places]


def forecasts_text(model: str, found: "Sequence[Forecast]") -> str:
    """A model's forecasts as lines for people."""
    from frugalrl.planning.forecast.evaluation_text import forecast_lines, forecasts_table

    if not found:
        return f"{model}: all samples are there already."
    head = model if found[0].place else f"{model} behind a server"
    return "\n".join([head, forecasts_table(found)] if len(found) > 1 else [head, *forecast_lines(found[0])])


def _places(gpus: Sequence[str], usd_per_hour: float | None, processes: int, is_server: bool) -> "list[Place]":
    from frugalrl.planning.forecast.cards import card_named
    from frugalrl.planning.forecast.evaluations import served_by
    from frugalrl.planning.forecast.plan import place_of

    places = [replace(place_of(card_named(name), usd_per_hour), processes=processes) for name in gpus]
    if not is_server:
        return places
    return [replace(one, machine=served_by(card_named(one.machine.name))) for one in places]


def _asked_of(
    benchmark: "LoadedBenchmark", settings: "Settings", folder: Path, mean_tokens: float | None, context: int | None
) -> "Asked":
    """As the evaluation would ask, but for prompts, which are counted by their characters."""
    from frugalrl.evaluation.benchmarking import Plan, preset_of, sampling_of, templates_of
    from frugalrl.evaluation.records import Subject
    from frugalrl.evaluation.results import header_of
    from frugalrl.types import Prompt

    templates, _ = templates_of(benchmark, settings)
    prompts = tuple(
        Prompt(problem, template + problem.text, ())
        for problem, template in zip(benchmark.problems, templates, strict=True)
    )
    preset = preset_of(settings)
    cap = settings.max_tokens or (preset.max_completion_tokens if preset else benchmark.max_tokens)
    if context is not None:
        cap = max(1, min(cap, context - round(max(len(one.text) for one in prompts) / _CHARS_PER_TOKEN)))
    sampling = sampling_of(settings, cap)
    samples = settings.k or (benchmark.samples if sampling.temperature > 0 else 1)
    subject = Subject(benchmark.name, "", None, "", "", "", "", benchmark.source)
    header = header_of(subject, benchmark.data_hash, sampling, settings.seed, 0.0)
    plan = Plan(benchmark, prompts[: settings.limit], sampling, samples, subject, header)
    return todo(plan, folder, mean_tokens)


def _base_settings(model: str) -> "ModelSettings":
    from frugalrl.config.schema import ModelSettings
    from frugalrl.training.model.adapter import CONFIG_FILE, base_named_in

    folder = Path(model).expanduser()
    return ModelSettings(path=base_named_in(folder) if (folder / CONFIG_FILE).is_file() else model)


def _context_of(model: str) -> int | None:
    """The model's context where its configuration is at hand."""
    from frugalrl.planning.forecast.shape import KNOWN
    from frugalrl.training.model.policy import resolve_model_path

    if model in KNOWN:
        return _KNOWN_CONTEXT
    config = Path(str(resolve_model_path(_base_settings(model).path))) / "config.json"
    if not config.is_file():
        return None
    stated = json.loads(config.read_text(encoding="utf-8")).get("max_position_embeddings")
    return stated if isinstance(stated, int) else None
