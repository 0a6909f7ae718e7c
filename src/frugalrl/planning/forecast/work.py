"""What a recipe asks for, as the plain numbers that memory and time are computed from."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from frugalrl.config.engine_schema import VllmEngineSettings
from frugalrl.config.schema import ProblemSource, TrainRecipe
from frugalrl.planning.forecast.clock import Sampled, StateTraffic, Work
from frugalrl.planning.forecast.lengths import Lengths, of_benchmark, prior
from frugalrl.planning.forecast.memory import GB, MemorySettings, held_through_a_step, moment_bytes, saved_bytes
from frugalrl.planning.forecast.shape import KNOWN, ModelShape
from frugalrl.training.batching import CPU_MICRO_BATCH_TOKENS, first_rows
from frugalrl.training.length_schedule import largest_cap
from frugalrl.training.model.held import is_roomy
from frugalrl.training.state.background import USABLE_SHARE

_UNKNOWN_PROBLEMS = 500
"""Of a held-out source without `limit`: the size of MATH-500."""
_ROWS_THAT_SHOW_THE_CUT = 4096
"""Completions of a step; more are cut into more micro-batches of the same size."""
_PROMPT_SHARE = 0.4
"""Mean prompt over max_prompt_tokens: 0.38 on arithmetic, 0.4 to 0.5 with the paper's system prompt."""
_KEPT_PROGRAMS = 1024
"""Of oneDNN, by default: it makes one for each shape of a product, and drops the one that was used the longest ago."""
_DECODING_PRODUCTS, _UPDATE_PRODUCTS = 4, 15
"""Shapes for each number of rows, and of tokens: four fused products; of five kinds, forward and backward by both."""
_BYTES_PER_TOKEN = 5
"""Of a completion in the results files: text and its record."""


@dataclass(frozen=True)
class Evaluated:
    """An evaluation that a run makes several times."""

    split: str
    completions: int
    times: int
    lengths: Lengths | None
    """None: as in training."""


def evaluations_of(recipe: TrainRecipe) -> list[Evaluated]:
    """Validation before, between and at the end; test for the base and the kept model. The guard's own are not here."""
    settings, data = recipe.evaluation, recipe.data
    between = 0 if settings.every is None else (recipe.training.steps - 1) // settings.every
    times = {"validation": between + 2, "test": 2}
    return [
        Evaluated(split, _problems(source) * settings.samples_per_problem, times[split], _lengths_of(recipe, source))
        for split, source in (("validation", data.validation), ("test", data.test))
        if source is not None
    ]


def _problems(source: ProblemSource) -> int:
    return source.limit or _UNKNOWN_PROBLEMS


def _lengths_of(recipe: TrainRecipe, source: ProblemSource) -> Lengths | None:
    """Of an evaluation whose cap is above that of training: what training samples is no guide to it."""
    cap = recipe.evaluation.max_completion_tokens
    if cap is None or cap <= largest_cap(recipe.length_schedule, recipe.rollout.max_completion_tokens):
        return None
    logged = of_benchmark(source.source, cap) if recipe.model.path in KNOWN else None
    return prior(cap) if logged is None else logged


def rollout_rows(recipe: TrainRecipe) -> int:
    """Rows of the cache."""
    return recipe.rollout.max_sequences or recipe.rollout.prompts_per_step * recipe.rollout.group_size


def is_served(recipe: TrainRecipe) -> bool:
    """Whether servers sample, so that no cache lies beside the trainer."""
    return isinstance(recipe.rollout.engine, VllmEngineSettings)


def trained_parameters(recipe: TrainRecipe, shape: ModelShape) -> int:
    """All, or those of the adapters."""
    lora = recipe.model.lora
    if lora is None:
        return shape.parameters
    return shape.layers * lora.rank * sum(sum(sides) for sides in _adapted(recipe, shape))


def _adapted(recipe: TrainRecipe, shape: ModelShape) -> list[tuple[int, int]]:
    """Inputs and outputs of each matrix of a layer that has adapters."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    sizes = {
        "q_proj": (shape.hidden, queries),
        "k_proj": (shape.hidden, keys),
        "v_proj": (shape.hidden, keys),
        "o_proj": (queries, shape.hidden),
        "gate_proj": (shape.hidden, shape.intermediate),
        "up_proj": (shape.hidden, shape.intermediate),
        "down_proj": (shape.intermediate, shape.hidden),
    }
    return [sizes[name] for name in (recipe.model.lora.target if recipe.model.lora else ())]


def memory_settings(recipe: TrainRecipe, shape: ModelShape, on_cpu: bool, memory_gb: float) -> MemorySettings:
    """As the program allocates it. memory_gb: that there is, which decides where a reference waits."""
    rollout, evaluation = recipe.rollout, recipe.evaluation
    longest = largest_cap(recipe.length_schedule, rollout.max_completion_tokens)
    completions = rollout.prompts_per_step * rollout.group_size
    asked_at_once = max((one.completions for one in evaluations_of(recipe)), default=0)
    rows, others = min(rollout_rows(recipe), completions), min(evaluation.max_sequences, asked_at_once)
    tokens = rollout.max_prompt_tokens + longest
    evaluated = rollout.max_prompt_tokens + (evaluation.max_completion_tokens or longest)
    has_own = bool(evaluations_of(recipe)) and rows < others
    micro = min(max(tokens, recipe.training.micro_batch_tokens), completions * tokens)
    settings = MemorySettings(
        value_bytes=_width(recipe),
        trained=trained_parameters(recipe, shape),
        has_reference=recipe.algorithm.loss.kl_coef > 0 and recipe.model.lora is None,
        trains_head=recipe.model.lora is None,
        checkpointing=recipe.model.gradient_checkpointing,
        rollout_rows=0 if is_served(recipe) else rows,
        rollout_tokens=tokens if has_own else max(tokens, evaluated),
        evaluation_rows=others if has_own and not is_served(recipe) else 0,
        evaluation_tokens=evaluated,
        update_tokens=tokens,
        micro_batch_tokens=micro,
        loss_tokens=micro * longest // tokens,
        logits_chunk=recipe.training.logits_chunk_tokens,
        state_bits=recipe.optimizer.state_bits,
        offload=recipe.optimizer.offload,
        on_cpu=on_cpu,
        adapted_values=0 if recipe.model.lora is None else recipe.model.lora.rank * len(recipe.model.lora.target),
        merged_parameters=_merged_parameters(recipe, shape),
        saves_reference=recipe.algorithm.loss.kl_coef > 0 and recipe.algorithm.reference_reset_every is not None,
        copy_share=USABLE_SHARE if recipe.model.lora is None else 0.0,
        free_gb=memory_gb if on_cpu else math.inf,
    )
    settings = _as_cut_on_a_cpu(recipe, settings, longest) if on_cpu else settings
    place = recipe.algorithm.reference_place
    waits = not on_cpu and not is_roomy(held_through_a_step(shape, settings), memory_gb * GB)
    return replace(settings, reference_waits=place == "host" or (place == "auto" and waits))


def _as_cut_on_a_cpu(recipe: TrainRecipe, settings: MemorySettings, longest: int) -> MemorySettings:
    """With the largest micro-batch of a step whose completions all run to the cap, after prompts of likely length.

    A GPU's may be full to the brim; a CPU's are cut evenly, and hold fewer tokens than they count for rows of a prompt.
    """
    rollout, prompt = recipe.rollout, likely_prompt(recipe)
    group, count = rollout.group_size, min(rollout.prompts_per_step * rollout.group_size, _ROWS_THAT_SHOW_THE_CUT)
    most = min(recipe.training.micro_batch_tokens, CPU_MICRO_BATCH_TOKENS)
    starts = first_rows([prompt + longest] * count, [True] * count, most, even=True)
    pieces = [
        tuple(min(end, (one + 1) * group) - max(start, one * group) for one in range(start // group, -(-end // group)))
        for start, end in pairwise([*starts, count])
    ]
    largest = max(pieces, key=lambda piece: (sum(piece), len(piece)))
    loss_tokens = sum(largest) * longest
    return replace(
        settings,
        products=_products(recipe, settings, len(pieces)),
        micro_batch_tokens=len(largest) * prompt + loss_tokens,
        loss_tokens=loss_tokens,
        by_prompt=largest,
    )


def _products(recipe: TrainRecipe, settings: MemorySettings, pieces: int) -> tuple[int, int]:
    """Shapes of bf16 products in a run: each number of rows that decode, and each micro-batch, has its own."""
    if recipe.model.dtype != "bfloat16":
        return 0, 0
    decoding = min(_KEPT_PROGRAMS, _DECODING_PRODUCTS * max(settings.rollout_rows, settings.evaluation_rows))
    return decoding, min(_KEPT_PROGRAMS - decoding, _UPDATE_PRODUCTS * pieces * recipe.training.steps)


def likely_prompt(recipe: TrainRecipe) -> int:
    """Tokens of a prompt, before any has been seen."""
    return math.ceil(_PROMPT_SHARE * recipe.rollout.max_prompt_tokens)


def _merged_parameters(recipe: TrainRecipe, shape: ModelShape) -> int:
    """Evaluations sample from merged weights, and in fp32 rollouts do (`training.model.adapter_engine`)."""
    if is_served(recipe) or not (recipe.model.dtype == "float32" or evaluations_of(recipe)):
        return 0
    return shape.layers * sum(inputs * outputs for inputs, outputs in _adapted(recipe, shape))


def work_of(recipe: TrainRecipe, shape: ModelShape) -> Work:
    """What time depends on."""
    rollout, algorithm = recipe.rollout, recipe.algorithm
    completions = rollout.prompts_per_step * rollout.group_size
    exact = recipe.model.dtype == "float32" and not is_served(recipe)
    recomputed = (algorithm.updates_per_batch > 1 and not exact) or algorithm.loss.mismatch != "none"
    rows = max(rollout_rows(recipe), recipe.evaluation.max_sequences)
    return Work(
        steps=min(recipe.training.steps, recipe.budget.steps or recipe.training.steps),
        completions=completions,
        group_size=rollout.group_size,
        rows=rollout_rows(recipe),
        prompt_tokens=_PROMPT_SHARE * rollout.max_prompt_tokens,
        updates=algorithm.updates_per_batch,
        extra_forwards=int(algorithm.loss.kl_coef > 0) + int(recomputed),
        checkpointing=recipe.model.gradient_checkpointing,
        value_bytes=_width(recipe),
        evaluations=[
            Sampled(one.completions, rows, one.lengths, recipe.evaluation.top_p < 1, one.times)
            for one in evaluations_of(recipe)
        ],
        checkpoints=_checkpoints(recipe) + 1,
        checkpoint_bytes=checkpoint_bytes(recipe, shape),
        trained_share=trained_parameters(recipe, shape) / shape.parameters if recipe.model.lora else 1.0,
        sorts=rollout.top_p < 1 or rollout.top_k > 0,
    )


def traffic_of(shape: ModelShape, settings: MemorySettings) -> StateTraffic:
    """What an update moves beside its computing: every gradient and weight once, every state there and back."""
    trained, has_masters = settings.trained, settings.value_bytes < 4 or settings.offload
    states = 2 * moment_bytes(shape, settings) + 8 * trained
    published = settings.value_bytes * trained * has_masters
    waits = settings.reference_waits and settings.has_reference
    return StateTraffic(
        device_per_update=4 * trained + published + (0 if settings.offload else states),
        bus_per_update=4 * trained + published if settings.offload else 0.0,
        host_per_update=4 * trained + states if settings.offload else 0.0,
        bus_per_step=settings.value_bytes * shape.parameters if waits else 0.0,
    )


def checkpoint_bytes(recipe: TrainRecipe, shape: ModelShape) -> float:
    """Of one, on disk."""
    return saved_bytes(shape, memory_settings(recipe, shape, on_cpu=False, memory_gb=math.inf))


def disk_bytes(recipe: TrainRecipe, shape: ModelShape, mean_tokens: float) -> float:
    """Kept checkpoints and the one being written, the final model, and what evaluations write."""
    last = recipe.training.keep_last
    saved = _checkpoints(recipe) + 1
    kept = (saved if last is None else min(saved, last + 1)) + 1
    written = sum(one.completions * one.times for one in evaluations_of(recipe)) * mean_tokens * _BYTES_PER_TOKEN
    return (kept + 1) * checkpoint_bytes(recipe, shape) + shape.parameters * _width(recipe) + written


def _checkpoints(recipe: TrainRecipe) -> int:
    every = recipe.training.save_every
    return 0 if every is None else (recipe.training.steps - 1) // every


def _width(recipe: TrainRecipe) -> int:
    return 4 if recipe.model.dtype == "float32" else 2
