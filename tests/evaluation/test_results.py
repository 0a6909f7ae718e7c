"""The results file: appended only, resumed after a kill, and never mixed with another model's or prompt's."""

import dataclasses
import json

import pytest

from frugalrl.config.schema import EvaluationSettings, PromptSettings
from frugalrl.data.prompts import build_prompts
from frugalrl.errors import OutputError
from frugalrl.evaluation.records import SampleRecord, Subject
from frugalrl.evaluation.results import (
    ResultsHeader,
    ResultsWriter,
    read_results,
    refuse_other_results,
    results_path,
)
from frugalrl.evaluation.runner import evaluate, load_evaluation, run_benchmark, save_evaluation
from frugalrl.evaluation.scores import score
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.scripted_engine import ScriptedEngine
from frugalrl.types import Problem

HEADER = ResultsHeader("own", "tiny", None, "abc", "p1", "d1", 0.6, 0.95, 64, 0, "float32", "0.1.0", "0.9.0", 1.0)
SESSION = {"torch": "2.9.0", "device": "cpu"}
SAMPLING = SamplingParams(max_completion_tokens=64)


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
    with ResultsWriter(path, header, SESSION) as writer:
        run_benchmark(engine, tokenizer, prompts, writer, samples, SAMPLING, 0, 4, seen.append)
        return writer.samples, seen


def by_number(samples):
    return {(one.problem_id, one.sample): one for one in samples}


def test_a_sample_has_all_that_was_found_about_it(tmp_path, tokenizer, prompts):
    samples, _ = run(tmp_path / "own.jsonl", CountingEngine(tokenizer), tokenizer, prompts, 4)
    right = next(one for one in samples if one.problem_id == "p3" and one.finish_reason == "stop")
    assert (right.verdict, right.reason, right.extracted) == ("correct", "equal", "3")
    assert right.text.endswith("\\boxed{3}.")
    assert right.tokens < 64
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
    assert by_number(resumed) == by_number(straight)
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
    assert by_number(four) == by_number(at_once)
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
    repaired, _ = run(path, engine, tokenizer, prompts, 2)
    assert len(engine.seeds) == 1
    assert by_number(repaired) == by_number(whole)
    assert by_number(read_results(path).samples) == by_number(whole)


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
        ({"frugalrl": "0.2.0"}, r"judged by another verifier \(frugalrl 0.1.0, now 0.2.0\)"),
        ({"verifier_limit_seconds": 5.0}, r"another verifier \(verifier_limit_seconds 1.0, now 5.0\)"),
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
    sample = SampleRecord("p0", 0, 1, 5, "stop", "3", "correct", "equal", "text")
    with path.open("a") as file:
        file.writelines(json.dumps({"record": "sample", **dataclasses.asdict(sample)}) + "\n" for _ in range(2))
    with pytest.raises(OutputError, match="1 samples occur in it twice"):
        read_results(path)


def test_one_process_writes_at_a_time(tmp_path):
    path = tmp_path / "own.jsonl"
    with ResultsWriter(path, HEADER, SESSION), pytest.raises(OutputError, match="Another process is writing"):
        ResultsWriter(path, HEADER, SESSION)


OLD_SAMPLE = {
    "problem_id": "p0",
    "sample": 0,
    "verdict": "correct",
    "reason": "equal",
    "extracted": "3",
    "completion_tokens": 5,
    "truncated": False,
    "text": "text",
}
OLD_HEADER = {"record": "header", "benchmark": "own", "model": "tiny", "model_hash": "abc", "seed": 0}


@pytest.mark.parametrize("first", [OLD_SAMPLE, OLD_HEADER])
def test_a_file_of_an_older_version_is_one_clear_sentence(tmp_path, first):
    path = tmp_path / "validation-step-000000.jsonl"
    path.write_text(json.dumps(first) + "\n")
    with pytest.raises(OutputError, match=r"older version of frugalrl .* Evaluate the model again") as caught:
        read_results(path)
    assert "\n" not in str(caught.value)


def test_an_evaluation_in_training_is_the_same_file_and_comes_back(tmp_path, tokenizer, prompts):
    """A header, a session, samples: what `eval` writes, all at once, and twice the same bytes."""
    settings = EvaluationSettings(samples_per_problem=2, temperature=0.6, top_p=0.95, max_completion_tokens=64)
    subject = Subject("validation", "tiny", 50, "abc", "p1", "float32", "cpu")
    evaluation = evaluate(CountingEngine(tokenizer), tokenizer, prompts, settings, 64)
    path = tmp_path / "validation-step-000050.jsonl"
    save_evaluation(evaluation, path, subject)
    assert load_evaluation(prompts, path) == evaluation
    found = read_results(path)
    assert (found.header.step, found.header.top_p, found.header.verifier_limit_seconds) == (50, 0.95, 2.0)
    drawn, _ = run(tmp_path / "own.jsonl", CountingEngine(tokenizer), tokenizer, prompts, 2)
    assert by_number(found.samples) == by_number(drawn)
    before = path.read_bytes()
    save_evaluation(evaluate(CountingEngine(tokenizer), tokenizer, prompts, settings, 64), path, subject)
    assert path.read_bytes() == before


def test_an_evaluation_of_other_problems_is_refused(tmp_path, tokenizer, prompts):
    settings = EvaluationSettings(samples_per_problem=1, max_completion_tokens=64)
    path = tmp_path / "validation-step-000050.jsonl"
    subject = Subject("validation", "tiny", 50, "abc", "p1", "float32", "cpu")
    save_evaluation(evaluate(CountingEngine(tokenizer), tokenizer, prompts[:3], settings, 64), path, subject)
    with pytest.raises(OutputError, match="lacks some of the recipe's problems"):
        load_evaluation(prompts, path)
    with pytest.raises(OutputError, match="holds other problems"):
        load_evaluation(prompts[1:], path)
