"""Drawing tokens: against transformers' own filters, and against the distribution drawn from."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from frugalrl.errors import ModelError
from frugalrl.rollout import sampling as sampling_module
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.sampling import draw_tokens, refuse_broken, uniform_stream

LOGITS = torch.randn(6, 48, generator=torch.Generator().manual_seed(3)) * 2


@pytest.fixture(scope="module", params=[True, False], ids=["kernel", "torch"], autouse=True)
def by_kernel(request):
    """A CPU's kernel draws, or the operations that a GPU has too."""
    with pytest.MonkeyPatch.context() as patch:
        if not request.param:
            patch.setattr(sampling_module, "_has_kernel", lambda *given: False)
        yield request.param


@pytest.mark.parametrize("vocabulary", [16, 128, 144, 1040, 151_936])
def test_the_kernel_draws_what_torch_does(vocabulary, by_kernel):
    """But where a uniform number falls on the edge of a token, and sums are rounded."""
    generator = torch.Generator().manual_seed(vocabulary)
    logits = 3 * torch.randn(40, vocabulary, generator=generator)
    uniforms = torch.rand(40, generator=generator, dtype=torch.float64)
    tokens, logprobs = draw_tokens(logits, uniforms, SamplingParams(1, temperature=0.7))
    weights = torch.softmax(logits.double() / 0.7, -1)
    expected = torch.searchsorted(weights.cumsum(-1), uniforms[:, None], right=True)[:, 0]
    assert (tokens == expected).float().mean() > 0.95
    assert torch.allclose(
        logprobs.double(), weights.gather(1, tokens[:, None])[:, 0].log(), atol=2e-6 if by_kernel else 1e-4
    )
    alone = [
        draw_tokens(logits[i : i + 1], uniforms[i : i + 1], SamplingParams(1, temperature=0.7)) for i in (0, 7, 39)
    ]
    assert not by_kernel or all(
        bool(one[0] == tokens[i]) and bool(one[1] == logprobs[i]) for i, one in zip((0, 7, 39), alone, strict=True)
    )


def drawn_support(sampling: SamplingParams) -> list[set[int]]:
    """Tokens that a fine grid of uniform numbers can draw, by row."""
    grid = torch.linspace(0, 1 - 1e-9, 20_001, dtype=torch.float64)
    support = []
    for row in LOGITS:
        tokens, _ = draw_tokens(row.expand(len(grid), -1), grid, sampling)
        support.append(set(tokens.tolist()))
    return support


@pytest.mark.parametrize(
    ("sampling", "warpers"),
    [
        (SamplingParams(1, 0.7, top_k=5), [TemperatureLogitsWarper(0.7), TopKLogitsWarper(5)]),
        (SamplingParams(1, 1.3, top_p=0.8), [TemperatureLogitsWarper(1.3), TopPLogitsWarper(0.8)]),
        (
            SamplingParams(1, 1.0, top_p=0.6, top_k=8),
            [TemperatureLogitsWarper(1.0), TopKLogitsWarper(8), TopPLogitsWarper(0.6)],
        ),
    ],
)
def test_top_k_and_top_p_keep_what_transformers_keeps(sampling, warpers):
    scores = LOGITS
    for warper in warpers:
        scores = warper(None, scores)
    kept = [set(row.isfinite().nonzero().squeeze(-1).tolist()) for row in scores]
    assert drawn_support(sampling) == kept


def test_frequencies_follow_the_softmax():
    count = 50_000
    uniforms = torch.from_numpy(uniform_stream(7, count))
    tokens, _ = draw_tokens(LOGITS[0].expand(count, -1), uniforms, SamplingParams(1, temperature=0.8))
    expected = torch.softmax(LOGITS[0].double() / 0.8, -1).numpy() * count
    observed = np.bincount(tokens.numpy(), minlength=40)
    large = expected > 5
    observed_all = np.append(observed[large], observed[~large].sum())
    expected_all = np.append(expected[large], expected[~large].sum())
    assert stats.chisquare(observed_all, expected_all).pvalue > 0.001


def test_logprobs_are_those_of_the_whole_distribution_at_its_temperature():
    tokens, logprobs = draw_tokens(LOGITS, torch.full((6,), 0.5, dtype=torch.float64), SamplingParams(1, 0.6, 0.5, 3))
    expected = torch.log_softmax(LOGITS / 0.6, -1).gather(-1, tokens[:, None]).squeeze(-1)
    assert torch.allclose(logprobs, expected, atol=1e-6)


def test_temperature_zero_takes_the_likeliest_and_reports_the_models_own_logprob():
    tokens, logprobs = draw_tokens(LOGITS, torch.rand(6, dtype=torch.float64), SamplingParams(1, temperature=0))
    assert torch.equal(tokens, LOGITS.argmax(-1))
    assert torch.allclose(logprobs, torch.log_softmax(LOGITS, -1).max(-1).values, atol=1e-6)


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 5))
def test_a_token_without_probability_is_never_drawn(uniform, row):
    logits = LOGITS[row : row + 1].clone()
    logits[:, ::2] = float("-inf")
    tokens, _ = draw_tokens(logits, torch.tensor([uniform], dtype=torch.float64), SamplingParams(1))
    assert int(tokens) % 2 == 1


def test_a_stream_is_the_same_however_long_it_is():
    assert uniform_stream(5, 10).tolist() == uniform_stream(5, 100)[:10].tolist()
    assert uniform_stream(5, 10).tolist() != uniform_stream(6, 10).tolist()


FAULTS = {
    "one NaN": lambda row: row.index_fill(0, torch.tensor([3]), float("nan")),
    "all NaN": lambda row: torch.full_like(row, float("nan")),
    "one infinity": lambda row: row.index_fill(0, torch.tensor([3]), float("inf")),
    "the last an infinity": lambda row: row.index_fill(0, torch.tensor([len(row) - 1]), float("inf")),
    "all infinite": lambda row: torch.full_like(row, float("inf")),
    "no token allowed": lambda row: torch.full_like(row, float("-inf")),
}


@pytest.mark.parametrize("sampling", [SamplingParams(1, 0), SamplingParams(1), SamplingParams(1, 0.7, 0.9, 5)])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-53])
def test_broken_logits_are_told_apart_and_stay_in_their_row(fault, sampling, uniform):
    """No index out of range, which would be the end of the process on a GPU, and no token that passes for drawn."""
    broken = LOGITS.clone()
    broken[2] = FAULTS[fault](broken[2])
    uniforms = torch.full((len(LOGITS),), uniform, dtype=torch.float64)
    tokens, logprobs = draw_tokens(broken, uniforms, sampling)
    assert logprobs.isfinite().tolist() == [True, True, False, True, True, True]
    assert bool(((tokens >= 0) & (tokens < LOGITS.shape[1])).all())
    whole_tokens, whole_logprobs = draw_tokens(LOGITS, uniforms, sampling)
    others = torch.tensor([0, 1, 3, 4, 5])
    assert torch.equal(tokens[others], whole_tokens[others])
    assert torch.equal(logprobs[others], whole_logprobs[others])
    with pytest.raises(ModelError, match=r"^The model's logits are NaN or infinite, .*learning rate"):
        refuse_broken(logprobs)


def test_sound_logits_pass():
    refuse_broken(draw_tokens(LOGITS, torch.full((6,), 0.5, dtype=torch.float64), SamplingParams(1))[1])


@pytest.mark.parametrize("sampling", [SamplingParams(1), SamplingParams(1, top_k=1), SamplingParams(1, top_p=0.3)])
def test_the_largest_uniform_number_draws_an_allowed_token(sampling):
    """1 - 2^-53 times the total rounds to the total itself where that is a little above 1: behind the last token."""
    largest = torch.full((1,), 1 - 2**-53, dtype=torch.float64)
    generator = torch.Generator().manual_seed(5)
    for _ in range(200):
        logits = torch.randn(1, 32, generator=generator)
        logits[:, -4:] = float("-inf")
        tokens, logprobs = draw_tokens(logits, largest, sampling)
        assert bool(logprobs.isfinite().all())
        assert int(tokens) < 28
