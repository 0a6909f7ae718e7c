"""The master-weight optimizer against torch's AdamW, in fp32 and in bf16."""

import copy
import importlib.util
import math

import pytest
import torch
from pydantic import ValidationError

from frugalrl.config.optimizer_schema import OptimizerSettings
from frugalrl.errors import RecipeError
from frugalrl.training.model.optimizer import MasterOptimizer

SETTINGS = OptimizerSettings(learning_rate=1e-2, weight_decay=0.1, max_grad_norm=1e9, warmup_fraction=0.0)


def network(dtype=torch.float32):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = torch.nn.Sequential(torch.nn.Linear(4, 1024), torch.nn.Tanh(), torch.nn.Linear(1024, 2))
    return layers.to(dtype)


def inputs(step, dtype=torch.float32):
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(step)).to(dtype)


def test_fp32_is_torchs_adamw():
    ours, theirs = network(), network()
    optimizer = MasterOptimizer(ours, SETTINGS)
    reference = torch.optim.AdamW(theirs.parameters(), lr=1e-2, weight_decay=0.1)
    for step in range(5):
        ours(inputs(step)).square().sum().backward()
        optimizer.step(lr_factor=1.0)
        theirs(inputs(step)).square().sum().backward()
        reference.step()
        reference.zero_grad()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_bf16_keeps_changes_that_rounding_would_lose():
    """1e-5 of a weight near 1 is far below bf16's step of 0.008: only a master copy adds 2,000 of them up."""
    model = torch.nn.Linear(1, 1, bias=False).bfloat16()
    with torch.no_grad():
        model.weight.fill_(1.0)
    optimizer = MasterOptimizer(model, OptimizerSettings(learning_rate=1e-5, max_grad_norm=1e9))
    for _ in range(2000):
        model.weight.sum().backward()
        optimizer.step(lr_factor=1.0)
    assert float(model.weight.detach()) == pytest.approx(1.0 - 2000 * 1e-5, abs=0.005)


def test_bf16_gradients_are_added_up_in_fp32():
    model = torch.nn.Linear(1, 1, bias=False).bfloat16()
    optimizer = MasterOptimizer(model, OptimizerSettings(max_grad_norm=1e9))
    for _ in range(1000):  # in bf16 1 + 1 + ... stops at 256
        model.weight.sum().backward()
    assert optimizer.step(lr_factor=0.0) == pytest.approx(1000.0)


def test_a_gradient_that_is_not_finite_changes_nothing():
    model = network()
    optimizer = MasterOptimizer(model, SETTINGS)
    before = copy.deepcopy(model.state_dict())
    (model(inputs(0)).sum() * float("nan")).backward()
    assert math.isnan(optimizer.step(lr_factor=1.0))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_clipping_bounds_the_norm_and_reports_it_unclipped():
    model = network()
    optimizer = MasterOptimizer(model, SETTINGS.model_copy(update={"max_grad_norm": 0.5}))
    model(inputs(0)).square().sum().backward()
    expected = torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])
    assert optimizer.step(lr_factor=1.0) == pytest.approx(float(expected), rel=1e-6)


KINDS = [{}, {"name": "muon"}, {"offload": True}, {"state_bits": 8}, {"state_bits": 8, "offload": True}]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_state_saved_and_loaded_goes_on_bit_for_bit(kind, dtype):
    settings = SETTINGS.model_copy(update=kind)
    straight = network(dtype)
    optimizer = MasterOptimizer(straight, settings)
    for step in range(3):
        straight(inputs(step, dtype)).square().sum().backward()
        optimizer.step(lr_factor=1.0)
    saved = {key: value.clone() for key, value in optimizer.state_tensors().items()}
    assert any(key.startswith("state1/") for key in saved) == ("state_bits" in kind)
    resumed = copy.deepcopy(network(dtype))
    resumed.load_state_dict(straight.state_dict())
    second = MasterOptimizer(resumed, settings)
    second.load_state_tensors(saved)
    for step in range(3, 6):
        for model, stepper in ((straight, optimizer), (resumed, second)):
            model(inputs(step, dtype)).square().sum().backward()
            stepper.step(lr_factor=0.5)
    for one, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_muon_takes_the_hidden_matrices_and_leaves_embeddings_to_adamw(fresh_policy):
    optimizer = MasterOptimizer(fresh_policy.model, SETTINGS.model_copy(update={"name": "muon"}))
    ids = torch.tensor([[5, 6, 7, 8]])
    fresh_policy.logprobs(ids, torch.tensor([[False, True, True, True]]))[0].sum().backward()
    optimizer.step(lr_factor=1.0)
    state = optimizer.state_tensors()
    assert "momentum_buffer/model.layers.0.self_attn.q_proj.weight" in state
    assert "exp_avg/model.embed_tokens.weight" in state
    assert "exp_avg/model.layers.0.self_attn.q_proj.weight" not in state


def scaled_backward(model, optimizer, seed, factor=1.0):
    (model(inputs(seed, torch.float16)).float().square().sum() * factor * optimizer.loss_scale).backward()


def test_the_loss_scale_of_fp16_keeps_gradients_that_would_vanish():
    """A loss of 1e-9 of its size has gradients below what fp16 can hold; the step is that of fp32."""
    half, full = network(torch.float16), network()
    full.load_state_dict({name: value.float() for name, value in half.state_dict().items()})
    scaled, plain = MasterOptimizer(half, SETTINGS), MasterOptimizer(full, SETTINGS)
    assert (scaled.loss_scale, plain.loss_scale) == (65536.0, 1.0)
    scaled_backward(half, scaled, 0, factor=1e-7)
    (full(inputs(0)).square().sum() * 1e-7).backward()
    norm = plain.step(1.0)
    assert scaled.step(1.0) == pytest.approx(norm, rel=0.01)
    unscaled = network(torch.float16)
    (unscaled(inputs(0, torch.float16)).float().square().sum() * 1e-9).backward()
    assert all(float(p.grad.abs().max()) == 0.0 for p in unscaled.parameters())


def test_an_overflow_skips_the_update_and_halves_the_scale_and_2000_updates_double_it():
    model = network(torch.float16)
    optimizer = MasterOptimizer(model, SETTINGS.model_copy(update={"learning_rate": 1e-9}))
    before = copy.deepcopy(model.state_dict())
    scaled_backward(model, optimizer, 0, factor=1e6)
    assert not math.isfinite(optimizer.step(1.0))
    assert optimizer.loss_scale == 32768.0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for _ in range(2000):
        optimizer.step(0.0)
    assert optimizer.loss_scale == 65536.0
    assert optimizer.state_tensors()["loss_scale"].tolist() == [65536.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_masters_and_moments_on_the_host_give_the_same_bits(dtype):
    """Clipping, weight decay and two micro-batches a step; one step has a gradient that is not finite."""
    plain, offloaded = network(dtype), network(dtype)
    settings = SETTINGS.model_copy(update={"max_grad_norm": 5e-3})
    pair = [(plain, MasterOptimizer(plain, settings))]
    pair.append((offloaded, MasterOptimizer(offloaded, settings.model_copy(update={"offload": True}))))
    for step in range(4):
        norms = []
        for model, optimizer in pair:
            scale = optimizer.loss_scale * (float("inf") if step == 2 else 1e-2)
            for part in range(2):
                (model(inputs(2 * step + part, dtype)).float().square().mean() * scale).backward()
            norms.append(optimizer.step(lr_factor=0.5))
        assert norms[0] == norms[1] or all(map(math.isnan, norms))
        assert math.isfinite(norms[0]) == (step != 2)
    for one, other in zip(plain.parameters(), offloaded.parameters(), strict=True):
        assert torch.equal(one, other)
    states = [optimizer.state_tensors() for _, optimizer in pair]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_gradient_on_the_host_is_there_for_one_tensor_at_a_time(monkeypatch):
    model = network(torch.bfloat16)
    optimizer = MasterOptimizer(model, SETTINGS.model_copy(update={"offload": True}))
    masters = [master for _, master, _ in optimizer.weights_and_gradients()]
    seen = []
    inner = torch.optim.AdamW.step

    def step(self, *arguments):
        seen.append(sum(master.grad is not None for master in masters))
        return inner(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    model(inputs(0, torch.bfloat16)).square().sum().backward()
    optimizer.step(lr_factor=1.0)
    assert seen == [1] * len(masters)


def test_moments_of_8_bits_are_those_of_bitsandbytes_and_small_tensors_keep_32():
    from bitsandbytes.optim import AdamW8bit

    ours, theirs = network(), network()
    optimizer = MasterOptimizer(ours, SETTINGS.model_copy(update={"state_bits": 8}))
    matrix = theirs[0].weight
    reference = AdamW8bit([matrix], lr=1e-2, weight_decay=0.1)
    for step in range(4):
        ours(inputs(step)).square().sum().backward()
        matrix.grad = ours[0].weight.grad.clone()
        optimizer.step(lr_factor=1.0)
        reference.step()
    assert torch.equal(ours[0].weight, matrix)
    held = optimizer.state_tensors()
    assert {key.split("/")[0] for key in held if key.endswith("0.weight")} == {
        "step", "state1", "absmax1", "state2", "absmax2"
    }  # fmt: skip
    assert held["exp_avg/2.weight"].dtype == torch.float32  # 2,048 weights
    bytes_a_weight = sum(held[f"{key}/0.weight"].nbytes for key in ("state1", "absmax1", "state2", "absmax2")) / 4096
    assert bytes_a_weight == 2 + 8 / 256


def test_the_embedding_keeps_moments_of_32_bits(fresh_policy):
    optimizer = MasterOptimizer(fresh_policy.model, SETTINGS.model_copy(update={"state_bits": 8}))
    fresh_policy.logprobs(torch.tensor([[5, 6, 7]]), torch.tensor([[False, True, True]]))[0].sum().backward()
    optimizer.step(lr_factor=1.0)
    state = optimizer.state_tensors()
    assert "exp_avg/model.embed_tokens.weight" in state
    assert "state1/model.layers.0.mlp.up_proj.weight" in state


def test_a_recipe_without_bitsandbytes_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"pip install 'frugalrl\[8bit\]'"):
        MasterOptimizer(network(), SETTINGS.model_copy(update={"state_bits": 8}))


@pytest.mark.parametrize("saving", [{"state_bits": 8}, {"offload": True}])
def test_muon_takes_neither_saving(saving):
    with pytest.raises(ValidationError, match="muon"):
        OptimizerSettings(name="muon", **saving)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_gradients_of_several_processes_are_added_up_before_any_saving(kind):
    """Two processes with the same half of a batch are one with the whole of it."""

    def two_alike(gradients):
        for gradient in gradients:
            gradient.mul_(2)

    shared, alone = network(torch.bfloat16), network(torch.bfloat16)
    settings = SETTINGS.model_copy(update=kind)
    for model, optimizer, parts in (
        (shared, MasterOptimizer(shared, settings, two_alike), 1),
        (alone, MasterOptimizer(alone, settings), 2),
    ):
        for _ in range(parts):
            model(inputs(0, torch.bfloat16)).square().sum().backward()
        optimizer.step(lr_factor=1.0)
    assert all(torch.equal(one, other) for one, other in zip(shared.parameters(), alone.parameters(), strict=True))
