"""The benchmark of one step off policy: its stand-in for a server, and the table that it writes."""

import copy

import torch
from one_step_off import CopyEngine, table

from frugalrl.rollout.engine import RolloutRequest, SamplingParams, SharedModel
from frugalrl.rollout.torch_engine import TorchEngine
from tests.conftest import random_model


def test_the_stand_in_samples_with_the_weights_that_it_was_sent_as_the_engine_in_process_does(tokenizer):
    model = random_model("qwen2", tokenizer)
    before = copy.deepcopy(model)
    asked, sampling = [RolloutRequest((5, 9, 200), (1, 2))], SamplingParams(12)
    engine = CopyEngine(model, frozenset({model.config.eos_token_id}), 4)
    engine.load_weights(SharedModel(model), 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05
    ends = frozenset({model.config.eos_token_id})
    assert engine.generate(asked, sampling) == TorchEngine(before, ends, 4, policy_version=1).generate(asked, sampling)
    engine.load_weights(SharedModel(model), 2)
    assert engine.generate(asked, sampling) == TorchEngine(model, ends, 4, policy_version=2).generate(asked, sampling)


def test_the_table_has_the_rows_that_the_record_has():
    run = {"validation": {"0": 0.4, "25": 0.8}, "mean_reward": 1.2, "final": 0.9}
    learning = {"seeds": [1, 2], "on policy": [run, {**run, "final": 0.8}], "one step off": [run, run]}
    lines = table({"learning": learning}).splitlines()
    assert lines[2] == "| validation after step 25, mean of seeds 1, 2 | 80.0 % | 80.0 % |"
    assert lines[4] == "| test, kept checkpoint, seeds 1, 2 | 90.0, 80.0 % | 90.0, 90.0 % |"
    parts = {"time/rollout": 2.0, "time/update": 1.0, "sync/seconds": 0.5, "step": 3.0}
    seconds = {"on policy": parts, "one step off": {**parts, "step": 2.5}}
    assert table({"seconds": seconds}).splitlines()[-1] == "| seconds: the whole step | 3.00 | 2.50 |"
