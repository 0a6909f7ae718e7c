"""The table of benchmarks: how golds are read, and that every gold of the real ones can be."""

import re

import pytest

from frugalrl.config.schema import ProblemSource
from frugalrl.errors import DataError
from frugalrl.evaluation import benchmark_loading
from frugalrl.evaluation.benchmark_loading import load_benchmark
from frugalrl.evaluation.benchmarks import (
    BENCHMARKS,
    OPEN_RS_TEMPLATE,
    PRESETS,
    benchmark_in,
    benchmark_named,
    preset_named,
)
from frugalrl.tasks.loading import load_problems
from frugalrl.verify.workers.pool import AnswerItem
from tests.conftest import write_jsonl

FIVE = ("aime24", "math500", "amc23", "minerva", "olympiadbench")


def test_the_open_rs_preset_is_the_published_one():
    preset = preset_named("open-rs")
    assert (preset.temperature, preset.top_p, preset.max_completion_tokens) == (0.6, 0.95, 32768)
    assert preset.template.startswith("Solve the following math problem efficiently and clearly.  The last line")
    assert "'Therefore, the final answer is: $\\boxed{ANSWER}$. I hope it is correct'" in OPEN_RS_TEMPLATE
    assert all("{problem}" in one.template for one in (*PRESETS.values(), *BENCHMARKS.values()))


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(DataError, match=r"There is no benchmark 'math50'. Did you mean math500\?"):
        benchmark_named("math50")
    with pytest.raises(DataError, match=r"Did you mean aime24\?"):
        benchmark_named("AIME_24")
    with pytest.raises(DataError, match=r"no preset 'openrs'\. Use open-rs"):
        preset_named("openrs")


def test_without_a_local_file_the_hub_is_asked(monkeypatch, tmp_path):
    asked = []

    def load_problems(source, advice):
        asked.append(source)
        raise DataError("asked")

    monkeypatch.setattr(benchmark_loading, "load_problems", load_problems)
    for name in ("aime25", "gsm8k", "olympiadbench"):
        with pytest.raises(DataError, match="asked"):
            load_benchmark(name, tmp_path)
    assert [(one.source, one.subset, one.split, one.problem_field) for one in asked] == [
        ("yentinglin/aime_2025", None, "train", "problem"),
        ("openai/gsm8k", "main", "test", "question"),
        ("knoveleng/OlympiadBench", None, "train", "question"),
    ]


def test_a_file_of_ones_own_is_a_benchmark(tmp_path):
    path = write_jsonl(tmp_path / "own.jsonl", [{"problem": "1+1?", "answer": "2"}])
    loaded = load_benchmark(str(path), None)
    assert (loaded.name, loaded.problems[0].text, loaded.problems[0].accepted) == ("own", "1+1?", ("2",))


def test_a_damaged_benchmark_is_refused(tmp_path):
    (tmp_path / "bench").mkdir()
    write_jsonl(tmp_path / "bench" / "amc23.jsonl", [{"problem": "1+1?", "answer": "2"}])
    with pytest.raises(DataError, match="holds 1 problems, not the 40 of amc23"):
        load_benchmark("amc23", tmp_path)
    path = write_jsonl(tmp_path / "own.jsonl", [{"problem": "1+1?"}])
    with pytest.raises(DataError, match=r"1 rows have no gold answer, the first at .*own.jsonl, line 1"):
        load_benchmark(str(path), None)


@pytest.mark.parametrize("row", [{"problem": "1+1?"}, {"text": "1+1?", "answer": "2"}])
def test_a_file_without_a_recipe_gets_no_advice_to_set_a_recipes_keys(tmp_path, row):
    path = write_jsonl(tmp_path / "own.jsonl", [row])
    with pytest.raises(DataError) as caught:
        load_benchmark(str(path), None)
    assert not re.search("_field|skip_without_gold", str(caught.value))
    with pytest.raises(DataError, match="_field"):
        load_problems(ProblemSource(source=str(path)))


@pytest.mark.parametrize("name", [*FIVE, "gsm8k"])
def test_every_gold_verifies_against_itself_and_rejects_a_wrong_answer(shared_data, patient_pool, name):
    loaded = load_benchmark(name, shared_data)
    assert len(loaded.problems) == BENCHMARKS[name].size
    problems = loaded.problems
    own = patient_pool.judge_many(AnswerItem(f"\\boxed{{{one.gold}}}", one.accepted) for one in problems)
    assert [one.id for one, verdict in zip(problems, own, strict=True) if verdict.label != "correct"] == []
    wrong = patient_pool.judge_many(AnswerItem("\\boxed{123454321}", one.accepted) for one in problems)
    assert [one.id for one, verdict in zip(problems, wrong, strict=True) if verdict.label != "incorrect"] == []


@pytest.mark.parametrize(
    ("source", "split", "subset", "name"),
    [
        ("HuggingFaceH4/MATH-500", "test", None, "math500"),
        ("../shared/data/bench/aime24.jsonl", "train", None, "aime24"),
        ("olympiadbench.jsonl.gz", "train", None, "olympiadbench"),
        ("openai/gsm8k", "test", "main", "gsm8k"),
        ("openai/gsm8k", "train", "main", None),
        ("arithmetic", "test", None, "arithmetic"),
        ("arithmetic", "validation", None, None),
        ("my/data.jsonl", "test", None, None),
    ],
)
def test_a_data_source_that_is_a_benchmark_is_recognised(source, split, subset, name):
    assert benchmark_in(source, split, subset) == name
