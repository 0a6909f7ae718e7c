"""Sampling throughput of `TorchEngine` against `transformers.generate`: `python benchmarks/rollout_vs_transformers.py`.

Both sides hold the same random Qwen2 of the tiny configuration and get the same prompts, batch, temperature and
number of new tokens. No end token can be sampled on either side, so every completion has exactly that many tokens,
which is checked in every repeat. Repeats alternate between the two sides, and which goes first alternates too, so
that a machine that slows down slows both. A ratio is made within a repeat; its median and range are reported.

Decisions, where the two could not be the same:
- The peer samples from the whole vocabulary (top-k off; transformers' default is 50), as the engine does.
- The engine also computes the log-probability of each token, which training needs; the peer is not asked to.
- The peer is told that there is no end token, and so checks for none; the engine compares with one outside of
  the vocabulary. This and the line before favour the peer.
- With groups the peer gets `num_return_sequences`, its own way of sampling several completions of a prompt.

It does not cover a GPU, larger models, or completions of different lengths: continuous batching, which then lets
finished rows go, has nothing to do here.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from frugalrl.rollout.engine import RolloutRequest, SampledSequence, SamplingParams
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.training.model.policy import Policy, quiet_transformers

RECORD = Path(__file__).parent / "records" / "rollout_vs_transformers.json"
VOCABULARY = 512
PAD_ID = 0
TEMPERATURE = 1.0
LOGPROB_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Case:
    """One batch."""

    name: str
    prompts: int
    group_size: int
    shortest_prompt_tokens: int = 24
    longest_prompt_tokens: int = 64


CASES = (
    Case("8 prompts x 1", 8, 1),
    Case("64 prompts x 1", 64, 1),
    Case("8 prompts x 8 (groups)", 8, 8),
)


@dataclass(frozen=True)
class Result:
    """What one case took, repeat by repeat."""

    case: Case
    new_tokens: int
    """Of a repeat, the same on both sides."""
    engine_seconds: list[float]
    peer_seconds: list[float]
    engine_tokens_per_second: float
    """By the median time."""
    peer_tokens_per_second: float
    ratio_median: float
    """Of the peer's time to the engine's in the same repeat."""
    ratio_min: float
    ratio_max: float
    others_cpu_share: float | None
    """Of the machine's CPU time during the repeats, what other processes took (Linux only): a case is worth
    reading where this is small."""
    largest_logprob_difference: float
    """Of what the engine reports to transformers' forward pass over what the engine sampled."""


def make_model() -> Any:
    """A random Qwen2 of the shipped tiny model's shape."""
    import transformers

    config = transformers.Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=PAD_ID,
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
    return model.eval()


def make_prompts(case: Case) -> list[tuple[int, ...]]:
    """Random prompts whose lengths are spread evenly between the shortest and the longest."""
    generator = torch.Generator().manual_seed(case.prompts)
    lengths = torch.linspace(case.shortest_prompt_tokens, case.longest_prompt_tokens, case.prompts).round().int()
    return [tuple(torch.randint(1, VOCABULARY, (int(n),), generator=generator).tolist()) for n in lengths]


def measure(model: Any, case: Case, max_new_tokens: int, repeats: int) -> Result:
    """Alternate the two sides, after one unmeasured run of each."""
    prompts = make_prompts(case)
    sequences = case.prompts * case.group_size
    engine = TorchEngine(model, end_token_ids=frozenset({VOCABULARY}), max_sequences=sequences)
    requests = [
        RolloutRequest(prompt, tuple(range(at * case.group_size, (at + 1) * case.group_size)))
        for at, prompt in enumerate(prompts)
    ]
    sampling = SamplingParams(max_new_tokens, TEMPERATURE)
    width = max(map(len, prompts))
    input_ids = torch.tensor([(PAD_ID,) * (width - len(prompt)) + prompt for prompt in prompts])
    attention_mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])

    def run_engine() -> int:
        return sum(len(sequence.token_ids) for group in engine.generate(requests, sampling) for sequence in group)

    @torch.inference_mode()
    def run_peer() -> int:
        output = model.generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            max_new_tokens=max_new_tokens,
            do_sample=True,
            temperature=TEMPERATURE,
            top_k=0,
            top_p=1.0,
            num_return_sequences=case.group_size,
            eos_token_id=None,
            pad_token_id=PAD_ID,
            use_cache=True,
        )
        return int(output[:, width:].numel())

    expected = sequences * max_new_tokens
    _timed(run_engine, expected)
    _timed(run_peer, expected)
    engine_seconds, peer_seconds = [], []
    clock = time.perf_counter(), _others_cpu_seconds()
    for repeat in range(repeats):
        for side in ("engine", "peer") if repeat % 2 == 0 else ("peer", "engine"):
            if side == "engine":
                engine_seconds.append(_timed(run_engine, expected))
            else:
                peer_seconds.append(_timed(run_peer, expected))
    others_share = None
    if clock[1] is not None and (others := _others_cpu_seconds()) is not None:
        others_share = max(0.0, others - clock[1]) / ((time.perf_counter() - clock[0]) * (os.cpu_count() or 1))
    ratios = [peer / own for own, peer in zip(engine_seconds, peer_seconds, strict=True)]
    return Result(
        case=case,
        new_tokens=expected,
        engine_seconds=engine_seconds,
        peer_seconds=peer_seconds,
        engine_tokens_per_second=expected / statistics.median(engine_seconds),
        peer_tokens_per_second=expected / statistics.median(peer_seconds),
        ratio_median=statistics.median(ratios),
        ratio_min=min(ratios),
        ratio_max=max(ratios),
        others_cpu_share=others_share,
        largest_logprob_difference=_logprob_difference(model, requests, engine.generate(requests, sampling)),
    )


def _timed(run: Callable[[], int], expected: int) -> float:
    start = time.perf_counter()
    tokens = run()
    seconds = time.perf_counter() - start
    if tokens != expected:
        raise RuntimeError(f"{tokens} tokens instead of {expected}: the two sides did not do the same work.")
    return seconds


def _others_cpu_seconds() -> float | None:
    """CPU seconds that the machine has spent so far on anything but this process."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
    busy_seconds = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return busy_seconds - time.process_time()


def _logprob_difference(model: Any, requests: list[RolloutRequest], groups: list[list[SampledSequence]]) -> float:
    """The proof that the engine ran this model: its log-probabilities by transformers' forward pass."""
    policy = Policy(model, tokenizer=None, source="random")
    largest = 0.0
    for request, group in zip(requests, groups, strict=True):
        whole = torch.tensor([request.prompt_ids + sequence.token_ids for sequence in group])
        wanted = (torch.arange(whole.shape[1]) >= len(request.prompt_ids)).expand_as(whole)
        with torch.no_grad():
            theirs = policy.logprobs(whole, wanted, TEMPERATURE)[0]
        ours = torch.tensor([sequence.logprobs for sequence in group]).flatten()
        largest = max(largest, float((ours - theirs).abs().max()))
    if largest > LOGPROB_TOLERANCE:
        raise RuntimeError(f"The engine's log-probabilities are {largest:.1e} away from transformers': not this model.")
    return largest


def main() -> None:
    """Measure every case, print a table, write the record."""
    parser = argparse.ArgumentParser(description="Sampling throughput of TorchEngine against transformers.generate.")
    parser.add_argument("--new-tokens", type=int, default=128, help="of each completion")
    parser.add_argument("--repeats", type=int, default=7, help="measured runs of each side")
    parser.add_argument("--threads", type=int, default=2, help="of torch, for both sides")
    parser.add_argument("--out", type=Path, default=RECORD, help="where the raw record goes")
    arguments = parser.parse_args()
    quiet_transformers()
    torch.set_num_threads(arguments.threads)
    model = make_model()
    results = []
    print(f"{'case':24} {'engine tok/s':>13} {'peer tok/s':>11} {'ratio':>6}  range")
    for case in CASES:
        result = measure(model, case, arguments.new_tokens, arguments.repeats)
        results.append(result)
        print(
            f"{case.name:24} {result.engine_tokens_per_second:13.0f} {result.peer_tokens_per_second:11.0f} "
            f"{result.ratio_median:6.2f}  {result.ratio_min:.2f}-{result.ratio_max:.2f}"
            + ("" if result.others_cpu_share is None else f"  others' CPU {result.others_cpu_share:.0%}"),
            flush=True,
        )
    record = {
        "what": "frugalrl TorchEngine against transformers.generate, equal tokens on both sides, fp32",
        "environment": {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "system": platform.system(),
            "device": "cpu",
            "torch_threads": arguments.threads,
            "cpu_count": os.cpu_count(),
            "packages": {name: importlib.metadata.version(name) for name in ("torch", "transformers", "frugalrl")},
        },
        "model": {"parameters": sum(p.numel() for p in model.parameters()), **_shape(model.config)},
        "new_tokens_per_completion": arguments.new_tokens,
        "temperature": TEMPERATURE,
        "results": [asdict(result) for result in results],
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"record: {arguments.out}")


def _shape(config: Any) -> dict[str, Any]:
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    return {name: getattr(config, name) for name in (*names, "num_key_value_heads", "tie_word_embeddings")}


if __name__ == "__main__":
    main()
