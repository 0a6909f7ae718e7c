"""Faults on purpose: no memory in a rollout, NaN in the weights. The process and the device must survive both."""

import math
from collections.abc import Iterator

import torch

from frugalrl.errors import ModelError
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.torch_engine import TorchEngine
from gpu_parts.decode import requests
from gpu_parts.rows import Row, Setup, synchronize


def nan_logits(setup: Setup) -> Iterator[Row]:
    """Weights that are not numbers end in one sentence, and the device works afterwards."""
    norm = setup.policy.model.model.norm.weight
    before = norm.detach().clone()
    with torch.no_grad():
        norm.fill_(math.nan)
    try:
        _sample(setup, 2)
    except ModelError as error:
        said = str(error).split(". ")[0]
    else:
        raise RuntimeError("NaN weights gave completions")
    finally:
        with torch.no_grad():
            norm.copy_(before)
    _sample(setup, 2)
    synchronize(setup.device)
    yield Row("faults", "NaN in the weights is said, and the device works on", 1.0, "", limit=1.0, note=said)


def no_memory_in_a_rollout(setup: Setup) -> Iterator[Row]:
    """A rollout that does not fit is done with fewer rows; the completions are those of the run that had room."""
    if not setup.is_cuda:
        yield Row("faults", "no memory in a rollout", math.nan, "", note="a limit can be set on a GPU only")
        return
    rows = setup.sizes.batches[-1]
    whole = _sample(setup, rows)
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    held = torch.cuda.memory_allocated()
    needed = _cache_bytes(setup, rows)
    torch.cuda.set_per_process_memory_fraction(min(1.0, (held + needed * 0.6) / total))
    try:
        again = _sample(setup, rows)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    equal = [one == other for one, other in zip(whole, again, strict=True)]
    note = f"{free / 1e9:.1f} GB were free"
    yield Row("faults", "completions equal with too little memory", sum(equal) / len(equal), "", limit=1.0, note=note)


def _cache_bytes(setup: Setup, rows: int) -> float:
    config, size = setup.policy.model.config, torch.finfo(next(setup.policy.model.parameters()).dtype).bits // 8
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = setup.sizes.widths[-1] + setup.sizes.tokens
    return 2.0 * config.num_hidden_layers * config.num_key_value_heads * head * rows * width * size


def _sample(setup: Setup, rows: int) -> list[tuple[int, ...]]:
    never = frozenset({setup.policy.model.config.vocab_size})
    engine = TorchEngine(setup.policy.model, never, rows)
    sampled = engine.generate(requests(rows, setup.sizes.widths[-1]), SamplingParams(setup.sizes.tokens))
    return [group[0].token_ids for group in sampled]
