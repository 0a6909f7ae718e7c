"""The torch engine against transformers: greedy text token for token, log-probs of its forward pass."""

import copy
import gc
import weakref

import pytest
import safetensors.torch
import torch

from frugalrl.config.engine_schema import TorchEngineSettings
from frugalrl.errors import ModelError
from frugalrl.rollout import torch_engine
from frugalrl.rollout.engine import NamedTensors, RolloutRequest, SamplingParams, SharedModel, WeightFolder
from frugalrl.rollout.factory import build_engine
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.training.model.policy import Policy
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


@pytest.mark.parametrize("kind", ["linear", "dynamic", "yarn"])
def test_scaled_rotations_are_those_of_transformers_up_to_the_end_of_the_context(kind, tokenizer):
    """The dynamic kind changes with the number of positions that are asked for, beyond the context."""
    model = random_model("llama", tokenizer)
    config = copy.deepcopy(model.config)
    config.max_position_embeddings = 36
    config.rope_parameters = {"rope_type": kind, "rope_theta": 100.0, "factor": 4.0}
    if kind == "yarn":
        config.rope_parameters["original_max_position_embeddings"] = 9
    scaled = type(model)(config)
    scaled.load_state_dict(model.state_dict())
    prompt, sampling = tuple(range(20, 36)), SamplingParams(20)
    ((one,),) = TorchEngine(scaled, frozenset(), 2).generate([RolloutRequest(prompt, (1,))], sampling)
    with torch.no_grad():
        logprobs = scaled(torch.tensor([prompt + one.token_ids])).logits[0, 15:-1].log_softmax(-1)
    expected = logprobs.gather(-1, torch.tensor(one.token_ids)[:, None]).squeeze(-1)
    assert torch.allclose(torch.tensor(one.logprobs), expected, atol=1e-4)


def test_a_sequence_depends_on_its_prompt_and_seed_alone(policy):
    """Not on the batch, on how many rows there are, or on the order of requests."""
    sampling = SamplingParams(30, temperature=1.0)
    reference = engine_for(policy.model, policy.tokenizer, rows=64).generate(requests(), sampling)
    for rows in (1, 2, 5):
        engine = engine_for(policy.model, policy.tokenizer, rows)
        again = engine.generate(list(reversed(requests())), sampling)
        for one, other in zip(reference, reversed(again), strict=True):
            assert [sequence.token_ids for sequence in one] == [sequence.token_ids for sequence in other]


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="measured with MKL: see docs/rollouts.md")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_in_fp32_on_one_thread_a_sequence_has_the_same_bits_whatever_is_sampled_with_it(architecture, tokenizer):
    """Log-probabilities included: alone, in small batches, in one of more than 128 rows, in another order."""
    model = random_model(architecture, tokenizer)
    prompts = [(7,), *PROMPTS, tuple(range(20, 90))]
    many = [RolloutRequest(prompt, tuple(range(23))) for prompt in prompts]
    reference = engine_for(model, tokenizer, rows=len(prompts) * 23).generate(many, SamplingParams(12))
    for rows in (1, 5, 64):
        again = engine_for(model, tokenizer, rows).generate(list(reversed(many)), SamplingParams(12))
        assert list(reversed(again)) == reference


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="measured with MKL: see docs/rollouts.md")
def test_in_fp32_lanes_change_no_bit_of_a_sequence(policy, torch_threads):
    many = [RolloutRequest(prompt, tuple(range(50))) for prompt in PROMPTS]
    made = []
    for threads in (1, 2, 3):
        torch_threads(threads)
        made.append(engine_for(policy.model, policy.tokenizer, rows=200).generate(many, SamplingParams(12)))
        assert torch.get_num_threads() == threads
    assert made[1] == made[0]
    assert made[2] == made[0]


class Told:
    """What an engine tells of finished sequences, by request and sample."""

    def __init__(self):
        self.sequences, self.calls = {}, 0

    def __call__(self, request, sample, sequence):
        self.calls += 1
        self.sequences[request, sample] = sequence


def numbered(results):
    return {(at, sample): one for at, row in enumerate(results) for sample, one in enumerate(row)}


@pytest.mark.parametrize("threads", [1, 2])
def test_each_sequence_is_told_once_as_it_is_returned_and_the_first_while_others_are_sampled(
    policy, torch_threads, monkeypatch, threads
):
    torch_threads(threads)
    many = [RolloutRequest(prompt, tuple(range(50))) for prompt in PROMPTS]
    engine = TorchEngine(policy.model, frozenset(range(0, 305, 7)), max_sequences=200)
    told, open_when_told, step = Told(), [], torch_engine.Flight.step

    def counting(self, runner):
        open_when_told.append(told.calls)
        return step(self, runner)

    monkeypatch.setattr(torch_engine.Flight, "step", counting)
    results = engine.generate(many, SamplingParams(12), told)
    assert told.sequences == numbered(results)
    assert told.calls == 200
    assert 0 < open_when_told[-1] < 200


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


def test_a_prompt_is_read_once_for_its_group_and_a_cache_holds_no_more_rows_than_are_asked_for(policy, monkeypatch):
    from frugalrl.rollout.decoder import Decoder

    read: list[int] = []
    made: list[int] = []
    prefill, make_cache = Decoder.prefill, torch_engine.make_cache

    def counting_prefill(self, cache, prompts, copies, row):
        read.append(len(prompts))
        return prefill(self, cache, prompts, copies, row)

    def counting_cache(shape, rows, *rest):
        made.append(rows)
        return make_cache(shape, rows, *rest)

    monkeypatch.setattr(Decoder, "prefill", counting_prefill)
    monkeypatch.setattr(torch_engine, "make_cache", counting_cache)
    engine_for(policy.model, policy.tokenizer, rows=10).generate(requests(), SamplingParams(10))
    assert sum(read) == len(PROMPTS)
    engine_for(policy.model, policy.tokenizer, rows=64).generate(requests(), SamplingParams(10))
    assert made == [10, len(PROMPTS) * 3]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_between_rollouts_the_engine_holds_nothing_even_before_python_looks_for_cycles(tokenizer, monkeypatch, dtype):
    """Its copy of the weights was in a cycle once, and lay beside the update until some later step."""
    alive: list[weakref.ref] = []

    def remembering(make):
        def remembered(*args):
            one = make(*args)
            alive.append(weakref.ref(one))
            return one

        return remembered

    for made in ("make_cache", "PackedWeights", "Decoder"):
        monkeypatch.setattr(torch_engine, made, remembering(getattr(torch_engine, made)))
    engine = engine_for(random_model("qwen3", tokenizer).to(dtype), tokenizer)
    gc.disable()
    try:
        engine.generate(requests(seeds=(0,)), SamplingParams(4))
        assert [one() for one in alive] == [None] * 3
    finally:
        gc.enable()


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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_in_bf16_the_engine_is_nearer_to_the_trainer_than_fp32_is(architecture, tokenizer):
    """It rounds where the trainer rounds; what is left is the order of sums."""
    model = random_model(architecture, tokenizer).bfloat16()
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)  # loading never rounds its frequencies
    trainer = Policy(model, tokenizer, "random")
    unrounded = Policy(copy.deepcopy(model).float(), tokenizer, "random")
    gaps, others = [], []
    sampled = engine_for(model, tokenizer).generate(requests(), SamplingParams(24))
    for request, group in zip(requests(), sampled, strict=True):
        for sequence in group:
            ids = torch.tensor([request.prompt_ids + sequence.token_ids])
            wanted = (torch.arange(ids.shape[1]) >= len(request.prompt_ids))[None]
            with torch.no_grad():
                own, exact = trainer.logprobs(ids, wanted)[0], unrounded.logprobs(ids, wanted)[0]
            gaps.append((own - torch.tensor(sequence.logprobs)).abs())
            others.append((own - exact).abs())
    assert torch.cat(gaps).mean() < 0.4 * torch.cat(others).mean()


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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_named_tensors_in_any_order_are_sampled_from_as_if_the_model_were_shared(architecture, tokenizer):
    model = random_model(architecture, tokenizer, tied=architecture != "llama")
    other = changed(model)
    expected = greedy(engine_for(other, tokenizer))
    alive: list[weakref.ref] = []

    def one_at_a_time():
        """As FSDP gathers them: each is gone when the next is made, but for those that are computed as one."""
        for name, parameter in reversed(list(other.named_parameters())):
            gathered = parameter.detach().clone()
            alive.append(weakref.ref(gathered))
            yield name, gathered
            del gathered
            assert sum(one() is not None for one in alive) <= 6

    engine = engine_for(model, tokenizer)
    engine.load_weights(NamedTensors(one_at_a_time()), 3)
    assert [s.token_ids for s in greedy(engine)] == [s.token_ids for s in expected]
    assert [s.logprobs for s in greedy(engine)] == [s.logprobs for s in expected]


def test_named_tensors_that_do_not_fit_leave_no_half_updated_weights(policy):
    engine = engine_for(policy.model, policy.tokenizer)
    whole = list(policy.model.named_parameters())
    for wrong, says in [
        (whole[:-1], f"{whole[-1][0]} is missing"),
        ([*whole, ("base_model.x", torch.zeros(2))], "base_model.x is unknown"),
        ([(whole[0][0], torch.zeros(3)), *whole[1:]], f"{whole[0][0]} is of another shape"),
    ]:
        with pytest.raises(ModelError, match=says):
            engine.load_weights(NamedTensors(wrong), 1)
        with pytest.raises(ModelError, match="has no weights"):
            greedy(engine)
    engine.load_weights(NamedTensors(whole), 2)
    assert greedy(engine)[0].policy_versions[0] == 2


def test_a_model_that_was_changed_in_its_layers_is_refused_until_plain_tensors_are_given(fresh_policy):
    """As peft injects adapters: the names of the tensors are no longer the model's own."""
    model = copy.deepcopy(fresh_policy.model)
    for layer in model.model.layers:
        layer.self_attn.q_proj = torch.nn.Sequential(layer.self_attn.q_proj)
    engine = engine_for(model, fresh_policy.tokenizer)
    with pytest.raises(ModelError, match=r"q_proj\.0\.weight is unknown"):
        greedy(engine)
    engine.load_weights(NamedTensors(fresh_policy.model.named_parameters()), 1)
    expected = greedy(engine_for(fresh_policy.model, fresh_policy.tokenizer))
    assert [s.token_ids for s in greedy(engine)] == [s.token_ids for s in expected]


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


def test_a_rollout_that_does_not_fit_the_memory_is_made_with_fewer_rows_and_is_the_same(policy, caplog, monkeypatch):
    sampling = SamplingParams(12, temperature=1.0)
    engine = engine_for(policy.model, policy.tokenizer, rows=12)
    expected = engine_for(policy.model, policy.tokenizer, rows=12).generate(requests(), sampling)
    make_cache = torch_engine.make_cache

    def small_device(shape, rows, *rest):
        if rows > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return make_cache(shape, rows, *rest)

    def broken_device(*arguments):
        raise RuntimeError("CUDA error: device lost")

    monkeypatch.setattr(torch_engine, "make_cache", small_device)
    told = Told()
    got = engine.generate(requests(), sampling, told)
    assert told.sequences == numbered(got)
    assert [[one.token_ids for one in row] for row in got] == [[one.token_ids for one in row] for row in expected]
    assert "Out of memory in a rollout: 3 sequences at once from here on" in caplog.text
    monkeypatch.setattr(torch_engine, "make_cache", broken_device)
    with pytest.raises(RuntimeError, match="device lost"):
        engine.generate(requests(), sampling)
