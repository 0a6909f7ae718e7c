"""Requests to a vLLM server and its replies: what is asked, what is taken, what is dropped, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.server.freshness import (
    BFLOAT16,
    FLOAT32,
    Bounds,
    Gap,
    Witness,
    after_first,
    bounds_for,
    ceiling_of,
    staleness,
)
from frugalrl.rollout.server.launch import LaunchPlan, command, environment
from frugalrl.rollout.server.protocol import (
    UnknownVersionError,
    UnusableReplyError,
    read_completion,
    read_scores,
    sampling_request,
)
from frugalrl.rollout.server.worker.frugalrl_worker import BACKEND, digest

# As vLLM 0.32 answered, shortened.
REPLY = {
    "request_id": "generate-tokens-b7243ae728646464",
    "usage": {"prompt_tokens": 4, "completion_tokens": 3},
    "prompt_logprobs": None,
    "output_mode": "tokens",
    "choices": [
        {
            "index": 0,
            "finish_reason": "length",
            "stop_reason": None,
            "token_ids": [259, 267, 16],
            "weight_versions": [{"version": "run:4", "start": 0, "end": 2}, {"version": "run:5", "start": 2, "end": 3}],
            "logprobs": {
                "content": [
                    {"token_id": 259, "logprob": -0.615909218788147, "rank": 1, "top_logprobs": []},
                    {"token_id": 267, "logprob": -0.04954550787806511, "rank": 1, "top_logprobs": []},
                    {"token_id": 16, "logprob": -0.0017106198938563466, "rank": 1, "top_logprobs": []},
                ]
            },
        }
    ],
}
VERSIONS = {"run:4": 4, "run:5": 5}


def changed(**choice):
    reply = json.loads(json.dumps(REPLY))
    reply["choices"][0].update(choice)
    return reply


def test_a_request_names_the_trainers_end_tokens_and_asks_for_the_log_prob_of_each_token():
    asked = sampling_request((1, 2), 2**62 + 1, SamplingParams(7, temperature=0.7), {9, 3})
    assert asked["token_ids"] == [1, 2]
    sampling = asked["sampling_params"]
    assert (sampling["seed"], sampling["max_tokens"], sampling["temperature"]) == (2**62 + 1, 7, 0.7)
    assert (sampling["stop_token_ids"], sampling["ignore_eos"], sampling["logprobs"]) == ([3, 9], True, 0)
    assert (sampling["top_p"], sampling["top_k"]) == (1.0, -1)


def test_every_token_keeps_the_version_of_its_span():
    found = read_completion(REPLY, 3, {1}, VERSIONS)
    assert found.token_ids == (259, 267, 16)
    assert found.logprobs == (-0.615909218788147, -0.04954550787806511, -0.0017106198938563466)
    assert found.policy_versions == (4, 4, 5)
    assert found.finish_reason == "length"
    assert read_completion(REPLY, 3, {16}, VERSIONS).finish_reason == "stop"


@pytest.mark.parametrize("reason", ["abort", "error", None])
def test_what_was_aborted_is_no_completion(reason):
    assert read_completion(changed(finish_reason=reason), 3, {1}, VERSIONS) is None


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ({"choices": []}, "exactly one"),
        (None, "exactly one"),
        (changed(logprobs=None), "without log-probs"),
        (changed(token_ids=[259, 267, 17]), "other tokens"),
        (changed(token_ids=[], logprobs={"content": []}, weight_versions=[]), "0 tokens"),
        (changed(weight_versions=None), "too old"),
        (changed(weight_versions=[{"version": "run:4", "start": 0, "end": 2}]), "of 2 tokens for a completion of 3"),
        (changed(weight_versions=[{"version": "run:4", "start": 1, "end": 3}]), "gap"),
    ],
)
def test_a_reply_that_is_not_what_the_protocol_says_is_refused(reply, says):
    with pytest.raises(UnusableReplyError, match=says):
        read_completion(reply, 3, {1}, VERSIONS)


def test_a_completion_that_a_short_context_cut_is_not_taken_for_a_truncated_one():
    with pytest.raises(UnusableReplyError, match="--max-model-len"):
        read_completion(REPLY, 50, {1}, VERSIONS)


def test_weights_that_this_run_did_not_send_are_named():
    with pytest.raises(UnknownVersionError, match="'run:4', which this run did not send"):
        read_completion(REPLY, 3, {1}, {"run:5": 5})


def test_scores_are_those_of_the_given_tokens():
    reply = {"prompt_logprobs": [None, {"6": {"logprob": -7.1, "rank": 107}}, {"7": {"logprob": -9.6}}]}
    assert read_scores(reply, (5, 6, 7)) == [-7.1, -9.6]
    with pytest.raises(UnusableReplyError, match="other tokens"):
        read_scores(reply, (5, 6, 8))
    with pytest.raises(UnusableReplyError, match="no log-probs"):
        read_scores({"prompt_logprobs": None}, (5, 6))


# ------------------------------------------------------------------------------------------------- freshness

SENT = {"a": "1", "b": "2"}


def judged(logprobs, trainer, before=None, bounds=FLOAT32, version="run:2", received=SENT):
    return staleness("run:2", SENT, Witness(version, [received], logprobs), trainer, bounds, before)


def test_the_bounds_tell_what_was_measured_on_a_real_server():
    """Mean and largest difference of fp32: fresh; one step behind at a rate of 1e-6; an old head after such a step."""
    for mean, largest, fresh in [(3.9e-7, 2e-5, True), (4e-5, 2.7e-3, False), (6e-6, 2.2e-4, False)]:
        rest = (mean * 100 - largest) / 99
        logprobs = [largest] + [rest] * 99
        assert (judged(logprobs, [0.0] * 100) is None) == fresh


def test_in_16_bits_only_a_server_far_off_or_one_that_stood_still_is_told_by_its_log_probs():
    fresh = [0.2] + [1.4e-3] * 99
    assert judged(fresh, [0.0] * 100, bounds=BFLOAT16) is None
    assert "packed output head" in judged([0.8] + [1.1e-2] * 99, [0.0] * 100, bounds=BFLOAT16)
    before = (fresh, [1e-3] * 100)
    assert "moved by 0.001 nats a token: the update was skipped" in judged(fresh, [0.0] * 100, before, BFLOAT16)


def test_a_server_that_stands_still_while_the_policy_does_too_is_fresh():
    """As after a first step whose warm-up gives a learning rate of 0."""
    assert judged([-1.0, -2.0], [-1.0, -2.0], before=([-1.0, -2.0], [-1.0, -2.0])) is None


def test_the_first_witness_is_the_version_and_the_second_what_arrived():
    assert "'run:1' and should have 'run:2'" in judged([0.0], [0.0], version="run:1")
    assert "did not receive 1 of 2 tensors, such as b" in judged([0.0], [0.0], received={"a": "1"})
    assert "received damaged or older 1 of 2 tensors" in judged([0.0], [0.0], received={"a": "1", "b": "3"})


def test_nan_is_never_fresh():
    assert judged([float("nan")], [0.0]) is not None
    assert judged([0.0], [float("nan")]) is not None


def test_bounds_follow_the_dtypes_and_grow_with_the_first_update_within_a_ceiling():
    assert bounds_for(["float32", "float32"]) is FLOAT32
    assert bounds_for(["float32", "bfloat16"]) is BFLOAT16
    assert after_first(FLOAT32, Gap(3.9e-7, 2e-5)) == FLOAT32
    assert after_first(FLOAT32, Gap(1e-5, 5e-4)) == Bounds(pytest.approx(3e-5), pytest.approx(1.5e-3), 2e-6)
    for table in (FLOAT32, BFLOAT16):
        assert ceiling_of(table).mean > table.mean
        assert ceiling_of(table).largest > table.largest


def test_a_checksum_sees_every_bit_and_the_order():
    tensor = torch.arange(10_000, dtype=torch.float32).reshape(100, 100)
    swapped = tensor.clone()
    swapped[0, 0], swapped[0, 1] = tensor[0, 1], tensor[0, 0]
    flipped = tensor.clone()
    flipped.view(torch.int32)[50, 50] ^= 1
    assert len({digest(tensor), digest(swapped), digest(flipped), digest(tensor[:50])}) == 4
    assert digest(tensor.t().contiguous().t()) == digest(tensor)
    assert digest(tensor.to(torch.bfloat16)) != digest(tensor)


# ------------------------------------------------------------------------------------------------- launching


def test_a_server_is_launched_on_this_machine_alone_with_every_flag_it_needs():
    plan = LaunchPlan(Path("/e"), "org/m", "main", "bfloat16", 4097, "2,3", ("--seed", "1"), Path("l"))
    line = " ".join(command(plan, "/e/bin/python", 8123))
    for part in (
        "/e/bin/python -m vllm.entrypoints.openai.api_server --model org/m --revision main",
        "--host 127.0.0.1 --port 8123",
        "--dtype bfloat16 --max-model-len 4097 --logprobs-mode processed_logprobs --generation-config vllm",
        "--enable-scale-out --worker-extension-cls frugalrl_worker.Extension",
        '--weight-transfer-config {"backend": "frugalrl"} --tensor-parallel-size 2 --seed 1',
    ):
        assert part in line
    assert f'"{BACKEND}"' in line
    assert "--enable-sleep-mode" not in line
    assert "--enable-sleep-mode" in command(replace(plan, sleeps=True), "/e/bin/python", 8123)


def test_a_server_sees_neither_the_trainers_python_nor_its_ranks():
    plan = LaunchPlan(Path("/e"), "m", None, "float32", 9, "1", (), Path("l"))
    own = {
        "PATH": "/bin",
        "PYTHONPATH": "src",
        "VIRTUAL_ENV": "x",
        "RANK": "0",
        "WORLD_SIZE": "2",
        "TORCHELASTIC_ID": "1",
    }
    found = environment(plan, own)
    assert found["PATH"] == "/bin"
    assert found["CUDA_VISIBLE_DEVICES"] == "1"
    assert found["VLLM_SERVER_DEV_MODE"] == "1"
    (only,) = [path.name for path in Path(found["PYTHONPATH"]).glob("*.py") if path.name != "__init__.py"]
    assert only == "frugalrl_worker.py"
    assert not {"VIRTUAL_ENV", "RANK", "WORLD_SIZE", "TORCHELASTIC_ID"} & set(found)
    allocator = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    assert allocator.items() <= environment(plan, allocator).items()
    assert not allocator.keys() & environment(replace(plan, sleeps=True), allocator).keys()
