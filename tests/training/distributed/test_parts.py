"""Dealing, failures that travel, launches and placements, without processes."""

import types

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.config.devices_schema import DeviceSettings
from frugalrl.config.loading import parse_recipe
from frugalrl.config.optimizer_schema import OptimizerSettings
from frugalrl.config.schema import SftRecipe, TrainRecipe
from frugalrl.errors import BudgetEndedError, DataError, ModelError, ProcessFailedError, RecipeError
from frugalrl.training.distributed.agreement import refuse_disagreement, refuse_drift
from frugalrl.training.distributed.choice import choose_placement, needs_whole_weights
from frugalrl.training.distributed.dealing import deal_rows, deal_samples
from frugalrl.training.distributed.devices import serving_gpus, training_gpus, visible, who_does_what
from frugalrl.training.distributed.failures import failure_of, same_for_all
from frugalrl.training.distributed.group import _lost
from frugalrl.training.distributed.launch import SINGLE, Launch, launch_of, refuse_several_processes
from frugalrl.training.distributed.placement import Replicated
from frugalrl.training.distributed.sharing import even_counts
from frugalrl.training.limits.stopping import StopRequested
from frugalrl.training.model.held import held_bytes
from frugalrl.training.model.policy import tensors_hash
from tests.training.distributed.jobs import GRPO, SFT


class Pretended:
    """Two processes of which the other has what it is told."""

    rank, size = 0, 2

    def __init__(self, other) -> None:
        self._other = other

    def each(self, work):
        return [work(), self._other]


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(1, 5))
def test_every_sample_is_dealt_once_and_the_shares_are_even(counts, processes):
    shares = deal_samples(counts, processes)
    dealt = [(request, sample) for share in shares for request, samples in share for sample in samples]
    assert sorted(dealt) == [(request, sample) for request, count in enumerate(counts) for sample in range(count)]
    if len(set(counts)) == 1:
        sizes = [sum(len(samples) for _, samples in share) for share in shares]
        assert max(sizes) - min(sizes) <= len(counts) % processes


def test_fewer_prompts_than_processes_are_cut_by_samples_and_the_rest_stay_whole():
    assert deal_samples([6], 3) == [[(0, (0, 3))], [(0, (1, 4))], [(0, (2, 5))]]
    assert deal_samples([4, 4, 4], 2) == [[(0, (0, 1, 2, 3)), (2, (0, 2))], [(1, (0, 1, 2, 3)), (2, (1, 3))]]


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 5))
def test_rows_stay_in_order_and_no_share_is_more_than_a_row_above_its_part(lengths, processes):
    shares = deal_rows(lengths, lambda length: length, processes)
    assert [length for share in shares for length in share] == lengths
    assert all(sum(share) <= sum(lengths) / processes + max(lengths, default=0) for share in shares)


def test_a_process_without_work_gets_as_much_idle_work_as_the_others_have():
    assert even_counts(Pretended(3), ["a"], lambda: "idle") == ["a", "idle", "idle"]
    assert even_counts(Pretended(0), ["a"], lambda: "idle") == ["a"]


def test_the_error_that_is_no_stop_goes_before_and_is_of_the_same_kind_everywhere():
    stop, broken = failure_of(StopRequested()), failure_of(DataError("a row is broken"))
    own = DataError("a row is broken")
    assert same_for_all({0: stop, 1: broken}, 1, own) is own
    told = same_for_all({0: stop, 1: broken}, 0, StopRequested())
    assert (type(told), str(told)) == (DataError, "a row is broken")
    assert isinstance(same_for_all({0: stop}, 1, None), StopRequested)
    assert isinstance(same_for_all({1: failure_of(BudgetEndedError("over"))}, 0, None), BudgetEndedError)
    unknown = same_for_all({1: failure_of(ZeroDivisionError("1 / 0"))}, 0, None)
    assert isinstance(unknown, ProcessFailedError)
    assert str(unknown).startswith("Process 1 failed with ZeroDivisionError: 1 / 0.")
    full = same_for_all({1: failure_of(torch.OutOfMemoryError("CUDA out of memory"))}, 0, None)
    assert isinstance(full, torch.OutOfMemoryError), "so that all try again in smaller pieces"


def test_a_launch_is_read_and_half_of_one_is_refused():
    whole = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    assert launch_of({**whole, "LOCAL_WORLD_SIZE": "2"}) == Launch(3, 4, 1, 2)
    assert launch_of(whole).local_size == 4
    assert launch_of({"WORLD_SIZE": "1"}) == launch_of({}) == SINGLE
    with pytest.raises(RecipeError, match="WORLD_SIZE is 4 and MASTER_ADDR is not set"):
        launch_of({name: value for name, value in whole.items() if name != "MASTER_ADDR"})
    with pytest.raises(RecipeError, match="not all numbers"):
        launch_of({**whole, "RANK": "first"})
    with pytest.raises(RecipeError, match="`eval` runs in one"):
        refuse_several_processes(whole, "eval")


def test_launchers_whose_processes_would_not_find_each_other_are_refused():
    alone = {"ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_USE_CPU": "True"}
    assert launch_of(alone) == SINGLE
    with pytest.raises(RecipeError, match=r"accelerate .* has started one\. Give it --multi_gpu"):
        launch_of({**alone, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"})
    with pytest.raises(RecipeError, match="mpirun started several"):
        launch_of({"OMPI_COMM_WORLD_SIZE": "2"})
    assert launch_of({"PMI_SIZE": "1"}) == SINGLE


def test_processes_that_have_different_things_are_refused_by_name():
    refuse_disagreement(Pretended({"recipe": "a"}), {"recipe": "a"})
    with pytest.raises(RecipeError, match=r"Process 1 has another train than process 0 \(2 instead of 1\)"):
        refuse_disagreement(Pretended({"recipe": "a", "train": "2"}), {"recipe": "a", "train": "1"})


def policy_of(parameters: int, dtype: torch.dtype) -> types.SimpleNamespace:
    model = torch.nn.Linear(parameters, 1, bias=False, dtype=dtype)
    return types.SimpleNamespace(model=model, device=torch.device("cpu"))


def test_a_model_is_held_whole_where_half_of_the_smallest_memory_holds_it():
    recipe, policy = parse_recipe(GRPO, TrainRecipe), policy_of(100, torch.float32)
    assert held_bytes(policy, True, recipe.optimizer) == 100 * (4 + 4 + 12)
    chosen = choose_placement(Pretended(4000), recipe, policy, None, True)
    assert isinstance(chosen.placement, Replicated)
    assert "at most half of the 0 GB of the smallest device" in chosen.reason
    smaller = choose_placement(Pretended(3999), recipe, policy, None, True)
    assert not isinstance(smaller.placement, Replicated)
    assert "more than half" in smaller.reason
    bf16 = policy_of(5000, torch.bfloat16)
    for options, state_bytes in (({}, 4 + 8), ({"state_bits": 8}, 4 + 2), ({"offload": True}, 0)):
        assert held_bytes(bf16, False, OptimizerSettings(**options)) == 5000 * (2 + 4 + state_bytes)


@pytest.mark.parametrize("saving", [{"state_bits": 8}, {"offload": True}])
def test_the_optimizers_savings_need_whole_tensors(saving):
    recipe = parse_recipe({**SFT, "optimizer": saving, "distributed": {"weights": "sharded"}}, SftRecipe)
    whole_for = needs_whole_weights(recipe)
    with pytest.raises(RecipeError, match=r"optimizer\.(state_bits=8|offload) needs the whole model in one process"):
        choose_placement(Pretended(1), recipe, policy_of(100, torch.bfloat16), whole_for, False)


def test_what_needs_the_whole_model_is_held_whole_or_refused():
    muon = parse_recipe({**SFT, "optimizer": {"name": "muon"}}, SftRecipe)
    assert needs_whole_weights(muon) == "optimizer.name=muon"
    assert needs_whole_weights(parse_recipe({**GRPO, "model": {"lora": {}}}, TrainRecipe)) is None
    policy = policy_of(100, torch.float32)
    chosen = choose_placement(Pretended(1), muon, policy, needs_whole_weights(muon), False)
    assert isinstance(chosen.placement, Replicated)
    sharded = parse_recipe({**SFT, "optimizer": {"name": "muon"}, "distributed": {"weights": "sharded"}}, SftRecipe)
    with pytest.raises(RecipeError, match=r"optimizer\.name=muon needs the whole model in one process"):
        choose_placement(Pretended(1), sharded, policy, needs_whole_weights(sharded), False)


def test_what_a_lost_connection_says_is_told_apart_from_other_errors():
    launch = Launch(1, 4, 1, 4)
    assert _lost(launch, "CUDA error: an illegal memory access") is None
    gone = _lost(launch, "[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:3310")
    assert str(gone).startswith("Process 1 of 4 lost its connection to another one")
    late = _lost(launch, "[gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 8000ms for recv operation")
    assert "Raise it if that one is only slow" in str(late)


def test_the_first_gpus_train_and_each_that_is_left_serves_unless_the_recipe_says_otherwise():
    default = DeviceSettings()
    assert training_gpus(default, 3, 4) == (0, 1, 2)
    assert serving_gpus(default, (0, 1, 2), 4) == ((3,),)
    assert serving_gpus(default, (0,), 4) == ((1,), (2,), (3,))
    named = DeviceSettings(train=(2, 3), serve=((0, 1),))
    assert training_gpus(named, 2, 4) == (2, 3)
    assert serving_gpus(named, (2, 3), 4) == ((0, 1),)
    assert training_gpus(DeviceSettings(serve=((0,), (2,))), 2, 4) == (1, 3)
    assert visible((1, 3), None) == "1,3"
    assert visible((1, 3), "4,5,GPU-a, GPU-b") == "5,GPU-b"


@pytest.mark.parametrize(
    ("chosen", "processes", "gpus", "says"),
    [
        (DeviceSettings(), 4, 2, "4 processes were started on a machine with 2 GPUs"),
        (DeviceSettings(serve=((0,),)), 2, 2, r"1 GPUs that serve nothing \(devices.serve has 1 of 2\)"),
        (DeviceSettings(train=(0, 1)), 3, 4, "names 2 GPUs, and 3 processes were started"),
        (DeviceSettings(train=(0, 5)), 2, 4, "names GPU 5, and this machine sees 4"),
        (DeviceSettings(train=(0,)), 1, 0, "names GPU 0, and this machine sees none"),
        (DeviceSettings(), 2, 2, "All 2 GPUs of this machine train, and none is left for a vLLM server"),
    ],
)
def test_gpus_that_do_not_suffice_are_said(chosen, processes, gpus, says):
    with pytest.raises(ModelError, match=says):
        serving_gpus(chosen, training_gpus(chosen, processes, gpus), gpus)


LAUNCHED = {"kind": "vllm", "launch": True, "environment": "env"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"devices": {"serve": [[1]]}}, "devices.serve is of servers to launch"),
        ({"devices": {"train": [0]}}, "model.device is cpu"),
        ({"devices": {"train": [0, 0]}}, "train names a GPU twice"),
        ({"devices": {"serve": [[1], [1, 2]]}}, "serve names a GPU twice"),
        (
            {"devices": {"train": [0], "serve": [[0]]}, "model": {}, "engine": LAUNCHED},
            "devices lets GPU 0 train and serve",
        ),
    ],
)
def test_devices_that_contradict_the_recipe_are_refused(changes, says):
    engine = changes.pop("engine", {})
    with pytest.raises(RecipeError, match=says):
        parse_recipe({**GRPO, **changes, "rollout": {**GRPO["rollout"], "engine": engine}}, TrainRecipe)


@pytest.mark.parametrize(
    ("devices", "engine", "says"),
    [
        ({}, {}, "each process of torchrun trains and samples on the GPU of its number"),
        (
            {},
            LAUNCHED,
            "each process of torchrun trains on the GPU of its number; a server on each GPU that is left samples",
        ),
        (
            {"train": [0, 1], "serve": [[2, 3]]},
            LAUNCHED,
            "GPUs 0, 1 train, a process each; a server on GPUs 2, 3 samples",
        ),
        (
            {"serve": [[0]]},
            LAUNCHED,
            "the first GPUs that serve nothing train, a process each; a server on GPU 0 samples",
        ),
        ({"train": [1]}, {"kind": "vllm", "url": "http://a"}, "GPU 1 trains; servers elsewhere sample: http://a"),
        ({"train": [1]}, {}, "GPU 1 trains and samples"),
    ],
)
def test_a_recipe_says_in_a_line_which_gpu_does_what(devices, engine, says):
    values = {**GRPO, "model": {}, "devices": devices, "rollout": {**GRPO["rollout"], "engine": engine}}
    assert who_does_what(parse_recipe(values, TrainRecipe)) == says


def test_a_process_whose_weights_have_drifted_ends_the_run_by_name(tiny_policy):
    own = tensors_hash(tiny_policy.saved_tensors().items())
    refuse_drift(Pretended(own), tiny_policy, 7)
    with pytest.raises(ProcessFailedError, match="After step 7 process 1 has other weights than process 0"):
        refuse_drift(Pretended("0123"), tiny_policy, 7)
