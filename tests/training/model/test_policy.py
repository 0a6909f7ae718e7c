"""Loading models: the shipped one, checkpointing that recomputes, and messages for what cannot be loaded."""

import json
from pathlib import Path

import pytest
import torch

from frugalrl.config.schema import BUILTIN_MODELS, ModelSettings
from frugalrl.errors import ModelError
from frugalrl.training.model.policy import Policy, count, load_policy, resolve_model_path, weights_hash


@pytest.mark.parametrize("path", BUILTIN_MODELS)
def test_a_shipped_reasoner_is_small_and_plain_hub_layout(path):
    folder, policy = resolve_model_path(path), load_policy(ModelSettings(path=path))
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= names
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 8_000_000
    assert policy.model.config.model_type == "qwen2"
    assert count(policy.model.parameters()) < 1_000_000
    assert len(policy.end_token_ids) == 2


def test_think_tokens_are_single_and_visible(tiny_policy):
    tokenizer = tiny_policy.tokenizer
    ids = tokenizer("</think>", add_special_tokens=False)["input_ids"]
    assert len(ids) == 1
    assert tokenizer.decode(ids, skip_special_tokens=True) == "</think>"
    assert [len(tokenizer(str(n), add_special_tokens=False)["input_ids"]) for n in (7, 42)] == [1, 2]


def gradient(policy):
    ids = torch.arange(5, 45).reshape(2, 20)
    wanted = torch.ones_like(ids, dtype=torch.bool)
    wanted[:, :4] = False
    calls = []
    hook = policy.model.model.layers[0].self_attn.q_proj.register_forward_hook(lambda *_: calls.append(1))
    policy.logprobs(ids, wanted)[0].sum().backward()
    hook.remove()
    return torch.cat([p.grad.flatten() for p in policy.model.parameters()]), len(calls)


def test_gradient_checkpointing_recomputes_and_changes_no_gradient(model_folder):
    plain, once = gradient(load_policy(ModelSettings(path=str(model_folder))))
    saving, twice = gradient(load_policy(ModelSettings(path=str(model_folder), gradient_checkpointing=True)))
    assert (once, twice) == (1, 2)
    assert torch.allclose(plain, saving, atol=1e-5)


def test_logprobs_are_those_of_the_whole_models_logits(tiny_policy):
    ids = torch.tensor([[5, 9, 30, 31, 32, 40], [8, 7, 6, 50, 0, 0]])
    wanted = torch.tensor([[0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 0, 0]]).bool()
    with torch.no_grad():
        logits = tiny_policy.model(ids).logits
        ours, _ = tiny_policy.logprobs(ids, wanted, temperature=0.7)
    theirs = torch.log_softmax(logits[:, :-1] / 0.7, -1).gather(-1, ids[:, 1:, None]).squeeze(-1)[wanted[:, 1:]]
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_model_of_another_kind_is_refused(tmp_path, tokenizer):
    from transformers import AutoModelForCausalLM, GPT2Config

    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=32)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"type 'gpt2'\. Use a Qwen2, Qwen3 or Llama"):
        load_policy(ModelSettings(path=str(tmp_path)))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("./missing", "no model folder at"),
        ("/missing/too/deep", "no model folder at"),
        ("plainword", "no model folder"),
    ],
)
def test_a_missing_folder_says_so(path, says):
    with pytest.raises(ModelError, match=says):
        resolve_model_path(path)


def test_an_empty_folder_says_what_it_lacks(tmp_path):
    with pytest.raises(ModelError, match=r"config.json is missing"):
        resolve_model_path(str(tmp_path))


def test_a_hub_id_is_left_for_the_hub():
    assert resolve_model_path("org/name") == "org/name"


def test_the_hash_of_weights_follows_the_weights_not_the_folder(fresh_policy, policy):
    assert weights_hash(fresh_policy) == weights_hash(policy)
    assert weights_hash(Policy(policy.model, policy.tokenizer, "elsewhere")) == weights_hash(policy)
    with torch.no_grad():
        fresh_policy.model.lm_head.weight[0, 0] += 1e-6
    assert weights_hash(fresh_policy) != weights_hash(policy)


def test_the_tiny_models_texts_are_split_as_qwen2_splits_them():
    """What docs/data.md says a converter to GGUF may be told."""
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    tokenizer = json.loads((Path(resolve_model_path("builtin:tiny")) / "tokenizer.json").read_text(encoding="utf-8"))
    split, _ = tokenizer["pre_tokenizer"]["pretokenizers"]
    assert (split["type"], split["pattern"]["Regex"]) == ("Split", PRETOKENIZE_REGEX)
