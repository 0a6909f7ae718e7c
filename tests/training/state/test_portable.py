"""A saved model means the same to readers of transformers 5 and of 4.57.

4.57's rules are held by its own words (configuration_qwen2.py and tokenization_auto.py of 4.57.6): `rope_theta` and
`rope_scaling` at the top level with 10,000 and null as defaults, `torch_dtype`, and a class that it has. The saved
folders were loaded there once: same logits, same ids (docs/checkpoints.md).
"""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from frugalrl.config.schema import ModelSettings
from frugalrl.training.model.compiled_parts import use_kernels
from frugalrl.training.model.policy import Policy, load_policy, resolve_model_path
from frugalrl.training.state.checkpoint import save_model
from frugalrl.training.state.portable import portable_config, portable_tokenizer_config
from tests.conftest import random_model

CLASSES_OF_4_57 = {"Qwen2Tokenizer", "PreTrainedTokenizerFast", "LlamaTokenizer"}
LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 512,
}


def rope_of_4_57(config: dict) -> tuple[float, dict | None]:
    """What transformers 4.57 takes from a config."""
    return config.get("rope_theta", 10000.0), config.get("rope_scaling")


@pytest.mark.parametrize(
    ("architecture", "rope"),
    [
        ("qwen2", {"rope_type": "default", "rope_theta": 1e6}),
        ("qwen3", {"rope_type": "default", "rope_theta": 5e6}),
        ("llama", {**LLAMA3_SCALING, "rope_theta": 5e5}),
    ],
)
def test_an_older_reader_finds_base_and_scaling_and_a_newer_one_the_same_model(tmp_path, tokenizer, architecture, rope):
    config = random_model(architecture, tokenizer).config
    config.rope_parameters = rope
    with torch.random.fork_rng():
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    save_model(Policy(model, tokenizer, "random"), tmp_path / "model", "card")
    written = json.loads((tmp_path / "model" / "config.json").read_text())
    theta, scaling = rope_of_4_57(written)
    assert theta == rope["rope_theta"]
    assert scaling == ({key: value for key, value in rope.items() if key != "rope_theta"} if len(rope) > 2 else None)
    assert written["torch_dtype"] == written["dtype"] == "float32"
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    use_kernels(again)  # as in a policy
    ids = torch.arange(5, 45)[None]
    with torch.no_grad():
        assert torch.equal(again(ids).logits, model(ids).logits)


def test_the_class_of_a_tokenizer_is_one_that_older_readers_have(tmp_path, tokenizer, policy):
    generic = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
    )
    generic.chat_template = tokenizer.chat_template
    for name, one, model in (
        ("own", tokenizer, policy.model),
        ("generic", generic, random_model("llama", tokenizer)),
    ):
        save_model(Policy(model, one, "random"), tmp_path / name, "card")
        written = json.loads((tmp_path / name / "tokenizer_config.json").read_text())
        assert written["tokenizer_class"] in CLASSES_OF_4_57
        assert not isinstance(written.get("extra_special_tokens"), list), "4.57 fails on a list"
        again = AutoTokenizer.from_pretrained(tmp_path / name)
        text = "What is e\u0301 12 <think>?<|im_end|> 然"
        assert again(text)["input_ids"] == one(text)["input_ids"]
        assert set(again.all_special_tokens) >= set(one.all_special_tokens)
        load_policy(ModelSettings(path=str(tmp_path / name)))


def test_the_shipped_model_can_be_read_by_both():
    folder = resolve_model_path("builtin:tiny")
    config = json.loads((folder / "config.json").read_text())
    assert config == portable_config(config)
    assert rope_of_4_57(config) == (config["rope_parameters"]["rope_theta"], None)
    tokenizer_config = json.loads((folder / "tokenizer_config.json").read_text())
    assert tokenizer_config == portable_tokenizer_config(tokenizer_config)
    assert tokenizer_config["tokenizer_class"] == "Qwen2Tokenizer"
