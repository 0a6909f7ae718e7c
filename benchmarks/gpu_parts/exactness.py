"""What is equal and what is not: two runs of one seed, batch sizes, engine and trainer."""

from collections.abc import Iterator, Sequence

import torch

from frugalrl.rollout.engine import SampledSequence, SamplingParams
from frugalrl.rollout.torch_engine import TorchEngine
from gpu_parts.decode import requests
from gpu_parts.rows import Row, Setup


def engine_against_trainer(setup: Setup) -> Iterator[Row]:
    """The gap between the log-probs of the engine and of the trainer, of the same tokens; nats."""
    prompts = requests(setup.sizes.batches[-1], setup.sizes.prompt_tokens)
    sampling = SamplingParams(max_completion_tokens=2 * setup.sizes.tokens)
    sampled = _sample(setup, prompts, sampling, setup.sizes.batches[-1])
    gaps = []
    with torch.no_grad():
        for request, sequence in zip(prompts, sampled, strict=True):
            ids = torch.tensor([request.prompt_ids + sequence.token_ids], device=setup.device)
            wanted = torch.zeros_like(ids, dtype=torch.bool)
            wanted[0, len(request.prompt_ids) :] = True
            own, _ = setup.policy.logprobs(ids, wanted)
            gaps.append((own.cpu() - torch.tensor(sequence.logprobs)).abs())
    gap = torch.cat(gaps)
    for name, value in (("mean", gap.mean()), ("99 %", gap.quantile(0.99)), ("largest", gap.max())):
        yield Row("exactness", f"engine - trainer, {name}", float(value), "nats", note=f"{len(gap)} tokens")
    again = _sample(setup, prompts, sampling, setup.sizes.batches[-1])
    alone = _sample(setup, prompts, sampling, 1)
    equal = [one.token_ids == other.token_ids for one, other in zip(sampled, again, strict=True)]
    yield Row("exactness", "completions equal when sampled again", sum(equal) / len(equal), "", limit=1.0)
    equal = [one.token_ids == other.token_ids for one, other in zip(sampled, alone, strict=True)]
    note = f"{setup.sizes.batches[-1]} rows against 1"
    yield Row("exactness", "completions equal in another batch", sum(equal) / len(equal), "", limit=1.0, note=note)


def _sample(setup: Setup, prompts: Sequence, sampling: SamplingParams, rows: int) -> list[SampledSequence]:
    never = frozenset({setup.policy.model.config.vocab_size})
    engine = TorchEngine(setup.policy.model, never, rows)
    return [group[0] for group in engine.generate(prompts, sampling)]
