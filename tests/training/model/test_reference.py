"""A reference that waits in host memory: the same bits, and on the device only while it scores."""

import copy
import dataclasses
import types

import pytest
import torch

from frugalrl.config.loading import parse_recipe
from frugalrl.config.schema import ModelSettings, TrainRecipe
from frugalrl.errors import RecipeError
from frugalrl.training.model import reference as reference_module
from frugalrl.training.model.reference import WaitingReference, copy_weights, load_reference, reference_waits
from frugalrl.training.trainer import train
from tests.training.distributed.jobs import GRPO

META = torch.device("meta")
"""A second device that every machine has: its tensors have shapes and no numbers."""


@pytest.fixture
def waiting(policy):
    return load_reference(ModelSettings(device="cpu"), policy, waits=True)


def places(reference):
    return {tensor.device.type for tensor in (*reference.model.parameters(), *reference.model.buffers())}


def test_the_weights_are_on_the_device_inside_the_block_alone_and_are_the_same_memory_after_it(waiting):
    elsewhere = dataclasses.replace(waiting, scores_on=META)
    before = {name: (tensor.data_ptr(), tensor.clone()) for name, tensor in waiting.model.named_parameters()}
    assert places(elsewhere) == {"cpu"}
    with elsewhere.at_hand():
        assert places(elsewhere) == {"meta"}
        embedded = elsewhere.model.model.embed_tokens(torch.tensor([[5, 6, 7]], device=META))
        assert elsewhere.model.lm_head(embedded).device == META
        assert elsewhere.model.lm_head.weight is elsewhere.model.model.embed_tokens.weight  # tied, and so one copy
    assert places(elsewhere) == {"cpu"}
    for name, tensor in waiting.model.named_parameters():
        assert tensor.data_ptr() == before[name][0]
        assert torch.equal(tensor, before[name][1])


def test_memory_that_runs_out_on_the_way_leaves_the_weights_on_the_host(waiting, monkeypatch):
    elsewhere, moved = dataclasses.replace(waiting, scores_on=META), []
    plain = torch.Tensor.to

    def to(tensor, *arguments, **named):
        if arguments == (META,):
            moved.append(tensor)
            if len(moved) == 5:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(tensor, *arguments, **named)

    monkeypatch.setattr(torch.Tensor, "to", to)
    with pytest.raises(torch.OutOfMemoryError), elsewhere.at_hand():
        pass
    assert places(elsewhere) == {"cpu"}


def test_a_reset_reaches_the_weights_that_wait(waiting):
    other = dataclasses.replace(waiting, model=copy.deepcopy(waiting.model))
    other.model.model.norm.weight.mul_(2)
    copy_weights(other, waiting)
    assert torch.equal(waiting.model.model.norm.weight, other.model.model.norm.weight)


def test_a_run_has_the_same_bits_wherever_the_reference_waits(tmp_path, monkeypatch):
    """A KL term and a reset of the reference; the weights are brought once a step."""
    brought = []
    inner = WaitingReference.at_hand
    monkeypatch.setattr(WaitingReference, "at_hand", lambda self: brought.append(1) or inner(self))
    files = {}
    for place in ("device", "host"):
        algorithm = {**GRPO.get("algorithm", {}), "reference_place": place, "reference_reset_every": 1}
        algorithm["loss"] = {**algorithm.get("loss", {}), "kl_coef": 0.1}
        recipe = parse_recipe({**GRPO, "algorithm": algorithm}, TrainRecipe)
        folder = tmp_path / place
        folder.mkdir()
        train(recipe, folder)
        files[place] = {
            path.relative_to(folder): path.read_bytes() for path in sorted(folder.glob("checkpoints/*/*/*.safetensors"))
        }
    assert len(brought) == recipe.training.steps
    assert files["device"] == files["host"]
    assert any("reference" in str(path) for path in files["host"])


class _Card:
    device = torch.device("cuda")


HOST, DEVICE = ({"algorithm": {"loss": {"kl_coef": 0.1}, "reference_place": place}} for place in ("host", "device"))


@pytest.mark.parametrize(
    ("changes", "memory", "expected"),
    [({}, 1999, True), ({}, 2000, False), (HOST, 10**9, True), (DEVICE, 1, False), ({"model": {"lora": {}}}, 1, False)],
)
def test_auto_asks_whether_more_than_half_of_the_card_is_taken(monkeypatch, changes, memory, expected):
    recipe = parse_recipe({**GRPO, **changes}, TrainRecipe)
    monkeypatch.setattr(reference_module, "held_bytes", lambda policy, with_reference, optimizer: 1000)
    monkeypatch.setattr(reference_module, "device_bytes", lambda device, processes: memory)
    assert reference_waits(recipe, _Card, 1) == expected


def test_several_processes_and_a_cpu_let_it_wait_only_where_asked():
    recipe = parse_recipe(GRPO, TrainRecipe)
    assert not reference_waits(recipe, _Card, 2)
    assert not reference_waits(recipe, types.SimpleNamespace(device=torch.device("cpu")), 1)


@pytest.mark.parametrize("changes", [{"model": {"lora": {}}}, {"algorithm": {"loss": {"kl_coef": 0.0}}}])
def test_a_reference_that_is_no_second_model_cannot_wait(changes):
    algorithm = {"loss": {"kl_coef": 0.1}, **changes.get("algorithm", {}), "reference_place": "host"}
    with pytest.raises(RecipeError, match="there is no second model"):
        parse_recipe({**GRPO, **changes, "algorithm": algorithm}, TrainRecipe)
