"""The engine behind servers against a fake one that speaks vLLM's protocol: what is sampled, lost, stale or refused."""

import copy
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from frugalrl.config.engine_schema import VllmEngineSettings
from frugalrl.errors import ModelError
from frugalrl.rollout.engine import RolloutRequest, SamplingParams, SharedModel, WeightFolder
from frugalrl.rollout.factory import ServerNeeds, build_engine, check_reachable
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.rollout.vllm_engine import VllmEngine, trainer_logprobs
from tests.conftest import random_model
from tests.rollout.fake_vllm import CLOSED, FakeVllm, fake_server

PROMPTS = ((5, 9, 200, 31), (7, 8), (100, 101, 102))
REQUESTS = [RolloutRequest(prompt, (11, 12, 13)) for prompt in PROMPTS]
SAMPLING = SamplingParams(12, temperature=0.8)


class Bench:
    """A trainer's model, fake servers that began with its weights, and the engine between them."""

    def __init__(self, stack: ExitStack, folder: Path, model, count: int = 1, **settings) -> None:
        self.model = copy.deepcopy(model)
        self.ends = frozenset({model.config.eos_token_id})
        started = [stack.enter_context(fake_server(model)) for _ in range(count)]
        self.urls, self.fakes = [url for url, _ in started], [fake for _, fake in started]
        chosen = VllmEngineSettings(url=tuple(self.urls), probe_completions=4, **{"start_seconds": 5.0, **settings})
        needs = ServerNeeds(folder, "unused", None, 200, PROMPTS)
        engine = build_engine(chosen, self.model, self.ends, 4, needs)
        assert isinstance(engine, VllmEngine)
        self.engine = engine
        stack.callback(engine.close)

    @property
    def fake(self) -> FakeVllm:
        return self.fakes[0]

    def learn(self, size: float = 0.01) -> None:
        """Move every weight a little, as an update does."""
        with torch.no_grad():
            for number, parameter in enumerate(self.model.parameters()):
                generator = torch.Generator().manual_seed(number)
                parameter += size * torch.randn(parameter.shape, generator=generator)

    def load(self, version: int) -> None:
        self.engine.load_weights(SharedModel(self.model), version)

    def expected(self, requests=REQUESTS, sampling=SAMPLING):
        """What the torch engine samples from the same weights: the fake draws as it does."""
        return TorchEngine(self.model, self.ends, 1).generate(requests, sampling)


@pytest.fixture
def bench(tmp_path, tokenizer):
    with ExitStack() as stack:
        yield lambda model=None, **more: Bench(stack, tmp_path, model or random_model("qwen2", tokenizer), **more)


def same(found, expected) -> None:
    for one, other in zip(found, expected, strict=True):
        assert [sequence.token_ids for sequence in one] == [sequence.token_ids for sequence in other]
        for mine, theirs in zip(one, other, strict=True):
            assert mine.logprobs == pytest.approx(theirs.logprobs, abs=1e-5)
            assert mine.finish_reason == theirs.finish_reason


# ------------------------------------------------------------------------------------------- what is sampled


@pytest.mark.parametrize("tied", [True, False])
def test_completions_are_those_of_the_weights_that_were_sent_with_their_version_at_each_token(bench, tokenizer, tied):
    one = bench(random_model("qwen2", tokenizer, tied))
    for version in (0, 1, 2):
        one.load(version)
        found = one.engine.generate(REQUESTS, SAMPLING)
        same(found, one.expected())
        assert {number for group in found for item in group for number in item.policy_versions} == {version}
        one.learn()
    assert one.engine.logprobs_are_exact
    assert one.engine.metrics["sync/probe_mean"] < 2e-6


def test_each_completion_is_a_request_of_its_own_with_its_own_seed(bench):
    one = bench()
    one.load(0)
    one.fake.seeds.clear()
    one.engine.generate(REQUESTS, SAMPLING)
    assert sorted(one.fake.seeds) == sorted((11, 12, 13) * 3)


def test_several_servers_share_the_load_and_change_nothing(bench):
    one = bench(count=3)
    one.load(4)
    requests = [RolloutRequest(prompt, tuple(range(12))) for prompt in PROMPTS]
    for fake in one.fakes:
        fake.seeds.clear()
    same(one.engine.generate(requests, SAMPLING), one.expected(requests))
    assert all(fake.seeds for fake in one.fakes)
    assert sum(len(fake.seeds) for fake in one.fakes) == 36


def test_weights_in_a_folder_are_removed_when_newer_ones_are_there_and_at_the_end(bench, tmp_path):
    one = bench()
    one.load(0)
    one.load(1)
    (kept,) = (tmp_path / "weights").iterdir()
    assert kept.name.endswith("-2")
    assert [path.suffix for path in kept.iterdir()] == [".safetensors"]
    one.engine.close()
    assert not (tmp_path / "weights").exists()


# ----------------------------------------------------------------------------------------------- what is lost


def test_what_a_fault_or_an_abort_loses_is_sampled_again_and_alike(bench, caplog):
    one = bench(max_restarts=10)
    one.load(0)
    one.fake.fail["/inference/v1/generate"] = [503, CLOSED]
    one.fake.abort_next = 2
    told = {}
    found = one.engine.generate(
        REQUESTS, SAMPLING, lambda request, sample, made: told.update({(request, sample): made})
    )
    same(found, one.expected())
    assert told == {(at, sample): made for at, row in enumerate(found) for sample, made in enumerate(row)}
    assert "brought back" in caplog.text
    assert one.fake.asked.count("/update_weights") >= 3  # the first two, and one for each fault that was seen alone


@pytest.mark.parametrize("faults", [[], [CLOSED, CLOSED]], ids=["silently", "with lost requests"])
def test_a_server_that_was_restarted_gets_its_weights_back_and_what_it_said_meanwhile_is_dropped(bench, caplog, faults):
    """It answers well, with its first weights: only the version of the tokens tells."""
    one = bench()
    one.load(0)
    one.learn()
    one.load(1)
    one.fake.restart()
    one.fake.fail["/inference/v1/generate"] = list(faults)
    found = one.engine.generate(REQUESTS, SAMPLING)
    same(found, one.expected())
    assert {number for group in found for item in group for number in item.policy_versions} == {1}
    assert "brought back" in caplog.text


def test_a_server_that_is_gone_leaves_its_work_to_the_others(bench, caplog):
    one = bench(count=2, max_restarts=0)
    one.load(0)
    one.fakes[1].is_dead = True
    same(one.engine.generate(REQUESTS, SAMPLING), one.expected())
    assert "given up" in caplog.text
    one.learn()
    one.load(1)
    same(one.engine.generate(REQUESTS, SAMPLING), one.expected())


def test_a_run_ends_when_no_server_is_left(bench):
    one = bench(max_restarts=1, start_seconds=0.2)
    one.load(0)
    one.fake.is_dead = True
    with pytest.raises(ModelError, match="No vLLM server is left"):
        one.engine.generate(REQUESTS, SAMPLING)


def test_a_server_that_hangs_is_found_by_the_time_limit(bench):
    one = bench(request_seconds=0.4, max_restarts=5)
    one.load(0)
    one.fake.hang["/inference/v1/generate"] = [3.0]
    began = time.monotonic()
    same(one.engine.generate(REQUESTS, SAMPLING), one.expected())
    assert time.monotonic() - began < 3.0


def test_a_server_that_always_aborts_is_an_error(bench):
    one = bench()
    one.load(0)
    one.fake.abort_next = 1_000
    with pytest.raises(ModelError, match="aborts every request"):
        one.engine.generate(REQUESTS[:1], SAMPLING)


def test_an_interrupt_while_sampling_is_not_held_up_by_a_server_that_hangs(bench):
    """The threads are daemons; the caller gets its exception at once."""
    one = bench(request_seconds=30.0)
    one.load(0)
    one.fake.hang["/inference/v1/generate"] = [8.0] * 4
    timer = threading.Timer(0.3, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        timer.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            one.engine.generate(REQUESTS, SAMPLING)
        assert time.monotonic() - began < 6.0
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


# ---------------------------------------------------------------------------------------------- what is stale


def stale(one: Bench, version: int, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        one.load(version)


@pytest.mark.parametrize("size", [0.01, 1e-6])
def test_an_update_that_was_skipped_is_found_even_after_one_tiny_step(bench, size):
    one = bench()
    one.load(0)
    one.learn(size)
    one.fake.skip_update = True
    stale(one, 1, "exactly what it did before .*skipped" if size == 0.01 else "are stale: after update 1")


def test_an_old_output_head_is_found(bench):
    one = bench()
    one.load(0)
    one.learn(1e-5)
    one.fake.keep_head = True
    stale(one, 1, "packed output head")


def test_a_part_that_did_not_arrive_is_found_and_named(bench):
    one = bench()
    one.load(0)
    one.learn()
    one.fake.lost_tensors = {"model.layers.1.mlp.up_proj.weight"}
    stale(one, 1, r"half updated: worker 0 did not receive 1 of \d+ tensors, such as model.layers.1.mlp.up_proj.weight")


def test_a_server_that_restarts_right_after_its_update_is_found_by_its_version(bench, monkeypatch):
    one = bench()
    one.load(0)
    one.learn()
    original = one.fake.post

    def post(path, query, body):
        answer = original(path, query, body)
        if path == "/resume":
            one.fake.restart()
        return answer

    monkeypatch.setattr(one.fake, "post", post)
    stale(one, 1, "names its weights 'default' .* restarted")


def test_two_runs_on_one_server_are_found(bench):
    one = bench()
    one.load(0)
    one.fake.version_names = {one.fake.version: "another-run:0"}
    with pytest.raises(ModelError, match="Another run has sent its weights 'another-run:0'"):
        one.engine.generate(REQUESTS, SAMPLING)


def test_weights_of_nan_are_no_fresh_weights(bench):
    one = bench()
    one.load(0)
    with torch.no_grad():
        one.model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"stale|NaN"):
        one.load(1)


# -------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("report", "says"),
    [
        ({"logprobs_mode": "raw_logprobs"}, "--logprobs-mode processed_logprobs"),
        ({"vocab_size": 151_936}, "vocabulary of 151,936 .* model of the recipe"),
        ({"max_model_len": 64}, "--max-model-len 201"),
        ({"protocol": 0}, "another release"),
    ],
)
def test_a_server_started_the_wrong_way_is_refused_with_the_flag_that_it_lacks(bench, monkeypatch, report, says):
    monkeypatch.setattr(FakeVllm, "reported", _with(FakeVllm.reported, report))
    with pytest.raises(ModelError, match=says):
        bench()


def _with(original, more):
    return lambda self: {**original(self), **more}


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/inference/v1/generate", 403, "--enable-scale-out"),
        ("/collective_rpc", 404, "VLLM_SERVER_DEV_MODE=1"),
        ("/resume", 401, "without an API key"),
    ],
)
def test_a_route_that_is_closed_says_how_to_open_it(bench, monkeypatch, path, status, says):
    original = FakeVllm.__init__

    def closed(self, model):
        original(self, model)
        self.fail[path] = [status]

    monkeypatch.setattr(FakeVllm, "__init__", closed)
    with pytest.raises(ModelError, match=says):
        bench()


def test_a_server_that_is_not_there_is_found_within_seconds():
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"http://127\.0\.0\.1:9, and .* no connection"):
        check_reachable(VllmEngineSettings(url="http://127.0.0.1:9"))
    assert time.monotonic() - began < 5


def test_a_model_of_another_shape_is_refused(bench, tokenizer):
    one = bench()
    other = random_model("qwen2", tokenizer, layers=3)
    with pytest.raises(ModelError, match=r"stale|did not reach"):
        one.engine.load_weights(SharedModel(other), 0)


def test_other_sources_of_weights_are_refused(bench, tmp_path):
    with pytest.raises(ModelError, match="WeightFolder"):
        bench().engine.load_weights(WeightFolder(tmp_path), 0)


def test_nccl_is_refused_without_a_gpu(tmp_path, policy):
    settings = VllmEngineSettings(url="http://127.0.0.1:9", weights="nccl")
    with pytest.raises(ModelError, match="nccl, which moves weights between GPUs, and the policy is on the cpu"):
        build_engine(settings, policy.model, frozenset({1}), 4, ServerNeeds(tmp_path, "m", None, 100, PROMPTS))


def test_the_trainers_side_of_the_probe_is_the_models_forward_pass(policy):
    probe = [((5, 9, 200), (31, 4)), ((7,), (8, 9, 10))]
    found = trainer_logprobs(policy.model, probe)
    expected = []
    for prompt, completion in probe:
        ids = torch.tensor([prompt + completion])
        with torch.no_grad():
            logprobs = torch.log_softmax(policy.model(ids).logits[0], -1)
        expected += [float(logprobs[at - 1, ids[0, at]]) for at in range(len(prompt), ids.shape[1])]
    assert found == pytest.approx(expected, abs=1e-5)
