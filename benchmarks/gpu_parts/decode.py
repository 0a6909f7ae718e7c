"""Decoding: milliseconds a token by batch and width against the bandwidth limit, launches, and where they go."""

import contextlib
import math
from collections.abc import Iterator

import torch

from frugalrl.rollout.engine import RolloutRequest, SamplingParams
from frugalrl.rollout.sampling import draw_tokens
from frugalrl.rollout.torch_engine import TorchEngine
from gpu_parts import predictions
from gpu_parts.rows import Row, Setup, seconds_of

_LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch")


def attention_backends(setup: Setup) -> Iterator[Row]:
    """Milliseconds a token while the width grows, with cuDNN attention allowed and not."""
    batch, width = setup.sizes.batches[-1], setup.sizes.widths[-1] // 2
    for allowed in (True, False) if setup.is_cuda else (False,):
        with _cudnn_attention(allowed):
            seconds = _token_seconds(setup, batch, width)
        note = "cuDNN allowed" if allowed else "cuDNN off"
        yield Row("attention", f"token, {batch} rows, width {width}", seconds * 1e3, "ms", note=note)


def by_batch_and_width(setup: Setup) -> Iterator[Row]:
    """Milliseconds a token for each batch and width, against reading all weights and the cache once."""
    for batch in setup.sizes.batches:
        for width in setup.sizes.widths:
            limit = _bytes_a_token(setup, batch, width) / setup.limits.copy_bytes_per_second
            seconds = _token_seconds(setup, batch, width)
            predicted = 1e3 * predictions.token_seconds(setup, batch, width)
            yield Row("decode", f"token, {batch} rows, width {width}", seconds * 1e3, "ms", predicted, limit * 1e3)


def launches(setup: Setup) -> Iterator[Row]:
    """Launches a token, the device's share of the time, and the share of drawing the token."""
    batch, width = setup.sizes.batches[-1], setup.sizes.widths[0]
    activities = [torch.profiler.ProfilerActivity.CPU]
    if setup.is_cuda:
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    counts, device_seconds = [], []
    for tokens in (setup.sizes.tokens, 2 * setup.sizes.tokens):
        with torch.profiler.profile(activities=activities) as profile:
            _generate(setup, batch, width, tokens)
        events = profile.key_averages()
        names = _LAUNCHES if setup.is_cuda else tuple(event.key for event in events if event.key.startswith("aten::"))
        counts.append(sum(event.count for event in events if event.key in names))
        device_seconds.append(sum(event.self_device_time_total for event in events) / 1e6)
    what = "launches a token" if setup.is_cuda else "operations a token"
    yield Row("decode", what, (counts[1] - counts[0]) / setup.sizes.tokens, "", note=f"{batch} rows, width {width}")
    seconds = _token_seconds(setup, batch, width)
    if setup.is_cuda:
        busy = (device_seconds[1] - device_seconds[0]) / setup.sizes.tokens
        yield Row("decode", "share of a token in which the device works", busy / seconds, "", limit=1.0)
    vocabulary = setup.policy.model.config.vocab_size
    logits = torch.randn(batch, vocabulary, device=setup.device)
    uniforms = torch.rand(batch, dtype=torch.float64, device=setup.device)
    sampling = SamplingParams(max_completion_tokens=1)
    drawn = seconds_of(lambda: draw_tokens(logits, uniforms, sampling), setup.device, setup.repeats)
    yield Row("decode", "drawing a token, share of a token's time", drawn / seconds, "", note=f"{drawn * 1e3:.3f} ms")


def _token_seconds(setup: Setup, batch: int, width: int) -> float:
    """The difference between a long and a short run, so that the prefill and what a call costs are left out."""
    short, long = (
        seconds_of(lambda tokens=tokens: _generate(setup, batch, width, tokens), setup.device, setup.repeats)
        for tokens in (setup.sizes.tokens, 2 * setup.sizes.tokens)
    )
    return (long - short) / setup.sizes.tokens if long > short else math.nan  # noise is larger than the work


def _generate(setup: Setup, batch: int, width: int, tokens: int) -> None:
    never = frozenset({setup.policy.model.config.vocab_size})
    engine = TorchEngine(setup.policy.model, never, batch)
    sampled = engine.generate(requests(batch, width), SamplingParams(max_completion_tokens=tokens))
    if any(len(sequence.token_ids) != tokens for group in sampled for sequence in group):
        raise RuntimeError("a completion ended before its length")


def requests(batch: int, width: int) -> list[RolloutRequest]:
    """Prompts of one width whose tokens differ."""
    return [
        RolloutRequest(tuple(300 + (row * 31 + place * 7) % 200 for place in range(width)), (row,))
        for row in range(batch)
    ]


def _bytes_a_token(setup: Setup, batch: int, width: int) -> float:
    config, size = setup.policy.model.config, torch.finfo(next(setup.policy.model.parameters()).dtype).bits // 8
    weights = sum(parameter.numel() for parameter in setup.policy.model.parameters())
    if not config.tie_word_embeddings:
        weights -= config.vocab_size * config.hidden_size  # of the input embedding only the batch's rows are read
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    cache = 2 * config.num_hidden_layers * config.num_key_value_heads * head * batch * width
    return float(size * (weights + cache))


@contextlib.contextmanager
def _cudnn_attention(allowed: bool) -> Iterator[None]:
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(allowed)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
