"""Adapters in a model: what they compute, off, on, merged and exported, against peft and against a second copy."""

import json
import warnings
from pathlib import Path

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from frugalrl.config.engine_schema import TorchEngineSettings
from frugalrl.config.loading import load_recipe, parse_recipe
from frugalrl.config.lora_schema import TARGETS, LoraSettings
from frugalrl.config.optimizer_schema import OptimizerSettings
from frugalrl.config.schema import ModelSettings, SftRecipe, TrainRecipe
from frugalrl.errors import ModelError, RecipeError
from frugalrl.rollout.engine import RolloutRequest, SamplingParams
from frugalrl.rollout.factory import build_engine
from frugalrl.training.distributed.world import ALONE
from frugalrl.training.exporting import export, whole_models
from frugalrl.training.model import adapter
from frugalrl.training.model.adapter import AdapterPolicy, reference_of
from frugalrl.training.model.adapter_engine import adapter_engines
from frugalrl.training.model.compiled_parts import use_kernels
from frugalrl.training.model.loading import described, load_sampled, load_trained
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.model.policy import load_policy, weights_hash
from frugalrl.training.model.reference import copy_weights, load_reference_tensors, reference_tensors
from frugalrl.training.state.checkpoint import load_weights, save_model

RECIPES = Path(__file__).parents[3] / "recipes"
IDS = torch.randint(5, 290, (3, 24), generator=torch.Generator().manual_seed(0))
WANTED = torch.ones_like(IDS, dtype=torch.bool).index_fill_(1, torch.tensor([0]), False)
REQUESTS = [RolloutRequest((7, 8, 9), (1, 2, 3)), RolloutRequest((30, 31, 32, 33), (4, 5, 6))]


def adapted(folder, learned: bool = True, seed: int = 0, **settings) -> AdapterPolicy:
    """A random model with adapters; learned: with large ones, as after many steps."""
    model = {key: settings.pop(key) for key in ("dtype", "gradient_checkpointing") if key in settings}
    lora = LoraSettings(**{"rank": 4, "alpha": 8.0, **settings})
    policy, _ = load_trained(ModelSettings(path=str(folder), lora=lora, device="cpu", **model), None, seed)
    if learned:
        policy.load_adapters(noise(policy))
    return policy


def noise(policy: AdapterPolicy, seed: int = 1) -> dict[str, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    return {name: torch.randn(one.shape, generator=stream) * 0.1 for name, one in policy.saved_tensors().items()}


@torch.no_grad()
def logprobs(policy) -> torch.Tensor:
    return policy.logprobs(IDS, WANTED)[0]


def sampled(engine, temperature: float = 1.0):
    return [one for group in engine.generate(REQUESTS, SamplingParams(20, temperature)) for one in group]


def engines(policy):
    engine = build_engine(TorchEngineSettings(), policy.model, policy.end_token_ids, 6)
    return adapter_engines(policy, engine, engine)


def gap(policy, sequences, pair) -> float:
    """The largest distance between what an engine reported and what the policy computes."""
    largest = 0.0
    for request, sequence in zip([one for one in pair for _ in one.seeds], sequences, strict=True):
        ids = torch.tensor([[*request.prompt_ids, *sequence.token_ids]])
        wanted = torch.arange(ids.shape[1])[None] >= len(request.prompt_ids)
        with torch.no_grad():
            own, _ = policy.logprobs(ids, wanted)
        largest = max(largest, float((own - torch.tensor(sequence.logprobs)).abs().max()))
    return largest


def test_before_the_first_step_the_model_is_its_base_to_the_bit(model_folder):
    base, fresh = load_policy(ModelSettings(path=str(model_folder))), adapted(model_folder, learned=False)
    assert torch.equal(logprobs(fresh), logprobs(base))
    assert weights_hash(fresh) == weights_hash(base)
    assert dict(fresh.merged_tensors()).keys() == base.model.state_dict().keys()
    learned = adapted(model_folder)
    assert (logprobs(learned) - logprobs(base)).abs().max() > 0.1
    assert weights_hash(learned) != weights_hash(base)


def test_the_first_adapters_follow_from_the_seed_and_leave_the_global_stream_alone(model_folder):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    once = adapted(model_folder, learned=False)
    assert torch.equal(torch.rand(3), expected)
    again, other = adapted(model_folder, learned=False), adapted(model_folder, learned=False, seed=1)
    assert all(torch.equal(one, again.initial[name]) for name, one in once.initial.items())
    assert not all(torch.equal(one, other.initial[name]) for name, one in once.initial.items())


def test_only_adapters_are_trained(model_folder):
    policy = adapted(model_folder, target=("q_proj", "down_proj"))
    optimizer = MasterOptimizer(policy.model, OptimizerSettings(learning_rate=0.01))
    before = {name: value.clone() for name, value in policy.model.state_dict().items()}
    policy.logprobs(IDS, WANTED)[0].sum().backward()
    assert optimizer.step(1.0) > 0
    changed = {name for name, value in policy.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if ".lora_" in name}
    assert len(changed) == 2 * 2 * 2  # layers x targets x matrices
    assert set(optimizer.state_tensors()) == {
        f"{key}/{name}" for name in changed for key in ("step", "exp_avg", "exp_avg_sq")
    }
    weights = 2 * 4 * ((64 + 64) + (96 + 64))
    assert described(policy).startswith(f"LoRA of rank 4 in 4 projections: {weights:,} weights are trained beside ")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_reference_is_a_second_copy_of_the_base_without_the_copy(model_folder, dtype):
    copy, policy = load_policy(ModelSettings(path=str(model_folder), dtype=dtype)), adapted(model_folder, dtype=dtype)
    reference, own = reference_of(policy), logprobs(policy)
    assert torch.equal(logprobs(reference), logprobs(copy))
    assert torch.equal(logprobs(policy), own)  # the adapters are on again
    assert not reference.logprobs(IDS, WANTED)[0].requires_grad
    assert reference_tensors(reference) == {}


def test_a_reset_makes_the_adapters_of_then_the_reference(model_folder):
    policy = adapted(model_folder)
    reference, then = reference_of(policy), logprobs(policy)
    copy_weights(policy, reference)
    policy.load_adapters(noise(policy, seed=2))
    now = logprobs(policy)
    assert torch.equal(logprobs(reference), then)
    assert torch.equal(logprobs(policy), now)
    restored = reference_of(policy)
    load_reference_tensors(restored, {name: one.clone() for name, one in reference_tensors(reference).items()})
    assert torch.equal(logprobs(restored), then)
    policy.logprobs(IDS, WANTED)[0].sum().backward()  # a gradient is still for the policy's own
    assert all(p.grad is not None for p in policy.model.parameters() if p.requires_grad)


def test_whatever_fails_within_leaves_base_and_adapters_as_they_were(model_folder):
    policy = adapted(model_folder)
    before = {name: value.clone() for name, value in policy.model.state_dict().items()}
    own = logprobs(policy)
    for inside in (policy.merged(), policy.without_adapters(), policy.with_adapters(noise(policy, seed=3))):
        with pytest.raises(KeyboardInterrupt), inside:
            raise KeyboardInterrupt
        assert all(torch.equal(value, before[name]) for name, value in policy.model.state_dict().items())
        assert torch.equal(logprobs(policy), own)


def test_dropout_is_on_where_the_policy_learns_and_nowhere_else(model_folder):
    still = adapted(model_folder)
    policy = adapted(model_folder, dropout=0.5, gradient_checkpointing=True)
    assert policy.model.training  # as checkpointing needs it: peft's own dropout would be on throughout
    expected = logprobs(still)
    torch.testing.assert_close(logprobs(policy), expected, rtol=0, atol=0)
    assert [one.token_ids for one in sampled(engines(policy)[0])] == [
        one.token_ids for one in sampled(engines(still)[0])
    ]
    learning = policy.logprobs(IDS, WANTED)[0]
    assert (learning - expected).abs().max() > 0.01


def test_a_gradient_under_dropout_is_the_same_with_checkpointing(model_folder):
    """The pass that is made again draws the same zeros."""
    gradients = []
    for checkpointing in (False, True):
        policy = adapted(model_folder, dropout=0.5, gradient_checkpointing=checkpointing)
        torch.manual_seed(3)
        policy.logprobs(IDS, WANTED)[0].sum().backward()
        gradients.append([p.grad for p in policy.model.parameters() if p.requires_grad])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_fp32_samples_from_merged_weights_within_rounding_of_what_the_trainer_computes(model_folder):
    policy = adapted(model_folder)
    rollouts, evaluations = engines(policy)
    assert rollouts is evaluations
    sequences = sampled(rollouts)
    apart = build_engine(TorchEngineSettings(), policy.model, policy.end_token_ids, 6)
    assert gap(policy, sampled(apart), REQUESTS) < 2e-5
    assert gap(policy, sequences, REQUESTS) < 1e-4
    with policy.merged():  # it is the merged model that sampled
        assert gap(policy, sequences, REQUESTS) < 2e-5


def test_bf16_rollouts_compute_as_the_trainer_does_and_evaluations_as_the_export(model_folder):
    policy = adapted(model_folder, dtype="bfloat16")
    rollouts, evaluations = engines(policy)
    assert rollouts is not evaluations
    apart, merged = sampled(rollouts), sampled(evaluations)
    assert gap(policy, apart, REQUESTS) < gap(policy, merged, REQUESTS)
    with policy.merged():
        assert gap(policy, merged, REQUESTS) < gap(policy, apart, REQUESTS)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_exported_computes_the_same_in_transformers_in_peft_and_here(model_folder, tmp_path, dtype):
    kept = AutoModelForCausalLM.from_pretrained(model_folder, dtype=dtype)
    kept.save_pretrained(model_folder)  # a base has the dtype that it is trained in
    policy = adapted(model_folder, dtype=dtype, rank=3, alpha=7.0, target=("q_proj", "up_proj", "down_proj"))
    export(whole_models(policy, ALONE), tmp_path / "run", "card")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model")
    base = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 uses a name that transformers 5.23 renamed
        wrapped = peft.PeftModel.from_pretrained(base, str(tmp_path / "run" / "adapter"))
    with torch.no_grad():
        one, other = (model(IDS).logits.log_softmax(-1) for model in (merged, wrapped))
        torch.testing.assert_close(one, other, rtol=0, atol=5e-5)
        assert (one - base(IDS).logits.log_softmax(-1)).abs().max() < 5e-5  # base is what peft wrapped, adapters on
    assert merged.dtype == torch.float32
    read = load_policy(ModelSettings(path=str(tmp_path / "run" / "model"), dtype=dtype))
    assert weights_hash(read) == weights_hash(policy)  # what evaluations say they measured
    again = load_sampled(ModelSettings(path=str(tmp_path / "run" / "adapter"), dtype=dtype))
    assert weights_hash(again) == weights_hash(policy)
    assert torch.equal(logprobs(again), logprobs(read))


def test_an_adapter_that_peft_made_is_merged_as_peft_merges_it(model_folder, tmp_path):
    made = AutoModelForCausalLM.from_pretrained(model_folder)
    config = peft.LoraConfig(r=2, rank_pattern={"v_proj": 5}, use_rslora=True, target_modules=["v_proj", "o_proj"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        wrapped = peft.get_peft_model(made, config)
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        wrapped.peft_config["default"].base_model_name_or_path = str(model_folder)
        wrapped.save_pretrained(tmp_path / "theirs")
    expected = wrapped.merge_and_unload()
    use_kernels(expected)  # as in a policy
    with torch.no_grad():
        theirs = expected(IDS).logits.log_softmax(-1)
        ours = load_sampled(ModelSettings(path=str(tmp_path / "theirs"))).model(IDS).logits.log_softmax(-1)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_adapter_folders_that_do_not_fit_are_refused_by_cause(model_folder, tmp_path):
    policy = adapted(model_folder)
    save_model(policy, tmp_path / "good", "card")
    load_weights(policy, tmp_path / "good")
    with pytest.raises(ModelError, match="a run of frugalrl has it in model/"):
        load_policy(ModelSettings(path=str(tmp_path / "good")))

    def changed(name: str, **values):
        save_model(policy, tmp_path / name, "card")
        file = tmp_path / name / "adapter_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
        return ModelSettings(path=str(tmp_path / name))

    (tmp_path / "nameless").mkdir()
    (tmp_path / "nameless" / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="does not name its base"):
        load_sampled(ModelSettings(path=str(tmp_path / "nameless")))
    with pytest.raises(ModelError, match="no model folder at /nowhere"):
        load_sampled(changed("elsewhere", base_model_name_or_path="/nowhere"))
    for name, values in {"rank": {"r": 9}, "fewer": {"target_modules": ["q_proj"]}, "dora": {"use_dora": True}}.items():
        with pytest.raises(ModelError, match=r"is not plain LoRA on projections of .* merge_and_unload"):
            load_sampled(changed(name, **values))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_sampled(changed("unknown", target_modules=["nothing"]))


def test_what_the_recipe_gets_wrong_about_adapters_is_said(monkeypatch, model_folder):
    def train(**lora):
        base = {
            "name": "x",
            "data": {"train": {"limit": 9}},
            "rewards": [{"name": "accuracy"}],
            "training": {"steps": 1},
        }
        return parse_recipe({**base, "model": {"lora": lora}}, TrainRecipe)

    assert train(rank=8).model.lora.target == TARGETS
    for wrong, said in [
        ({"rank": 0}, "rank"),
        ({"alpha": 0}, "alpha"),
        ({"dropout": 1.0}, "dropout"),
        ({"target": []}, "target"),
        ({"target": ["qproj"]}, "did you mean 'q_proj'"),
        ({"target": ["lm_head"]}, "known: q_proj"),
        ({"target": ["q_proj", "q_proj"]}, "named twice"),
        ({"ranks": 8}, "Did you mean .rank"),
    ]:
        with pytest.raises(RecipeError, match=said):
            train(**wrong)
    scratch = {"name": "x", "phases": [{"limit": 9}], "scratch": {}, "model": {"lora": {}}}
    with pytest.raises(RecipeError, match="leave out scratch or model"):
        parse_recipe(scratch, SftRecipe)
    monkeypatch.setattr(adapter.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"pip install 'frugalrl\[lora\]'"):
        adapted(model_folder)


def test_the_memory_that_the_recipe_for_24_gb_states_is_that_of_its_configuration():
    """With the config.json of R1-Distill-Qwen-1.5B: 28 layers, 1,536 wide, 8,960 inside, 12 heads over 2."""
    import transformers

    recipe = load_recipe(RECIPES / "open-rs2-lora.yaml", TrainRecipe)
    config = transformers.Qwen2Config(
        vocab_size=151_936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
        num_key_value_heads=2, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    projections = [module for path, module in model.named_modules() if path.endswith(recipe.model.lora.target)]
    adapters = sum(recipe.model.lora.rank * (one.in_features + one.out_features) for one in projections)
    assert round(adapters / 1e6, 1) == 36.9
    weights, merged = (
        2 * sum(one.numel() for one in many) for many in (model.parameters(), (p.weight for p in projections))
    )
    cache = (
        28_672
        * recipe.rollout.max_sequences
        * (recipe.rollout.max_prompt_tokens + recipe.rollout.max_completion_tokens)
    )
    text = (RECIPES / "open-rs2-lora.yaml").read_text()
    stated = f"weights {weights / 1e9:.1f}, adapters with fp32 masters, gradients and moments {18 * adapters / 1e9:.1f}"
    assert stated in text
    assert f"cache of 36 rows {cache / 1e9:.1f}" in text
    assert f"beside the base, {merged / 1e9:.1f}" in text
