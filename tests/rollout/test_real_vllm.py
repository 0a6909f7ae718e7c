"""The engine behind servers against a real vLLM on this CPU, with the reasoner that ships: `make test-vllm`.

The servers start with --enforce-eager: without it each compiles for a minute.
"""

import copy
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from frugalrl.clients.replies import Text
from frugalrl.clients.texts import ServerSettings, TextClient
from frugalrl.config.engine_schema import VllmEngineSettings
from frugalrl.config.lora_schema import LoraSettings
from frugalrl.curation.tokens import load_token_texts
from frugalrl.errors import ModelError
from frugalrl.rollout.collect import completion_text
from frugalrl.rollout.engine import RolloutRequest, SamplingParams, SharedModel
from frugalrl.rollout.factory import ServerNeeds, build_engine
from frugalrl.rollout.server import worker
from frugalrl.rollout.server.member import Limits, Member
from frugalrl.rollout.server.transfer import GroupTransfer
from frugalrl.rollout.vllm_engine import ProbeSettings, VllmEngine
from frugalrl.training.model.adapter import add_adapters
from frugalrl.training.model.adapter_engine import adapter_engines
from frugalrl.training.model.policy import Policy, resolve_model_path
from tests.rollout.test_server_launch import gone, lives

START_SECONDS = 1500
"""A server comes up in one minute on an idle machine; one of a busy machine of two processors took thirteen."""
pytestmark = [pytest.mark.vllm, pytest.mark.timeout(START_SECONDS + 600)]

MODEL = str(resolve_model_path("builtin:tiny"))
LONGEST = 300


@pytest.fixture(scope="session")
def vllm_environment() -> Path:
    folder = Path(os.environ.get("FRUGALRL_VLLM", ".venv-vllm")).absolute()
    if not (folder / "bin" / "python").exists():
        pytest.skip("there is no environment with vLLM: run make test-vllm, or set FRUGALRL_VLLM to its folder")
    return folder


@pytest.fixture(scope="module")
def server(vllm_environment, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """The url of a running server, and the file that switches its faults on."""
    folder = tmp_path_factory.mktemp("vllm")
    faults, log = folder / "faults", folder / "log"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    paths = [Path(worker.__file__).parent, Path(__file__).parent]
    command = [
        *(vllm_environment / "bin" / "python", "-m", "vllm.entrypoints.openai.api_server", "--model", MODEL),
        *("--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--max-model-len", str(LONGEST + 1)),
        *("--logprobs-mode", "processed_logprobs", "--generation-config", "vllm", "--enable-scale-out"),
        *("--worker-extension-cls", "faulty_worker.Extension", "--enforce-eager", "--enable-lora"),
        *("--weight-transfer-config", '{"backend": "frugalrl"}'),
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "FRUGALRL_TEST_FAULTS": str(faults),
        "VLLM_SERVER_DEV_MODE": "1",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url, process, log)
        yield url, faults
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    from frugalrl.rollout.server.client import Server

    until = time.monotonic() + START_SECONDS
    while not Server(url, 1, 1.0).is_healthy:
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < until, log.read_text()[-3000:]
        time.sleep(1)


@pytest.fixture
def prompts(tiny_policy) -> tuple[tuple[int, ...], ...]:
    texts = ["What is 12 plus 7?", "Ana has 48 coins and finds 15 more. How many?", "Compute 3*4-5."]
    tokenizer = tiny_policy.tokenizer
    rendered = [
        tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False)
        for text in texts
    ]
    return tuple(tuple(tokenizer(one, add_special_tokens=False).input_ids) for one in rendered)


@pytest.fixture
def served(server, tiny_policy, prompts, tmp_path):
    """An engine over the running server, the trainer's model, and the faults' switch."""
    url, faults = server
    faults.write_text("")
    model = copy.deepcopy(tiny_policy.model)
    needs = ServerNeeds(tmp_path, MODEL, None, LONGEST, prompts)
    engine = build_engine(VllmEngineSettings(url=url), model, tiny_policy.end_token_ids, 8, needs)
    yield engine, model, faults
    faults.write_text("")
    engine.close()


def learn(model, size: float) -> None:
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            generator = torch.Generator().manual_seed(number)
            parameter += size * torch.randn(parameter.shape, generator=generator)


def adam_step(model, prompts, rate: float) -> None:
    """A first step of Adam at this rate, towards other text: each weight moves by the rate, all to one end."""
    ids = torch.tensor([(prompts[0] * 8)[:48]])
    loss = model(ids, labels=ids).loss
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter -= rate * gradient.sign()


def test_log_probs_are_the_trainers_and_a_seed_gives_the_same_in_any_batch(served, prompts):
    engine, model, _ = served
    learn(model, 1e-3)
    engine.load_weights(SharedModel(model), 5)
    assert engine.logprobs_are_exact
    assert engine.metrics["sync/probe_mean"] < 2e-6
    requests, sampling = [RolloutRequest(prompt, (1, 2**62, 3)) for prompt in prompts], SamplingParams(48, 0.7)
    found = engine.generate(requests, sampling)
    gaps = []
    for request, sequences in zip(requests, found, strict=True):
        for one in sequences:
            ids = torch.tensor([request.prompt_ids + one.token_ids])
            with torch.no_grad():
                logprobs = torch.log_softmax(model(ids).logits[0].float() / 0.7, -1)
            start = len(request.prompt_ids)
            expected = logprobs[start - 1 : -1].gather(-1, ids[0, start:, None]).squeeze(-1)
            gaps.append((torch.tensor(one.logprobs) - expected).abs())
            assert set(one.policy_versions) == {5}
    apart = torch.cat(gaps)
    assert float(apart.mean()) < 2e-6
    assert float(apart.max()) < 1e-4
    alone = [
        engine.generate([RolloutRequest(one.prompt_ids, (seed,))], sampling) for one in requests for seed in one.seeds
    ]
    assert [one.token_ids for group in found for one in group] == [((only,),)[0][0].token_ids for ((only,),) in alone]


def test_a_greedy_sample_reports_the_models_own_log_probs(served, prompts):
    engine, model, _ = served
    engine.load_weights(SharedModel(model), 1)
    ((one,),) = engine.generate([RolloutRequest(prompts[0], (0,))], SamplingParams(16, temperature=0))
    ids = torch.tensor([prompts[0] + one.token_ids])
    with torch.no_grad():
        logprobs = torch.log_softmax(model(ids).logits[0].float(), -1)
    start = len(prompts[0])
    assert one.logprobs == pytest.approx(
        [float(logprobs[at - 1, ids[0, at]]) for at in range(start, ids.shape[1])], abs=1e-4
    )
    assert one.token_ids == tuple(int(logprobs[at - 1].argmax()) for at in range(start, ids.shape[1]))


@pytest.mark.parametrize("rate", [1e-4, 1e-6])
@pytest.mark.parametrize(
    ("fault", "says"),
    [("old_head", "packed output head"), ("lost_tensor", "did not receive 1 of .*layers.1.mlp.down_proj")],
)
def test_a_server_that_is_half_updated_is_found_after_a_single_step(served, prompts, fault, says, rate):
    engine, model, faults = served
    engine.load_weights(SharedModel(model), 0)
    adam_step(model, prompts, rate)
    faults.write_text(fault)
    with pytest.raises(ModelError, match=says):
        engine.load_weights(SharedModel(model), 1)
    faults.write_text("")
    engine.load_weights(SharedModel(model), 2)  # and what was half updated can be updated


def test_a_server_whose_update_was_skipped_is_found_after_a_single_step(served, prompts, monkeypatch):
    """By its version; and, were that not told, by its log-probs."""
    engine, model, _ = served
    engine.load_weights(SharedModel(model), 0)
    adam_step(model, prompts, 1e-6)
    (member,) = engine._members
    with monkeypatch.context() as patched:
        patched.setattr(member, "push", lambda version, mode="wait": None)
        with pytest.raises(ModelError, match=r"names its weights .* was skipped"):
            engine.load_weights(SharedModel(model), 1)
        witness = member.witness

        def told(probe, name):
            return replace(witness(probe, name), version=engine._sent.version, received=[engine._sent.checksums])

        patched.setattr(member, "witness", told)
        with pytest.raises(ModelError, match=r"computes exactly what it did before .* the update was skipped"):
            engine.load_weights(SharedModel(model), 2)


def test_completions_that_are_aborted_are_sampled_again_and_alike(served, prompts):
    engine, model, _ = served
    engine.load_weights(SharedModel(model), 0)
    requests, sampling = [RolloutRequest(prompt, tuple(range(6))) for prompt in prompts], SamplingParams(200)
    expected = engine.generate(requests, sampling)
    over = threading.Event()

    def disturb() -> None:
        for _ in range(12):  # a request that is aborted more than 20 times is an error
            if not over.wait(0.15):
                engine._members[0].server.control("/abort_requests")

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        found = engine.generate(requests, sampling)
    finally:
        over.set()
        thread.join()
    assert [one.token_ids for group in found for one in group] == [one.token_ids for group in expected for one in group]


def test_evaluation_and_curation_get_the_texts_of_the_same_samples(served, tiny_policy):
    """By token ids, as a rollout; and a chat of the same server has a text and both counts."""
    engine, model, _ = served
    engine.load_weights(SharedModel(model), 0)
    messages = [{"role": "user", "content": "What is 12 plus 7?"}]
    prompt = tiny_policy.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    ids = tuple(tiny_policy.tokenizer(prompt, add_special_tokens=False).input_ids)
    ((one, other),) = engine.generate([RolloutRequest(ids, (2**40, 8))], SamplingParams(64))
    client, texts = (
        TextClient(ServerSettings(f"{engine._members[0].server.url}/v1", MODEL), ""),
        load_token_texts(MODEL),
    )
    for sequence, seed in ((one, 2**40), (other, 8)):
        found = client.ask(texts.wanted(prompt, seed, SamplingParams(64)))
        assert isinstance(found, Text), found
        assert (found.content, found.finish_reason, found.completion_tokens, found.prompt_tokens) == (
            completion_text(tiny_policy.tokenizer, sequence), sequence.finish_reason, len(sequence.token_ids), len(ids),
        )  # fmt: skip
    chat = client.ask(client.chat(messages, 8, {"temperature": 1.0, "max_tokens": 64}))
    assert isinstance(chat, Text), chat
    assert chat.prompt_tokens == len(ids)


def test_weights_arrive_by_broadcast_in_a_process_group(server, tiny_policy, prompts):
    """Over gloo, which is what there is on a CPU: nccl takes the same path."""
    url, faults = server
    faults.write_text("")
    model = copy.deepcopy(tiny_policy.model)
    transfer = GroupTransfer("gloo")
    limits = Limits(model.config.vocab_size, LONGEST, 8, 60.0, 60.0, 0)
    probe = ProbeSettings(prompts, LONGEST, 4, None, None)
    engine = VllmEngine([Member(url, transfer, limits)], transfer, tiny_policy.end_token_ids, 8, "float32", probe)
    engine.begin()
    for version in (0, 1):
        learn(model, 1e-3)
        engine.load_weights(SharedModel(model), version)
        assert engine.metrics["sync/probe_mean"] < 2e-6
    engine.close()


def test_a_server_takes_the_calls_of_sleep_and_wake_in_this_order(server, tiny_policy, prompts, tmp_path):
    """On a CPU no memory is given back; who is asleep, and that nothing is scheduled meanwhile, is kept there too."""
    url, faults = server
    faults.write_text("")
    needs = ServerNeeds(tmp_path, MODEL, None, LONGEST, prompts)
    model = copy.deepcopy(tiny_policy.model)
    settings = VllmEngineSettings(url=url, sleep=True, probe_completions=2)
    engine = build_engine(settings, model, tiny_policy.end_token_ids, 8, needs)
    engine.load_weights(SharedModel(model), 0)
    client = engine._members[0].server
    assert client.look("/is_sleeping") == {"is_sleeping": False}
    before = engine.generate([RolloutRequest(prompts[0], (5, 6))], SamplingParams(24))
    engine.rest()
    assert client.look("/is_sleeping") == {"is_sleeping": True}
    assert engine.generate([RolloutRequest(prompts[0], (5, 6))], SamplingParams(24)) == before
    engine.rest()
    learn(model, 1e-3)
    engine.load_weights(SharedModel(model), 1)
    assert client.look("/is_sleeping") == {"is_sleeping": False}
    assert engine.metrics["sync/probe_mean"] < 2e-6
    assert engine.metrics["sync/faults"] == 0
    engine.close()


def test_adapters_alone_are_loaded_and_sampled_from(server, tiny_policy, prompts, tmp_path):
    """They compute what the policy does with its adapters on."""
    pytest.importorskip("peft")
    url, faults = server
    faults.write_text("")
    base = Policy(copy.deepcopy(tiny_policy.model), tiny_policy.tokenizer, MODEL)
    needs = ServerNeeds(tmp_path, MODEL, None, LONGEST, prompts, lora_rank=8)
    # Adapters belong to the weights that the server started with, and other tests have sent it others.
    whole = build_engine(VllmEngineSettings(url=url, probe_completions=1), base.model, base.end_token_ids, 8, needs)
    whole.load_weights(SharedModel(base.model), 0)
    whole.close()
    policy = add_adapters(base, LoraSettings(rank=8, alpha=16.0), seed=0)
    settings = VllmEngineSettings(url=url, weights="adapter", probe_completions=4)
    plain = build_engine(settings, policy.model, policy.end_token_ids, 8, needs)
    engine, _ = adapter_engines(policy, plain, plain, tmp_path / "adapters")
    engine.load_weights(SharedModel(policy.model), 0)
    for version in (1, 2):
        with torch.no_grad():
            for _, layer in policy.layers():
                layer.lora_B["default"].weight.add_(0.01 * version)
        engine.load_weights(SharedModel(policy.model), version)
        assert engine.metrics["sync/probe_mean"] < 1e-5
    ((one,),) = engine.generate([RolloutRequest(prompts[0], (5,))], SamplingParams(32))
    assert set(one.policy_versions) == {2}
    engine.close()


RECIPE = """
name: small
data: {train: {source: arithmetic, limit: 40}, validation: {source: arithmetic, split: validation, limit: 4}}
rewards: [{name: accuracy}]
rollout:
  engine:
    {kind: vllm, launch: true, environment: ENVIRONMENT, arguments: [--enforce-eager], probe_completions: 4}
  prompts_per_step: 2
  group_size: 4
  max_prompt_tokens: 128
  max_completion_tokens: 64
optimizer: {learning_rate: 1.0e-4}
evaluation: {every: 100, samples_per_problem: 1}
training: {steps: STEPS, save_every: 100}
"""


def start_run(folder: Path, environment: Path, steps: int) -> subprocess.Popen:
    text = RECIPE.replace("ENVIRONMENT", str(environment)).replace("STEPS", str(steps))
    (folder / "recipe.yaml").write_text(text)
    command = [sys.executable, "-m", "frugalrl", "train", str(folder / "recipe.yaml"), "--out", str(folder / "run")]
    own = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1"}
    with (folder / "output").open("wb") as output:
        return subprocess.Popen(command, env=own, stdout=output, stderr=subprocess.STDOUT)


def wait_until_step(folder: Path, step: int, run: subprocess.Popen) -> None:
    until, log = time.monotonic() + START_SECONDS, folder / "run" / "metrics.jsonl"
    while not log.exists() or f'"step": {step},' not in log.read_text():
        assert run.poll() is None, (folder / "output").read_text()[-3000:]
        assert time.monotonic() < until, (folder / "output").read_text()[-3000:]
        time.sleep(0.1)


def below(pid: int) -> dict[int, str]:
    """All processes below one, with their command lines."""
    found: dict[int, str] = {}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            try:
                found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
                found |= below(child)
            except OSError:
                continue
    return found


def test_a_run_launches_its_server_survives_its_crash_and_leaves_nothing_behind(vllm_environment, tmp_path):
    run = start_run(tmp_path, vllm_environment, steps=8)
    wait_until_step(tmp_path, 2, run)
    everything = below(run.pid)
    (api,) = [
        pid
        for pid, line in everything.items()
        if "api_server" in line and "keeper.py" not in line and "-m vllm" in line
    ]
    os.kill(api, signal.SIGKILL)
    assert run.wait(START_SECONDS) == 0, (tmp_path / "output").read_text()[-3000:]
    said = (tmp_path / "output").read_text()
    assert "It is brought back" in said
    assert "Report:" in said
    assert gone(list(everything))
    assert not (tmp_path / "run" / "weights").exists()


def test_a_run_that_is_killed_leaves_no_server_behind(vllm_environment, tmp_path):
    run = start_run(tmp_path, vllm_environment, steps=500)
    wait_until_step(tmp_path, 1, run)
    everything = below(run.pid)
    assert sum(map(lives, everything)) >= 3  # the keeper, the API process, the engine
    run.kill()
    run.wait()
    assert gone(list(everything), seconds=30)
