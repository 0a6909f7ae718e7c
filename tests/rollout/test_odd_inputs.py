"""Inputs at the edges: long caps, many prompts or samples, large and odd vocabularies, temperatures, end tokens."""

import copy

import pytest
import torch
import transformers

from frugalrl.rollout.engine import RolloutRequest, SamplingParams
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.training.model.policy import Policy
from tests.conftest import random_model

PROMPT = (5, 9, 200, 31)
FREQUENT_ENDS = frozenset(range(0, 300, 5))


def sampled(model, requests, sampling, ends=frozenset(), rows=256):
    return TorchEngine(model, ends, rows).generate(requests, sampling)


def test_a_cap_of_32k_changes_no_bit_of_what_ends_before(policy):
    requests = [RolloutRequest(PROMPT, tuple(range(6)))]
    long, short = (sampled(policy.model, requests, SamplingParams(cap), FREQUENT_ENDS) for cap in (32_768, 96))
    assert all(one.finish_reason == "stop" for one in long[0])
    assert long == short


@pytest.mark.parametrize(("prompts", "samples"), [(1000, 1), (1, 1000)])
def test_a_thousand_sequences_are_each_what_they_are_alone(policy, prompts, samples):
    requests = [
        RolloutRequest((3 + one % 290, 7, 3 + one // 290), tuple(range(one, one + samples))) for one in range(prompts)
    ]
    groups = sampled(policy.model, requests, SamplingParams(2))
    assert [len(group) for group in groups] == [samples] * prompts
    for request, sample in ((0, 0), (prompts // 2, samples // 2), (prompts - 1, samples - 1)):
        one = requests[request]
        alone = RolloutRequest(one.prompt_ids, one.seeds[sample : sample + 1])
        assert sampled(policy.model, [alone], SamplingParams(2)) == [[groups[request][sample]]]


@pytest.mark.parametrize("vocabulary", [151_936, 151_669])
def test_a_large_vocabulary_on_a_small_model_is_that_of_transformers(vocabulary):
    """The second is no multiple of a vector or of a panel. More likeliest tokens than there are is all of them."""
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        vocab_size=vocabulary, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=True, initializer_range=0.3, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    prompt = (151_000, 7)
    ids = torch.tensor([prompt])
    ((greedy,),) = sampled(model, [RolloutRequest(prompt, (0,))], SamplingParams(4, temperature=0))
    whole = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=4)
    assert greedy.token_ids == tuple(whole[0, 2:].tolist())
    ((one,),) = drawn = sampled(model, [RolloutRequest(prompt, (1,))], SamplingParams(4))
    with torch.no_grad():
        expected = model(torch.tensor([prompt + one.token_ids])).logits[0, 1:-1].log_softmax(-1)
    own = expected.gather(1, torch.tensor(one.token_ids)[:, None])[:, 0]
    assert torch.allclose(torch.tensor(one.logprobs), own, atol=1e-4)
    assert sampled(model, [RolloutRequest(prompt, (1,))], SamplingParams(4, top_k=200_000)) == drawn


@pytest.mark.parametrize(
    ("sampling", "is_greedy"),
    [
        (SamplingParams(12, temperature=1e-6), True),
        (SamplingParams(12, temperature=0.5, top_p=1e-9), True),
        (SamplingParams(12, temperature=2.0, top_k=1), True),
        (SamplingParams(12, temperature=100.0), False),
        (SamplingParams(12, temperature=100.0, top_k=10_000, top_p=0.999), False),
    ],
)
def test_extreme_settings_draw_what_they_mean_and_report_the_whole_distribution(policy, sampling, is_greedy):
    request = [RolloutRequest(PROMPT, (1, 2))]
    (group,) = sampled(policy.model, request, sampling)
    ((greedy, _),) = sampled(policy.model, request, SamplingParams(12, temperature=0))
    for one in group:
        assert (one.token_ids == greedy.token_ids) is is_greedy
        with torch.no_grad():
            logits = policy.model(torch.tensor([PROMPT + one.token_ids])).logits[0, len(PROMPT) - 1 : -1]
        expected = (logits.double() / sampling.temperature).log_softmax(-1)
        own = expected.gather(1, torch.tensor(one.token_ids)[:, None])[:, 0]
        assert torch.allclose(torch.tensor(one.logprobs).double(), own, atol=1e-4)


def test_any_end_token_of_generation_config_and_tokenizer_ends_a_completion(tokenizer):
    model = random_model("qwen2", tokenizer)
    first = sampled(model, [RolloutRequest(PROMPT, (0,))], SamplingParams(12, temperature=0))[0][0].token_ids
    model = copy.deepcopy(model)
    model.generation_config.eos_token_id = [299, first[3]]
    policy = Policy(model, tokenizer, "random")
    assert policy.end_token_ids == {299, first[3], tokenizer.eos_token_id}
    ((one,),) = sampled(model, [RolloutRequest(PROMPT, (0,))], SamplingParams(12, temperature=0), policy.end_token_ids)
    ids = torch.tensor([PROMPT])
    whole = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=12,
        eos_token_id=sorted(policy.end_token_ids),
    )
    assert one.token_ids == tuple(whole[0, len(PROMPT) :].tolist()) == first[: first.index(first[3]) + 1]
    assert one.finish_reason == "stop"
