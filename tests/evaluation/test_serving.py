"""A model behind a server: the same file as in process, retries, refusals, resumption, cost, and every mistake."""

import json
import threading

import pytest

import frugalrl
from frugalrl.api_serving import Server
from frugalrl.cli import main
from frugalrl.clients.texts import ServerSettings
from frugalrl.config.schema import ModelSettings
from frugalrl.errors import DataError, ModelError, OutputError
from frugalrl.evaluation.results import read_results
from frugalrl.evaluation.serving import prices
from frugalrl.evaluation.text_server import Asked, TextServer
from frugalrl.rollout.engine import SamplingParams
from frugalrl.training.model.policy import load_policy
from tests.conftest import write_jsonl
from tests.fake_texts import Completion, Status, text_server
from tests.rollout.fake_vllm import fake_server as fake_vllm

SAMPLING = SamplingParams(max_completion_tokens=64, temperature=0.6, top_p=0.95)


@pytest.fixture(autouse=True)
def bench(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    rows = [{"id": f"p{n}", "problem": f"What is {n} + 1?", "answer": str(n + 1), "level": n % 2} for n in range(6)]
    return write_jsonl(tmp_path / "sums.jsonl", rows)


def adds(asked, number):
    """Right answers to what is asked, whatever the api; every second one with reasoning beside the answer."""
    value = int(asked.split("What is ")[1].split(" +")[0]) + 1
    return Completion(f"It is \\boxed{{{value}}}.", reasoning="Let me add." if number % 2 else "")


class NoTime:
    """A clock that never waits, and notes what it was asked to."""

    def __init__(self):
        self.waited = []

    def now(self):
        return 1_000.0

    def wait(self, seconds, stopped):
        self.waited.append(seconds)
        return stopped.is_set()


def test_a_chat_server_is_evaluated_as_a_model_in_process_is(bench, tmp_path):
    lines = []
    with text_server(adds, context=4096, seconds=0.005) as (url, asked):
        server = Server(url, usd_per_million=(1.0, 2.0))
        found = frugalrl.evaluate("tiny", str(bench), k=3, max_sequences=4, server=server, show=lines.append)
    assert found.summary["sums"].accuracy.value == 1.0
    results = read_results(tmp_path / "evaluations" / "tiny" / "sums.jsonl")
    assert len(results.samples) == 18
    assert (results.header.asked_through, results.header.dtype, results.header.max_completion_tokens) == (
        "chat", "served", 2048,
    )  # fmt: skip
    assert results.sessions[0]["device"] == url
    assert any(one.text.startswith("<think>Let me add.</think>It is") for one in results.samples)
    assert {one.tokens for one in results.samples} == {7}
    assert len({body["seed"] for body in asked.bodies}) == 18
    assert 1 < asked.most <= 4
    assert all("Authorization" not in one for one in asked.headers)
    assert lines[0].startswith("18 samples of tiny: at most 36,864 tokens, $0.07")
    assert any(line == "  sums: 18 requests, 198 tokens in, 126 out, $0.00045" for line in lines)
    assert found.page.is_file()


def test_a_completions_server_gets_the_prompt_that_the_model_would_see(bench, monkeypatch, model_folder):
    monkeypatch.setenv("MY_KEY", "secret")
    with text_server(adds, context=4096) as (url, asked):
        server = Server(url, api="completions", tokenizer=str(model_folder), api_key_env="MY_KEY")
        frugalrl.evaluate("tiny", str(bench), k=1, server=server)
    assert set(asked.paths) == {"/v1/completions"}
    assert {one["Authorization"] for one in asked.headers} == {"Bearer secret"}
    (header,) = {read_results(bench.parent / "evaluations/tiny/sums.jsonl").header.prompt_hash}
    local = frugalrl.evaluate(str(model_folder), str(bench), k=1, max_tokens=4, device="cpu", out="local")
    assert read_results(local.folder / "sums.jsonl").header.prompt_hash == header
    assert "secret" not in (bench.parent / "evaluations/tiny/sums.jsonl").read_text()


@pytest.fixture
def rolls_out(model_folder):
    """A vLLM server that rolls out for training, and the folder of its model."""
    with fake_vllm(load_policy(ModelSettings(path=str(model_folder))).model) as (url, fake):
        yield f"{url}/v1", fake, str(model_folder)


def test_a_server_that_rolls_out_for_training_gives_the_samples_of_its_model_in_process(bench, rolls_out):
    """The fake draws as the torch engine does, from the same token ids by the same seeds."""
    url, fake, model = rolls_out
    server = Server(url, api="tokens", tokenizer=model)
    frugalrl.evaluate("tiny", str(bench), k=2, max_tokens=12, server=server)
    frugalrl.evaluate(model, str(bench), k=2, max_tokens=12, device="cpu", out="local")
    served, local = (read_results(bench.parent / place / "sums.jsonl") for place in ("evaluations/tiny", "local"))
    assert served.header.prompt_hash == local.header.prompt_hash
    found = [sorted((one.problem_id, one.sample, one.seed, one.text, one.tokens) for one in each.samples)
             for each in (served, local)]  # fmt: skip
    assert found[0] == found[1]
    assert "/inference/v1/generate" in fake.asked


@pytest.mark.parametrize("fault", ["weights", "versions", "lost"])
def test_what_a_server_that_rolls_out_may_do_meanwhile_is_noticed(bench, rolls_out, fault):
    url, fake, model = rolls_out
    original, number = fake.generate, 0

    def generate(body):
        nonlocal number
        number += 1
        fake.version = "run:2" if fault == "weights" and number > 4 else "run:1"
        fake.abort_next = int(fault == "lost" and number == 3)
        status, reply = original(body)
        if fault == "versions":
            del reply["choices"][0]["weight_versions"]
        return status, reply

    fake.generate = generate
    server = Server(url, api="tokens", tokenizer=model)
    if fault == "lost":
        frugalrl.evaluate("tiny", str(bench), k=1, max_tokens=4, max_sequences=1, server=server)
        assert number == 7  # what was aborted is sampled again
        return
    says = {"weights": r"weights changed from 'run:1' to 'run:2'.*resumes", "versions": "no weight versions"}[fault]
    with pytest.raises(ModelError, match=says):
        frugalrl.evaluate("tiny", str(bench), k=1, max_tokens=4, max_sequences=1, server=server)


def test_what_was_finished_before_a_fault_is_kept_and_not_asked_again(bench):
    def breaks(asked, number):
        return adds(asked, number) if number < 17 else Status(401)

    with (
        text_server(breaks, context=4096) as (url, _),
        pytest.raises(ModelError, match=r"401.*the same command resumes"),
    ):
        frugalrl.evaluate("tiny", str(bench), k=3, max_sequences=1, server=url)
    kept = read_results(bench.parent / "evaluations/tiny/sums.jsonl").samples
    assert len(kept) == 17
    with text_server(adds, context=4096) as (url, asked):
        frugalrl.evaluate("tiny", str(bench), k=3, server=url)
    assert len(asked.bodies) == 1
    assert read_results(bench.parent / "evaluations/tiny/sums.jsonl").samples[:17] == kept


def drawn(server, count=3):
    wanted = [Asked(at, ({"role": "user", "content": f"What is {at} + 1?"},), at) for at in range(count)]
    return sorted(server.replies(wanted, SAMPLING), key=lambda one: one.place)


def test_transient_faults_are_retried_and_a_servers_wish_is_respected():
    faults = [Status(429, {"Retry-After": "7"}), Status(503), Status(500)]

    def moody(asked, number):
        return faults[number] if number < 3 else adds(asked, number)

    clock = NoTime()
    with text_server(moody, context=4096) as (url, asked):
        replies = drawn(TextServer(ServerSettings(url, "tiny", concurrency=1), clock=clock))
    assert replies[2].text.endswith("It is \\boxed{3}.")
    assert len(asked.bodies) == 6
    assert 7.0 <= clock.waited[0] <= 7.7
    assert max(clock.waited) <= 7.7
    assert sum(0.5 <= seconds <= 4 for seconds in clock.waited) == 2


def test_a_request_that_never_succeeds_ends_the_evaluation():
    with text_server(lambda asked, number: Status(503), context=4096) as (url, asked):
        server = TextServer(ServerSettings(url, "tiny", concurrency=1, retries=2), clock=NoTime())
        with pytest.raises(ModelError, match=r"did not answer in 3 attempts; the last time it said 503: .*as told"):
            drawn(server)
    assert len(asked.bodies) == 3


def test_a_refused_problem_is_a_sample_without_an_answer_and_a_server_that_refuses_all_is_an_error(bench):
    def strict(asked, number):
        return Status(400) if "What is 3" in asked else adds(asked, number)

    with text_server(strict, context=4096) as (url, _):
        frugalrl.evaluate("tiny", str(bench), k=1, server=url, max_sequences=1)
    samples = read_results(bench.parent / "evaluations/tiny/sums.jsonl").samples
    assert [(one.verdict, one.reason) for one in samples if one.problem_id == "p3"] == [("incorrect", "refused")]
    assert sum(one.is_correct for one in samples) == 5
    with (
        text_server(lambda asked, number: Status(400), context=4096) as (url, _),
        pytest.raises(ModelError, match="refuses every"),
    ):
        frugalrl.evaluate("tiny", str(bench), k=1, server=url, out="other")


def test_truncated_reasoning_has_no_answer(bench):
    def cut(asked, number):
        return Completion("maybe \\boxed{1}", "length")

    with text_server(cut, context=4096) as (url, _):
        frugalrl.evaluate("tiny", str(bench), k=1, server=Server(url, reasoning_open=True))
    samples = read_results(bench.parent / "evaluations/tiny/sums.jsonl").samples
    assert {(one.reason, one.finish_reason) for one in samples} == {("unclosed_reasoning", "length")}
    with text_server(adds, context=4096) as (url, _), pytest.raises(OutputError, match="another prompt"):
        frugalrl.evaluate("tiny", str(bench), k=1, server=url)


@pytest.mark.parametrize(
    ("server", "error", "says"),
    [
        ("localhost:8000", DataError, "is none"),
        (Server("http://127.0.0.1:9/v1", api="completions"), DataError, "needs a tokenizer"),
        ("http://127.0.0.1:9/v1", ModelError, "no connection"),
    ],
)
def test_mistakes_are_said_in_one_message(bench, monkeypatch, server, error, says):
    monkeypatch.setattr("frugalrl.clients.texts.SystemClock", NoTime)
    with pytest.raises(error, match=says):
        frugalrl.evaluate("tiny", str(bench), server=server)


def test_a_model_that_the_server_does_not_have_is_named(bench):
    with (
        text_server(adds, context=4096) as (url, _),
        pytest.raises(ModelError, match=r"has no model 'huge'\. It has tiny"),
    ):
        frugalrl.evaluate("huge", str(bench), server=url)


def test_stopping_leaves_no_thread_behind():
    before = threading.active_count()
    with text_server(adds, context=4096, seconds=0.005) as (url, asked):
        replies = TextServer(ServerSettings(url, "tiny", concurrency=2)).replies(
            [Asked(at, ({"role": "user", "content": "What is 1 + 1?"},), at) for at in range(200)], SAMPLING
        )
        next(replies)
        replies.close()
        assert len(asked.bodies) < 100
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.daemon and "Thread-" in thread.name:
            thread.join(timeout=5)
    assert threading.active_count() <= before


def test_the_command_evaluates_several_models_of_a_server(bench, capsys):
    with text_server(adds) as (url, _):
        options = ["--bench", str(bench), "--k", "1", "--url", url, "--usd-per-million", "0.15,0.6"]
        assert main(["eval", "one", "two", *options]) == 0
        out = capsys.readouterr().out
        assert "Next: frugalrl compare evaluations/one evaluations/two" in out
        assert main(["eval", "one", "two", *options, "--out", "x"]) == 2
    assert prices("0.15,0.6") == (0.15, 0.6)
    with pytest.raises(DataError, match="not two numbers"):
        prices("cheap")
    header = json.loads((bench.parent / "evaluations/one/sums.jsonl").read_text().splitlines()[0])
    assert header["max_completion_tokens"] == 32768
