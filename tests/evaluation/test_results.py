"""The results file: appended only, resumed after a kill, and never mixed with another model's or prompt's."""

import dataclasses
import json

import pytest

from frugalrl.config.schema import PromptSettings
from frugalrl.data.prompts import build_prompts
from frugalrl.errors import OutputError
from frugalrl.evaluation.benchmark_run import run_benchmark, score
from frugalrl.evaluation.benchmarks import Golds
from frugalrl.evaluation.results import (
    ResultsHeader,
    ResultsWriter,
    SampleResult,
    read_results,
    refuse_other_results,
    results_path,
)
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.scripted_engine import ScriptedEngine
from frugalrl.types import Problem
from frugalrl.verify.workers.pool import VerifierPool

HEADER = ResultsHeader("own", "tiny", "abc", "p1", "d1", 0.6, 0.95, 64, 0, "float32")
SESSION = {"frugalrl": "0.1.0", "device": "cpu"}
SAMPLING = SamplingParams(max_completion_tokens=64)
GOLDS = {f"p{number}": Golds((str(number),)) for number in range(6)}


@pytest.fixture
def prompts(tokenizer):
    problems = [Problem(id=f"p{number}", text=f"Say {number}", gold=str(number)) for number in range(6)]
    return build_prompts(tokenizer, problems, PromptSettings(), max_prompt_tokens=512)


class CountingEngine(ScriptedEngine):
    """Answers 3 whatever is asked, or for an odd seed never ends; notes each seed; dies when told to."""

    def __init__(self, tokenizer, dies_after=None):
        answer = (*tokenizer("So 3.</think> The answer is \\boxed{3}.")["input_ids"], tokenizer.eos_token_id)
        super().__init__(lambda prompt, seed: answer if seed % 2 == 0 else answer * 20)
        self.seeds = []
        self.calls_left = dies_after

    def generate(self, requests, sampling):
        if self.calls_left == 0:
            raise KeyboardInterrupt
        if self.calls_left is not None:
            self.calls_left -= 1
        self.seeds += [seed for request in requests for seed in request.seeds]
        return super().generate(requests, sampling)


def run(path, engine, tokenizer, prompts, samples, header=HEADER):
    seen = []
    with ResultsWriter(path, header, SESSION) as writer, VerifierPool() as pool:
        run_benchmark(engine, tokenizer, pool, prompts, GOLDS, writer, samples, SAMPLING, 0, 4, seen.append)
        return writer.samples, seen


def untimed(samples):
    return {(one.problem_id, one.sample): dataclasses.replace(one, seconds=0.0) for one in samples}


def test_a_sample_has_all_that_was_found_about_it(tmp_path, tokenizer, prompts):
    samples, _ = run(tmp_path / "own.jsonl", CountingEngine(tokenizer), tokenizer, prompts, 4)
    right = next(one for one in samples if one.problem_id == "p3" and one.finish_reason == "stop")
    assert (right.verdict, right.reason, right.extracted) == ("correct", "equal", "3")
    assert right.text.endswith("\\boxed{3}.")
    assert right.tokens < 64
    assert right.seconds >= 0
    cut = next(one for one in samples if one.finish_reason == "length")
    assert cut.tokens == 64


def test_a_killed_evaluation_goes_on_without_repeating_a_sample(tmp_path, tokenizer, prompts):
    straight, _ = run(tmp_path / "a.jsonl", CountingEngine(tokenizer), tokenizer, prompts, 2)
    path = tmp_path / "b.jsonl"
    first = CountingEngine(tokenizer, dies_after=2)
    with pytest.raises(KeyboardInterrupt):
        run(path, first, tokenizer, prompts, 2)
    assert len(read_results(path).samples) == 8  # two chunks of two problems, two samples each
    second = CountingEngine(tokenizer)
    resumed, seen = run(path, second, tokenizer, prompts, 2)
    assert set(first.seeds).isdisjoint(second.seeds)
    assert len(first.seeds) + len(second.seeds) == 12
    assert untimed(resumed) == untimed(straight)
    assert [(one.done, one.total) for one in seen] == [(12, 12)]


def test_more_samples_only_add(tmp_path, tokenizer, prompts):
    path = tmp_path / "own.jsonl"
    two, _ = run(path, CountingEngine(tokenizer), tokenizer, prompts, 2)
    before = path.read_bytes()
    engine = CountingEngine(tokenizer)
    four, _ = run(path, engine, tokenizer, prompts, 4)
    assert path.read_bytes().startswith(before)
    assert len(engine.seeds) == 12
    at_once, _ = run(tmp_path / "once.jsonl", CountingEngine(tokenizer), tokenizer, prompts, 4)
    assert untimed(four) == untimed(at_once)
    assert score(prompts, four, 2) == score(prompts, two, 2)


def test_nothing_is_sampled_where_nothing_lacks(tmp_path, tokenizer, prompts):
    path = tmp_path / "own.jsonl"
    run(path, CountingEngine(tokenizer), tokenizer, prompts, 2)
    engine = CountingEngine(tokenizer)
    samples, seen = run(path, engine, tokenizer, prompts, 1)
    assert (engine.seeds, seen, len(samples)) == ([], [], 12)


def test_a_torn_last_line_is_cut_off_and_its_sample_drawn_again(tmp_path, tokenizer, prompts):
    path = tmp_path / "own.jsonl"
    whole, _ = run(path, CountingEngine(tokenizer), tokenizer, prompts, 2)
    path.write_bytes(path.read_bytes()[:-40])
    assert len(read_results(path).samples) == 11
    engine = CountingEngine(tokenizer)
    mended, _ = run(path, engine, tokenizer, prompts, 2)
    assert len(engine.seeds) == 1
    assert untimed(mended) == untimed(whole)
    assert untimed(read_results(path).samples) == untimed(whole)


def test_truncated_and_unknown_samples_are_counted_and_unknown_is_not_correct(tmp_path, tokenizer, prompts):
    samples, _ = run(tmp_path / "own.jsonl", CountingEngine(tokenizer), tokenizer, prompts, 8)
    result = score(prompts, samples, 8)
    cut = sum(one.finish_reason == "length" for one in samples)
    assert 0 < cut < 48
    assert result.truncated_fraction == cut / 48
    assert result.accuracy.value <= 1 / 6
    unknown = [dataclasses.replace(one, verdict="unknown") for one in samples]
    assert (score(prompts, unknown, 8).unknown, score(prompts, unknown, 8).accuracy.value) == (48, 0.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_hash": "xyz"}, "another model"),
        ({"prompt_hash": "p2"}, "another prompt"),
        ({"data_hash": "d2"}, "other problems or golds"),
        ({"temperature": 1.0}, r"another temperature \(0.6, now 1.0\)"),
        ({"seed": 1}, r"another seed \(0, now 1\)"),
    ],
)
def test_results_of_something_else_are_refused_and_left_as_they_are(tmp_path, change, says):
    path = tmp_path / "own.jsonl"
    ResultsWriter(path, HEADER, SESSION).close()
    before = path.read_bytes()
    with pytest.raises(OutputError, match=says):
        ResultsWriter(path, dataclasses.replace(HEADER, **change), SESSION)
    assert path.read_bytes() == before


def test_a_folder_is_one_models_but_its_name_does_not_matter(tmp_path):
    amc23 = dataclasses.replace(HEADER, benchmark="amc23")
    ResultsWriter(results_path(tmp_path, "amc23"), amc23, SESSION).close()
    refuse_other_results(tmp_path, dataclasses.replace(HEADER, benchmark="own", model="moved/tiny"))
    with pytest.raises(OutputError, match=r"amc23.jsonl holds results of another model \(tiny in float32"):
        refuse_other_results(tmp_path, dataclasses.replace(HEADER, model_hash="xyz"))
    with pytest.raises(OutputError, match=r"amc23.jsonl holds results with another prompt"):
        refuse_other_results(tmp_path, dataclasses.replace(HEADER, benchmark="amc23", prompt_hash="p2"))


@pytest.mark.parametrize("content", ["my notes\n", '{"problem": "1+1?"}\n', '[1]\n{"record": "session"}\n'])
def test_a_file_that_is_no_results_file_is_not_written_to(tmp_path, content):
    path = tmp_path / "own.jsonl"
    path.write_text(content)
    with pytest.raises(OutputError, match="no readable results file"):
        ResultsWriter(path, HEADER, SESSION)
    assert path.read_text() == content


def test_a_sample_that_stands_twice_is_an_error(tmp_path):
    path = tmp_path / "own.jsonl"
    ResultsWriter(path, HEADER, SESSION).close()
    sample = SampleResult("p0", 0, 1, 5, "stop", "3", "correct", "equal", 0.1, "text")
    with path.open("a") as file:
        file.writelines(json.dumps({"record": "sample", **dataclasses.asdict(sample)}) + "\n" for _ in range(2))
    with pytest.raises(OutputError, match="1 samples stand in it twice"):
        read_results(path)


def test_one_process_writes_at_a_time(tmp_path):
    path = tmp_path / "own.jsonl"
    with ResultsWriter(path, HEADER, SESSION), pytest.raises(OutputError, match="Another process is writing"):
        ResultsWriter(path, HEADER, SESSION)
