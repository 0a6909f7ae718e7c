"""The update: tokens a second and the share of the matrix rate, by micro-batch; memory by phase."""

import gc
import math
from collections.abc import Callable, Iterator, Sequence

import torch

from frugalrl.algorithms.losses import LossRule
from frugalrl.config.optimizer_schema import OptimizerSettings
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.training.batching import TrainingRow, micro_batches
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.update import UpdateSettings, update_policy
from gpu_parts import predictions
from gpu_parts.decode import requests
from gpu_parts.rows import Row, Setup, seconds_of

_GROUP = 6
"""Completions of a prompt, as in Open-RS."""
_RULE = UpdateSettings(LossRule(), 1, 1.0, 1024, True)


def rates(setup: Setup) -> Iterator[Row]:
    """An update of each size: one group after another, completions of the mean length, one optimizer step."""
    optimizer = MasterOptimizer(setup.policy.model, OptimizerSettings(learning_rate=1e-6))
    for tokens in setup.sizes.update_tokens:
        rows = training_rows_of(setup, tokens)

        def update(rows: Sequence[TrainingRow] = rows, tokens: int = tokens) -> None:
            batches = micro_batches(rows, tokens, setup.device)
            update_policy(setup.policy, None, optimizer, batches, _RULE, 1.0)

        seconds = seconds_of(update, setup.device, setup.repeats)
        learned = sum(len(row.completion_ids) for row in rows)
        rate = flops(setup, rows) / seconds
        name = f"update of {learned:,} completion tokens, {tokens:,} a micro-batch"
        limit = setup.limits.matrix_flops
        planned = predictions.UTILISATION * limit
        yield Row(
            "update", name, learned / seconds, "tokens/s", learned * planned / (rate * seconds), note=f"{seconds:.3f} s"
        )
        yield Row("update", f"{name}, matrix rate", rate / 1e12, "TFLOP/s", planned / 1e12, limit / 1e12)


def memory(setup: Setup) -> Iterator[Row]:
    """The peak of each phase on a GPU, as allocated; the reserved peak beside it."""
    if not setup.is_cuda:
        yield Row("memory", "peak by phase", math.nan, "GB", note="torch counts the memory of GPUs only")
        return
    held = torch.cuda.memory_allocated()
    micro_batch, widest = setup.sizes.update_tokens[0], setup.sizes.widths[-1] + setup.sizes.tokens
    planned = predictions.memory_plan(setup, setup.sizes.batches[-1], widest, micro_batch, _RULE.logits_chunk_tokens)
    process = planned.held["process"]  # which torch does not count
    yield Row("memory", "weights", held / 1e9, "GB", planned.held["weights"])
    optimizer = MasterOptimizer(setup.policy.model, OptimizerSettings(learning_rate=1e-6))
    rows = training_rows_of(setup, micro_batch)
    batch = setup.sizes.batches[-1]
    never = frozenset({setup.policy.model.config.vocab_size})
    engine = TorchEngine(setup.policy.model, never, batch)
    prompts = requests(batch, setup.sizes.widths[-1])

    def update() -> None:
        update_policy(setup.policy, None, optimizer, micro_batches(rows, micro_batch, setup.device), _RULE, 1.0)

    update()  # the first makes the moments, with which the rollout is planned too
    sampled = SamplingParams(setup.sizes.tokens)
    yield _peak("rollout", lambda: engine.generate(prompts, sampled), planned.rollout_gb - process)
    yield _peak("update", update, planned.update_gb - process)


def _peak(phase: str, run: Callable[[], object], planned: float) -> Row:
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    run()
    reserved = torch.cuda.max_memory_reserved() / 1e9
    peak = torch.cuda.max_memory_allocated() / 1e9
    return Row("memory", f"peak of {phase}", peak, "GB", planned, note=f"{reserved:.1f} GB reserved")


def training_rows_of(setup: Setup, tokens: int) -> list[TrainingRow]:
    """Groups of completions of the mean length, two micro-batches of them at least, all with an advantage."""
    length = min(setup.sizes.completion_tokens, tokens - setup.sizes.prompt_tokens)
    groups = max(1, math.ceil(2 * tokens / (_GROUP * length)))
    rows = []
    for group in range(groups):
        prompt = tuple(300 + (group * 31 + place) % 200 for place in range(setup.sizes.prompt_tokens))
        for member in range(_GROUP):
            ids = tuple(300 + (member * 17 + place * 7) % 200 for place in range(length))
            rows.append(
                TrainingRow(prompt, ids, (-6.0,) * length, float(member - 2.5), 1e-3, (True,) * length, (0,) * length)
            )
    return rows


def flops(setup: Setup, rows: Sequence[TrainingRow]) -> float:
    """Of the useful work: forward, twice that backward, once more with checkpointing; a prompt once for its group.

    The head counts for completion tokens only, attention by the causal half.
    """
    config = setup.policy.model.config
    embedding = config.vocab_size * config.hidden_size
    body = sum(parameter.numel() for parameter in setup.policy.model.model.parameters()) - embedding
    prompts = {row.prompt_ids: len(row.prompt_ids) for row in rows}
    completions = sum(len(row.completion_ids) for row in rows)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = config.num_attention_heads * head
    attended = sum((len(row.prompt_ids) + len(row.completion_ids)) ** 2 for row in rows)
    forward = 2 * body * (sum(prompts.values()) + completions) + 2 * config.num_hidden_layers * width * attended
    times = 4 if setup.is_recomputing else 3
    return float(times * forward + 3 * 2 * embedding * completions)
