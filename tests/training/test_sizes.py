"""Nothing is less exact in a larger model: the engine against transformers, and the update against plain autograd.

Random weights with the traits of real checkpoints, scaled down: grouped heads of 64 and 128, biases, norms of queries
and keys, heads of their own and tied ones, odd vocabularies, scaled rotations. 100 M has real widths and few layers.
"""

import copy
import gc
import math

import pytest
import torch
import transformers

from frugalrl.reporting.run_log import read_metrics, without_times
from frugalrl.rollout.engine import RolloutRequest, SamplingParams
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.training.model.policy import Policy
from frugalrl.training.state.pointers import latest_checkpoint
from tests.conftest import write_jsonl
from tests.training.state.test_resume import ROWS, recipe, run, stop_before
from tests.training.test_layout import distance, ours, padded_reference, some_rows

PROMPTS = [(7,), tuple(range(20, 37))]
NEW_TOKENS = 8
LLAMA3_ROPE = {
    "rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip
CONFIGS = {
    "1M": transformers.Qwen2Config(
        vocab_size=1003, hidden_size=128, intermediate_size=384, num_hidden_layers=4, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=True, max_position_embeddings=128,
    ),
    "10M": transformers.Qwen3Config(
        vocab_size=2048, hidden_size=384, intermediate_size=1152, num_hidden_layers=4, num_attention_heads=6,
        num_key_value_heads=2, head_dim=128, tie_word_embeddings=False, max_position_embeddings=128,
    ),
    "100M": transformers.LlamaConfig(
        vocab_size=16_001, hidden_size=1536, intermediate_size=4096, num_hidden_layers=3, num_attention_heads=24,
        num_key_value_heads=8, tie_word_embeddings=True, attention_bias=True, max_position_embeddings=128,
        rope_parameters=LLAMA3_ROPE,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=CONFIGS)
def policy(request):
    """In fp32. What transformers sets to 0 or 1 (biases, norms) is drawn too."""
    config = copy.deepcopy(CONFIGS[request.param])
    config.bos_token_id = config.eos_token_id = config.pad_token_id = None
    config.initializer_range = 1 / math.sqrt(config.hidden_size)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.dim() == 1:
                    parameter.copy_(0.1 * torch.randn(parameter.shape) + (0.0 if name.endswith("bias") else 1.0))
    assert 0.8 < sum(p.numel() for p in model.parameters()) / (1e6 * int(request.param[:-1])) < 1.2
    yield Policy(model, None, request.param)
    gc.collect()


def sampled(model, temperature, seeds=(1, 2)):
    requests = [RolloutRequest(prompt, seeds) for prompt in PROMPTS]
    return TorchEngine(model, frozenset(), 8).generate(requests, SamplingParams(NEW_TOKENS, temperature))


def given_and_made(groups):
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for one in group:
            yield prompt, one


def forward(model, prompt, one):
    """Logits in fp32 of the tokens that were made."""
    with torch.no_grad():
        return model(torch.tensor([prompt + one.token_ids])).logits[0, len(prompt) - 1 : -1].float()


def test_greedy_tokens_and_logprobs_are_those_of_transformers_and_a_rerun_has_the_same_bits(policy):
    for prompt, one in given_and_made(sampled(policy.model, 0.0, seeds=(0,))):
        ids = torch.tensor([prompt])
        whole = policy.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                                      max_new_tokens=NEW_TOKENS, eos_token_id=None)  # fmt: skip
        assert one.token_ids == tuple(whole[0, len(prompt) :].tolist())
    groups = sampled(policy.model, 0.8)
    for prompt, one in given_and_made(groups):
        expected = (forward(policy.model, prompt, one) / 0.8).log_softmax(-1)
        own = expected.gather(1, torch.tensor(one.token_ids)[:, None])[:, 0]
        assert torch.allclose(torch.tensor(one.logprobs), own, atol=1e-4, rtol=0)
    assert sampled(policy.model, 0.8) == groups


def test_gradients_are_those_of_plain_autograd_and_a_rerun_has_the_same_bits(policy):
    """Of clipped surrogate and KL, within 1e-5 of the reference's norm."""
    rows = some_rows(seed=7, groups=2, group_size=2)
    gradient, metrics = ours(policy, rows, 64)
    again, same = ours(policy, rows, 64)
    assert torch.equal(gradient, again)
    assert metrics == same
    reference, loss = padded_reference(policy.model, rows)
    assert distance(gradient, reference) < 1e-5
    assert metrics["loss/total"] == pytest.approx(loss, rel=1e-5, abs=1e-6)


def test_in_bf16_tokens_are_the_likeliest_but_for_rounding_and_logprobs_the_trainers(policy):
    """A bf16 logit has 8 bits, so of two that are as near nobody is the likeliest. A rerun has the same bits."""
    exact = policy.model
    model = copy.deepcopy(exact).bfloat16()
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)  # loading never rounds its frequencies
    for prompt, one in given_and_made(sampled(model, 0.0, seeds=(0,))):
        logits = forward(model, prompt, one)
        own = logits.gather(1, torch.tensor(one.token_ids)[:, None])[:, 0]
        assert (logits.max(1).values - own).max() <= 2**-6 * logits.abs().max()
    trainer, gaps, others = Policy(model, None, "bf16"), [], []
    groups = sampled(model, 1.0)
    for prompt, one in given_and_made(groups):
        ids = torch.tensor([prompt + one.token_ids])
        wanted = (torch.arange(ids.shape[1]) >= len(prompt))[None]
        with torch.no_grad():
            trained, unrounded = (each.logprobs(ids, wanted)[0] for each in (trainer, policy))
        gaps.append((trained - torch.tensor(one.logprobs)).abs())
        others.append((trained - unrounded).abs())
    assert torch.cat(gaps).mean() < 0.7 * torch.cat(others).mean()
    assert sampled(model, 1.0) == groups


def test_a_resumed_run_of_10_m_ends_with_the_bits_of_the_one_left_alone(tokenizer, tmp_path):
    """At 1 M tests/training/state/test_resume.py looks at more."""
    config = copy.deepcopy(CONFIGS["10M"])
    config.vocab_size, config.num_hidden_layers = len(tokenizer), 5
    config.layer_types = 5 * ["full_attention"]
    config.eos_token_id = config.pad_token_id = tokenizer.eos_token_id
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    assert model.num_parameters() > 10_000_000
    for one in (model, tokenizer):
        one.save_pretrained(tmp_path / "model")
    chosen = recipe(
        model={"path": str(tmp_path / "model")},
        data={"train": {"source": str(write_jsonl(tmp_path / "train.jsonl", ROWS))}, "validation": None, "test": None},
        rollout={"max_prompt_tokens": 96, "max_completion_tokens": 8},
        evaluation={"every": None},
        training={"steps": 2, "save_every": 1},
        # With answers that none finds, the length of a completion gives the groups a signal.
        rewards=[{"name": "tests.training.test_sizes.some_reward"}],
    )
    run(tmp_path / "whole", recipe=chosen)
    run(tmp_path / "stopped", recipe=chosen, should_stop=stop_before(2))
    assert latest_checkpoint(tmp_path / "stopped" / "checkpoints").name == "step-000001"
    run(tmp_path / "stopped", recipe=chosen, resume=True)
    metrics, others = ([without_times(line) for line in read_metrics(tmp_path / name)] for name in ("whole", "stopped"))
    assert metrics == others
    assert metrics[-1]["policy/grad_norm"] > 0
    for file in ("samples.jsonl", "model/model.safetensors"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "stopped" / file).read_bytes()


def some_reward(completions, **columns):
    """Differs from text to text."""
    return [len(set(one)) / 16 for one in completions]
