"""The torch engine against transformers: greedy text token for token, log-probs of its forward pass."""

import copy

import pytest
import safetensors.torch
import torch

from frugalrl.config.engine_schema import TorchEngineSettings
from frugalrl.errors import ModelError
from frugalrl.rollout.engine import RolloutRequest, SamplingParams, SharedModel, WeightFolder
from frugalrl.rollout.factory import build_engine
from frugalrl.rollout.torch_engine import TorchEngine
from tests.conftest import random_model

PROMPTS = [(5, 9, 200, 31), (7,), (100, 101, 102, 103, 104, 105, 106, 107), (44, 45)]
ARCHITECTURES = ["qwen2", "qwen3", "llama"]


def engine_for(model, tokenizer, rows=16) -> TorchEngine:
    return TorchEngine(model, frozenset({tokenizer.eos_token_id}), rows)


def requests(seeds=(1, 2, 3)) -> list[RolloutRequest]:
    return [RolloutRequest(prompt, seeds) for prompt in PROMPTS]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_output_is_that_of_transformers_generate(architecture, tied, tokenizer):
    model = random_model(architecture, tokenizer, tied)
    engine = engine_for(model, tokenizer)
    results = engine.generate(requests(seeds=(0,)), SamplingParams(24, temperature=0))
    for prompt, (sequence,) in zip(PROMPTS, results, strict=True):
        ids = torch.tensor([prompt])
        whole = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24)
        assert sequence.token_ids == tuple(whole[0, len(prompt) :].tolist())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logprobs_are_those_of_the_forward_pass(architecture, tokenizer):
    model = random_model(architecture, tokenizer)
    results = engine_for(model, tokenizer).generate(requests(), SamplingParams(24, temperature=0.9))
    for prompt, sequences in zip(PROMPTS, results, strict=True):
        for sequence in sequences:
            ids = torch.tensor([prompt + sequence.token_ids])
            with torch.no_grad():
                logprobs = torch.log_softmax(model(ids).logits[0] / 0.9, -1)
            expected = logprobs[len(prompt) - 1 : -1].gather(-1, ids[0, len(prompt) :, None]).squeeze(-1)
            assert torch.allclose(torch.tensor(sequence.logprobs), expected, atol=1e-4)


def test_a_sequence_depends_on_its_prompt_and_seed_alone(policy):
    """Not on the batch, on how many rows there are, or on the order of requests."""
    sampling = SamplingParams(30, temperature=1.0)
    reference = engine_for(policy.model, policy.tokenizer, rows=64).generate(requests(), sampling)
    for rows in (1, 2, 5):
        engine = engine_for(policy.model, policy.tokenizer, rows)
        again = engine.generate(list(reversed(requests())), sampling)
        for one, other in zip(reference, reversed(again), strict=True):
            assert [sequence.token_ids for sequence in one] == [sequence.token_ids for sequence in other]


def test_more_samples_only_add(policy):
    engine = engine_for(policy.model, policy.tokenizer)
    sampling = SamplingParams(20)
    few, many = (engine.generate([RolloutRequest(PROMPTS[0], seeds)], sampling)[0] for seeds in [(3, 4), (3, 4, 5, 6)])
    assert [sequence.token_ids for sequence in few] == [sequence.token_ids for sequence in many][:2]


def test_a_sequence_ends_at_any_end_token_or_at_the_cap(policy):
    ends = frozenset(range(0, 305, 7))
    engine = TorchEngine(policy.model, ends, max_sequences=8)
    for sequence in engine.generate([RolloutRequest(PROMPTS[0], tuple(range(40)))], SamplingParams(12))[0]:
        assert not set(sequence.token_ids[:-1]) & ends
        if sequence.finish_reason == "stop":
            assert sequence.token_ids[-1] in ends
        else:
            assert len(sequence.token_ids) == 12
            assert sequence.token_ids[-1] not in ends


def test_the_cache_is_allocated_once_and_a_prompt_is_read_once_for_its_group(policy, monkeypatch):
    from frugalrl.rollout import torch_engine

    read: list[int] = []
    made: list[int] = []
    prefill, cache = torch_engine.prefill, torch_engine.KeyValueCache

    def counting_prefill(model, cache, prompts, copies, row):
        read.append(len(prompts))
        return prefill(model, cache, prompts, copies, row)

    def counting_cache(model, rows, tokens):
        made.append(rows)
        return cache(model, rows, tokens)

    monkeypatch.setattr(torch_engine, "prefill", counting_prefill)
    monkeypatch.setattr(torch_engine, "KeyValueCache", counting_cache)
    engine = engine_for(policy.model, policy.tokenizer, rows=12)
    for _ in range(3):
        engine.generate(requests(), SamplingParams(10))
    assert sum(read) == 3 * len(PROMPTS)
    assert made == [12]


def test_new_weights_are_sampled_from_and_their_version_is_told(fresh_policy):
    engine = engine_for(fresh_policy.model, fresh_policy.tokenizer)
    before = engine.generate(requests(seeds=(0,)), SamplingParams(20, temperature=0))
    with torch.no_grad():
        fresh_policy.model.model.embed_tokens.weight.mul_(-1)
    engine.load_weights(SharedModel(fresh_policy.model), 7)
    after = engine.generate(requests(seeds=(0,)), SamplingParams(20, temperature=0))
    assert [s.token_ids for (s,) in before] != [s.token_ids for (s,) in after]
    assert all(s.policy_versions == (7,) * len(s.token_ids) for (s,) in after)


def test_bf16_runs_and_is_not_called_exact(tokenizer):
    model = random_model("qwen2", tokenizer).bfloat16()
    engine = engine_for(model, tokenizer)
    assert engine.logprobs_are_exact is False
    (group,) = engine.generate([RolloutRequest(PROMPTS[0], (1, 2))], SamplingParams(8))
    assert all(0 < len(sequence.token_ids) <= 8 for sequence in group)


def test_nothing_asked_gives_nothing(policy):
    assert engine_for(policy.model, policy.tokenizer).generate([], SamplingParams(8)) == []


def greedy(engine) -> list:
    return [sequence for (sequence,) in engine.generate(requests(seeds=(0,)), SamplingParams(12, temperature=0))]


def changed(model):
    """The model with other weights."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4))
    return other


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shard_size", ["50GB", "100KB"])
def test_a_folder_of_weights_is_sampled_from_as_if_it_were_shared(tokenizer, tmp_path, tied, shard_size):
    model = random_model("qwen2", tokenizer, tied)
    other = changed(model)
    other.save_pretrained(tmp_path, max_shard_size=shard_size)
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) is (shard_size == "100KB")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    engine, expected = engine_for(model, tokenizer), greedy(engine_for(other, tokenizer))
    engine.load_weights(WeightFolder(tmp_path), 3)
    sampled = greedy(engine)
    assert [s.token_ids for s in sampled] == [s.token_ids for s in expected]
    assert [s.logprobs for s in sampled] == [s.logprobs for s in expected]
    assert all(s.policy_versions == (3,) * len(s.token_ids) for s in sampled)
    # The model that was shared with the engine is not touched, and can be shared again.
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    engine.load_weights(SharedModel(model), 4)
    assert [s.token_ids for s in greedy(engine)] == [s.token_ids for s in greedy(engine_for(model, tokenizer))]
    engine.load_weights(WeightFolder(tmp_path), 5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda tensors: tensors.pop("model.norm.weight"), "model.norm.weight is missing"),
        (lambda tensors: tensors.update({"base.model.x": torch.zeros(2)}), "base.model.x is unknown"),
        (lambda tensors: tensors.update({"model.norm.weight": torch.zeros(3)}), "norm.weight is of another shape"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_change_nothing(policy, tmp_path, damage, says):
    engine = engine_for(policy.model, policy.tokenizer)
    before = greedy(engine)
    changed(policy.model).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    damage(tensors)
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(ModelError, match=says):
        engine.load_weights(WeightFolder(tmp_path), 1)
    assert greedy(engine) == before


def test_prefixed_names_are_summed_up(policy, tmp_path):
    tensors = {f"base_model.{name}": tensor for name, tensor in policy.model.state_dict().items()}
    safetensors.torch.save_model(torch.nn.Linear(1, 1), tmp_path / "unused.safetensors")
    safetensors.torch.save_file({name: t.clone() for name, t in tensors.items()}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"is unknown, .* \(and \d+ more\)"):
        engine_for(policy.model, policy.tokenizer).load_weights(WeightFolder(tmp_path), 1)


def test_a_folder_without_weights_or_with_damaged_ones_is_refused(policy, tmp_path):
    engine = engine_for(policy.model, policy.tokenizer)
    with pytest.raises(ModelError, match="There are no weights"):
        engine.load_weights(WeightFolder(tmp_path), 1)
    (tmp_path / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ModelError, match="cannot be read"):
        engine.load_weights(WeightFolder(tmp_path), 1)


def test_a_source_that_the_engine_cannot_read_is_refused_in_a_sentence(policy):
    with pytest.raises(ModelError, match=r"^The torch engine cannot load weights from a str\. Give it a SharedModel"):
        engine_for(policy.model, policy.tokenizer).load_weights("http://somewhere", 1)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e38])
def test_weights_that_give_no_distribution_are_named_as_the_cause(fresh_policy, value, temperature):
    with torch.no_grad():
        fresh_policy.model.model.norm.weight.fill_(value)
    engine = engine_for(fresh_policy.model, fresh_policy.tokenizer)
    with pytest.raises(ModelError, match=r"logits are NaN or infinite, .* learning rate") as caught:
        engine.generate(requests(), SamplingParams(8, temperature=temperature))
    assert "\n" not in str(caught.value)


def test_one_broken_sequence_among_sound_ones_is_not_passed_on(fresh_policy):
    """Only the embedding of token 44 is broken, and only one of the prompts holds it."""
    untied = changed(fresh_policy.model)
    untied.config.tie_word_embeddings = False
    untied.lm_head.weight = torch.nn.Parameter(untied.lm_head.weight.detach().clone())
    with torch.no_grad():
        untied.model.embed_tokens.weight[44] = float("nan")
    with pytest.raises(ModelError, match="logits are NaN or infinite"):
        engine_for(untied, fresh_policy.tokenizer).generate(requests(), SamplingParams(8))


def test_the_factory_builds_what_the_recipe_names(policy):
    engine = build_engine(TorchEngineSettings(), policy.model, frozenset({1}), 4)
    assert isinstance(engine, TorchEngine)


def test_a_rollout_that_does_not_fit_the_memory_is_made_with_fewer_rows_and_comes_out_the_same(policy, caplog):
    sampling = SamplingParams(12, temperature=1.0)
    engine = engine_for(policy.model, policy.tokenizer, rows=12)
    expected = engine_for(policy.model, policy.tokenizer, rows=12).generate(requests(), sampling)
    make_cache = engine._cache_for

    def small_device(*arguments):
        if engine._max_sequences > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return make_cache(*arguments)

    engine._cache_for = small_device
    got = engine.generate(requests(), sampling)
    assert [[one.token_ids for one in row] for row in got] == [[one.token_ids for one in row] for row in expected]
    assert "Out of memory in a rollout: 3 sequences at once from here on" in caplog.text
    engine._cache_for = lambda *arguments: (_ for _ in ()).throw(RuntimeError("CUDA error: device lost"))
    with pytest.raises(RuntimeError, match="device lost"):
        engine.generate(requests(), sampling)
