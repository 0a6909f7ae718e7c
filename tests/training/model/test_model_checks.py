"""Checkpoints that lack something and tokenizers of another model are refused by name; whole ones pass."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from frugalrl.config.schema import ModelSettings
from frugalrl.errors import ModelError
from frugalrl.training.model.policy import load_policy, resolve_model_path
from frugalrl.training.model.scratch import train_tokenizer
from frugalrl.training.model.tokenizer_checks import refuse_unfit_tokenizer
from tests.conftest import random_model

UP = "model.layers.1.mlp.up_proj.weight"
HEAD, EMBEDDING, NORM = "lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"


def load(folder: Path):
    return load_policy(ModelSettings(path=str(folder), device="cpu"))


def write(folder: Path, tokenizer, change=dict, architecture: str = "qwen2", tied: bool = True) -> Path:
    """A random model whose tensors were changed on disk."""
    random_model(architecture, tokenizer, tied=tied).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors", {"format": "pt"})
    return folder


def edit(file: Path, **changes) -> None:
    content = json.loads(file.read_text())
    file.write_text(json.dumps({key: value for key, value in {**content, **changes}.items() if value is not None}))


def without(*names):
    return lambda tensors: {name: value for name, value in tensors.items() if name not in names}


def with_value(name, value):
    return lambda tensors: {**tensors, name: value(tensors)}


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3", "llama"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_whole_checkpoint_loads_bit_for_bit(tmp_path, tokenizer, architecture, tied):
    policy = load(write(tmp_path / "model", tokenizer, architecture=architecture, tied=tied))
    stored = load_file(tmp_path / "model" / "model.safetensors")
    assert (HEAD in stored) != tied
    assert all(torch.equal(policy.model.state_dict()[name], value) for name, value in stored.items())
    assert policy.end_token_note is None


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3", "llama"])
def test_each_single_tensor_is_missed_by_name(tmp_path, tokenizer, architecture):
    names = sorted(load_file(write(tmp_path / "whole", tokenizer, architecture=architecture) / "model.safetensors"))
    for index, name in enumerate(names):
        folder = write(tmp_path / str(index), tokenizer, without(name), architecture)
        with pytest.raises(ModelError, match=rf"lacks .*{name}"):
            load(folder)


@pytest.mark.parametrize(
    ("change", "tied", "says"),
    [
        (without(UP), True, rf"lacks {UP}\. Download"),
        (without(HEAD), False, rf"lacks {HEAD}\."),
        (lambda t: {name: v for name, v in t.items() if "layers.1" not in name}, True, r"and 9 more, 12 in all"),
        (with_value("model.extra", lambda t: torch.ones(3)), True, r"holds model\.extra, which its config"),
        (
            with_value(NORM, lambda t: torch.ones(3)),
            True,
            rf"another shape than its config.json: {NORM} is 3 and .* 64",
        ),
        (with_value(UP, lambda t: t[UP].T.contiguous()), True, rf"{UP} is 64x96 and should be 96x64"),
        (
            with_value(HEAD, lambda t: t[EMBEDDING] + 1),
            True,
            r"differs from its embedding, though its config.json ties",
        ),
        (with_value(UP, lambda t: t[UP].clone().index_fill_(0, torch.tensor([3]), float("nan"))), True, "64 of 6144"),
        (
            with_value(NORM, lambda t: t[NORM] * float("inf")),
            True,
            rf"{NORM} of .* holds 64 of 64 values .* not finite",
        ),
        (with_value(UP, lambda t: torch.zeros_like(t[UP])), True, rf"{UP} of .* is 0 throughout"),
        (with_value(EMBEDDING, lambda t: torch.full_like(t[EMBEDDING], 0.25)), True, "is 0.25 throughout"),
        (with_value(NORM, lambda t: torch.zeros_like(t[NORM])), True, rf"{NORM} of .* is 0 throughout"),
    ],
)
def test_a_checkpoint_that_is_not_its_model_is_refused_by_name(tmp_path, tokenizer, change, tied, says):
    folder = write(tmp_path / "model", tokenizer, change, tied=tied)
    with pytest.raises(ModelError, match=says) as refused:
        load(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("prefix", "says"),
    [
        ("base_model.model.", "as an adapter tool writes it .* merge_and_unload"),
        ("module.", "data-parallel wrapper"),
        ("_orig_mod.", "torch.compile"),
        ("_fsdp_wrapped_module.", "FSDP"),
    ],
)
def test_names_that_a_wrapper_left_are_explained(tmp_path, tokenizer, prefix, says):
    folder = write(tmp_path / "model", tokenizer, lambda t: {prefix + name: value for name, value in t.items()})
    with pytest.raises(ModelError, match=rf"named {prefix}\.\.\., .*{says}"):
        load(folder)


def test_adapters_that_are_not_merged_are_refused(tmp_path, tokenizer):
    def with_adapters(tensors):
        renamed = {name.replace("q_proj.weight", "q_proj.base_layer.weight"): v for name, v in tensors.items()}
        return renamed | {"model.layers.0.self_attn.q_proj.lora_A.default.weight": torch.ones(2, 64)}

    with pytest.raises(ModelError, match=r"adapters that are not merged .* merge_and_unload"):
        load(write(tmp_path / "inside", tokenizer, with_adapters))
    beside = write(tmp_path / "beside", tokenizer)
    (beside / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="holds an adapter, which would be left out"):
        load(beside)


def test_names_without_the_body_s_prefix_are_the_body_and_old_rotary_tables_are_nothing(tmp_path, tokenizer):
    """As a checkpoint saved from the body alone, and as Llama checkpoints of 2023 are."""
    load(write(tmp_path / "body", tokenizer, lambda t: {name.removeprefix("model."): v for name, v in t.items()}))
    table = with_value("model.layers.0.self_attn.rotary_emb.inv_freq", lambda t: torch.ones(8))
    load(write(tmp_path / "table", tokenizer, table))


# ------------------------------------------------------------------------------------------------- tokenizers


def test_a_tokenizer_whose_file_is_missing_is_not_an_empty_one(model_folder):
    (model_folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"cannot (write and read a sentence|be loaded)") as refused:
        load(model_folder)
    assert "tokenizer.json" in str(refused.value)


def test_ids_beyond_the_embedding_and_far_too_few_are_refused_and_padding_is_not(tmp_path, tokenizer):
    texts = [f"word{chr(97 + a)}{chr(97 + b)} {a * b}" for a in range(26) for b in range(26)]
    larger = train_tokenizer(texts, vocab_size=600, context_tokens=2048)
    write(tmp_path / "small", tokenizer)
    larger.save_pretrained(tmp_path / "small")
    with pytest.raises(ModelError, match=rf"ids up to 599 and the model's embedding {len(tokenizer)} rows"):
        load(tmp_path / "small")
    write(tmp_path / "large", larger)
    tokenizer.save_pretrained(tmp_path / "large")
    with pytest.raises(ModelError, match=rf"{len(tokenizer)} tokens and the model's embedding 600 rows, more than"):
        load(tmp_path / "large")
    padded = random_model("qwen2", tokenizer)
    padded.resize_token_embeddings(384)
    padded.save_pretrained(tmp_path / "padded")
    tokenizer.save_pretrained(tmp_path / "padded")
    assert load(tmp_path / "padded").model.config.vocab_size == 384


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] | trim }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
R1_DISTILL = (
    "{% for m in messages %}{% if m['role'] == 'user' %}<｜User｜>{{ m['content'] }}{% else %}<｜Assistant｜>"
    "{{ m['content'].split('</think>')[-1] }}<｜end▁of▁sentence｜>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
)
QWEN3 = CHATML.replace("{{ m['content'] }}", "{{ m['content'].split('</think>')[-1].lstrip('\\n') }}")
FAMILIES = {
    "qwen2": (CHATML, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "<|im_end|>", ["<|im_end|>", "<|endoftext|>"]),
    "qwen3": (QWEN3, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "<|im_end|>", ["<|im_end|>", "<|endoftext|>"]),
    "llama3": (LLAMA3, ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>"], "<|eot_id|>",
               ["<|eom_id|>", "<|eot_id|>"]),
    "llama3_eos_of_the_base": (LLAMA3, ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>"],
                               "<|eom_id|>", ["<|eot_id|>"]),
    "r1_distill": (R1_DISTILL, ["<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"], "<｜end▁of▁sentence｜>",
                   ["<｜end▁of▁sentence｜>"]),
    "no_template": (None, ["<|endoftext|>"], "<|endoftext|>", ["<|endoftext|>"]),
}  # fmt: skip


def family(folder: Path, template: str | None, specials: list[str], eos: str, ends: list[str]) -> Path:
    """A model whose tokenizer has a family's special tokens, template and end tokens."""
    made = train_tokenizer(["Add 17 and 25: the sum is 42."] * 20, vocab_size=290, context_tokens=2048)
    made.add_special_tokens({"additional_special_tokens": specials})
    made.eos_token = eos
    made.chat_template = template
    random_model("qwen2", made).save_pretrained(folder)
    made.save_pretrained(folder)
    edit(folder / "generation_config.json", eos_token_id=made.convert_tokens_to_ids(ends))
    return folder


@pytest.mark.parametrize("name", FAMILIES)
def test_the_templates_of_the_field_pass(tmp_path, name):
    policy = load(family(tmp_path / "model", *FAMILIES[name]))
    assert policy.end_token_note is None
    assert len(policy.end_token_ids) >= 1


def test_an_end_token_that_the_template_never_writes_is_said_and_plain_text_as_an_end_is_refused(tmp_path):
    """Qwen2.5's base models end with <|endoftext|> and carry a template that ends turns with <|im_end|>."""
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    base = load(family(tmp_path / "base", CHATML, specials, "<|endoftext|>", ["<|endoftext|>"]))
    assert "never writes the end token <|endoftext|> after an answer" in base.end_token_note
    assert "(<|im_end|>) to eos_token_id in generation_config.json" in base.end_token_note
    plain = family(tmp_path / "plain", CHATML, specials, "<|endoftext|>", ["<|endoftext|>"])
    edit(plain / "tokenizer_config.json", eos_token="a")
    edit(plain / "generation_config.json", eos_token_id=40)
    with pytest.raises(ModelError, match=r"The end token .*a.* is ordinary text, which would cut completions"):
        load(plain)


@pytest.mark.parametrize("outside", [512, 10**6, [2, -1]])
def test_end_tokens_outside_the_vocabulary_are_refused(model_folder, outside):
    edit(model_folder / "generation_config.json", eos_token_id=outside)
    with pytest.raises(ModelError, match=r"generation_config\.json .* ends completions with token"):
        load(model_folder)


def test_a_model_without_any_end_token_is_refused(tokenizer):
    from transformers import PreTrainedTokenizerFast

    endless = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(ModelError, match="has no end token, so every completion would run to the cap"):
        refuse_unfit_tokenizer("endless", endless, len(tokenizer), [])
    refuse_unfit_tokenizer("with one", endless, len(tokenizer), [2])


def test_the_shipped_model_s_tokenizer_is_the_same_text_to_ids_as_its_file_says(tiny_policy):
    """transformers 5 rebuilds Qwen2's tokenizer, 4.57 reads the file as it is: both must give the same ids."""
    from tokenizers import Tokenizer

    as_written = Tokenizer.from_file(str(resolve_model_path("builtin:tiny") / "tokenizer.json"))
    texts = ["12 plus 7 is \\boxed{19}.", "e\u0301 and é", "然后 <think>因此</think>", "<|im_end|>\n\n  x^2", "Å 한 🙂"]
    for text in texts:
        theirs = as_written.encode(text, add_special_tokens=False).ids
        assert tiny_policy.tokenizer(text, add_special_tokens=False)["input_ids"] == theirs


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"layer_types": ["full_attention", "sliding_attention"], "use_sliding_window": True}, "sliding-window"),
        (
            {
                "rope_parameters": {
                    "rope_type": "longrope",
                    "rope_theta": 1e4,
                    "original_max_position_embeddings": 512,
                    "factor": 4.0,
                    "short_factor": [1.0] * 8,
                    "long_factor": [2.0] * 8,
                }
            },
            r"rotations \(longrope\) that depend",
        ),
    ],
)
def test_what_a_sequence_of_tokens_does_not_decide_alone_is_refused(tmp_path, tokenizer, changes, says):
    folder = write(tmp_path / "model", tokenizer)
    edit(folder / "config.json", **changes)
    with pytest.raises(ModelError, match=says):
        load(folder)
