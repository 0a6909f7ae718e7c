"""This machine's rates of decoding, from some tokens of the evaluation's own prompts, thrown away."""

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from frugalrl.planning.forecast.clock import OPERATIONS_PER_LAYER, Machine, decode_seconds
from frugalrl.planning.forecast.lengths import Lengths
from frugalrl.planning.forecast.shape import ModelShape
from frugalrl.rollout.engine import RolloutEngine, RolloutRequest, SamplingParams

_TOKENS = 12
_SECONDS = 3.0
"""About what the second trial may take."""
_HOST_BANDWIDTH, _CARD_BANDWIDTH = 2e10, 3e11
"""Bytes a second where the machine is in no table."""


def tried(
    engine: RolloutEngine,
    prompts: Sequence[tuple[int, ...]],
    rows: int,
    shape: ModelShape,
    width: int,
    known: Machine | None,
    on_cpu: bool,
) -> Machine:
    """The rates at which the clock gives what was measured: of one row, and of as many as there will be.

    known: the card, if it is in the table: what its cache moves cannot be seen in short answers.
    """
    _sample(engine, prompts[:1], 2)  # warms up what is made at the first call
    seconds, tokens = _sample(engine, prompts[:1], _TOKENS)
    per_token = seconds / max(tokens)
    machine = Machine(
        name=f"this machine ({torch.get_num_threads()} threads)" if on_cpu else "this GPU",
        launch_seconds=per_token / (shape.layers * OPERATIONS_PER_LAYER),
        bandwidth=known.bandwidth if known else _HOST_BANDWIDTH if on_cpu else _CARD_BANDWIDTH,
        flops=1e12,
        decode_flops=1e16,
        is_serial=on_cpu,
        uncertainty=1.25,
    )
    if rows == 1:
        return machine
    more = max(2, min(_TOKENS, int(_SECONDS / (4 * per_token))))
    asked = [prompts[at % len(prompts)] for at in range(rows)]
    seconds, tokens = _sample(engine, asked, more)
    prompt_tokens = sum(map(len, asked)) / rows
    lengths = Lengths(tuple(sorted(tokens)), 1.0, 1.0, "seen")

    def predicted(flops: float) -> float:
        now = replace(machine, decode_flops=flops)
        return decode_seconds(shape, now, lengths, rows, rows, prompt_tokens, width)

    low, high = 1e6, 1e16
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if predicted(middle) > seconds else (low, middle)
    return replace(machine, decode_flops=high)


def _sample(engine: RolloutEngine, prompts: Sequence[tuple[int, ...]], cap: int) -> tuple[float, list[int]]:
    """Seconds, and the tokens of each completion."""
    requests = [RolloutRequest(prompt, (at,)) for at, prompt in enumerate(prompts)]
    began = time.monotonic()
    answers = engine.generate(requests, SamplingParams(cap))
    return time.monotonic() - began, [max(1, len(one.token_ids)) for answer in answers for one in answer]
