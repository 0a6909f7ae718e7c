"""The table of benchmarks: how golds are read, and that every gold of the real ones can be."""

from fractions import Fraction

import pytest

from frugalrl.errors import DataError
from frugalrl.evaluation import benchmark_loading
from frugalrl.evaluation.benchmark_loading import load_benchmark
from frugalrl.evaluation.benchmarks import (
    BENCHMARKS,
    OPEN_RS_TEMPLATE,
    PRESETS,
    UNREADABLE_GOLDS,
    Golds,
    benchmark_in,
    benchmark_named,
    golds_of,
    is_within_tolerance,
    preset_named,
)
from frugalrl.verify.workers.pool import AnswerItem, VerifierPool
from tests.conftest import write_jsonl

FIVE = ("aime24", "math500", "amc23", "minerva", "olympiadbench")


def test_a_zero_padded_integer_is_the_integer():
    assert golds_of("integer", "025", {}).accepted == ("25",)
    assert golds_of("integer", "000", {}).accepted == ("0",)
    assert golds_of("latex", "025", {}).accepted == ("025",)


def test_a_unit_may_be_written_or_left_away(patient_pool: VerifierPool):
    golds = golds_of("latex", "4.2", {"unit": "%", "error": "1e-1"})
    assert golds.accepted == ("4.2", "4.2 \\%")
    boxed = [AnswerItem(f"\\boxed{{{answer}}}", golds.accepted) for answer in ("4.2", "4.2\\%", "4.9", "42")]
    assert [one.label for one in patient_pool.judge_many(boxed)] == ["correct", "correct", "incorrect", "incorrect"]


def test_a_stated_tolerance_is_kept_to_exactly():
    golds = Golds(("4.2",), Fraction(1, 10))
    assert [is_within_tolerance(answer, golds) for answer in ("4.3", "4.1", "4.2\\%", "4.31", "x", "4^{4^{4^4}}")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
    assert not is_within_tolerance("4.2", Golds(("4.2",)))
    assert golds_of("latex", "1", {"error": None}).tolerance is None
    assert golds_of("latex", "1", {"error": "some"}).tolerance is None


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("np.arcsin(10/13)", "\\arcsin(10/13)"),
        ("4.4677", "4.4677 \\times 10^{14}"),
        ("(t + \\frac{1}{2} \\sin{2t}) u(t)", "(t - \\frac{1}{2}\\sin(2t))u(t)"),
        ("\\frac{e^{2 i t}}{(2+2 i)}", "\\frac{e^{2it}}{2+2i}"),
        ("$t(0,4]$", "0 < t \\le 4"),
    ],
)
def test_what_a_published_gold_misses_is_accepted_beside_it(patient_pool: VerifierPool, gold, answer):
    accepted = golds_of("latex", gold, {}).accepted
    assert accepted[0] == gold
    assert patient_pool.judge(AnswerItem(f"\\boxed{{{answer}}}", accepted)).label == "correct"


def test_answers_that_are_right_together_must_all_be_given(patient_pool: VerifierPool):
    accepted = golds_of("latex", "$1$,$3$", {"answers": ["$1$,$3$"], "is_multiple_answer": True}).accepted
    items = [AnswerItem(f"\\boxed{{{answer}}}", accepted) for answer in ("3, 1", "1", "1, 3, 5")]
    assert [one.label for one in patient_pool.judge_many(items)] == ["correct", "incorrect", "incorrect"]


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

    def load_problems(source):
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
    assert (loaded.name, loaded.problems[0].text, loaded.golds["own.jsonl-0"].accepted) == ("own", "1+1?", ("2",))


def test_a_damaged_benchmark_is_refused(tmp_path):
    (tmp_path / "bench").mkdir()
    write_jsonl(tmp_path / "bench" / "amc23.jsonl", [{"problem": "1+1?", "answer": "2"}])
    with pytest.raises(DataError, match="holds 1 problems, not the 40 of amc23"):
        load_benchmark("amc23", tmp_path)
    path = write_jsonl(tmp_path / "own.jsonl", [{"problem": "1+1?"}])
    with pytest.raises(DataError, match=r"1 rows have no gold answer, the first at .*own.jsonl, line 1"):
        load_benchmark(str(path), None)


@pytest.mark.parametrize("name", [*FIVE, "gsm8k"])
def test_every_gold_verifies_against_itself_and_rejects_a_wrong_answer(shared_data, patient_pool, name):
    loaded = load_benchmark(name, shared_data)
    assert len(loaded.problems) == BENCHMARKS[name].size
    golds = list(loaded.golds.items())
    own = patient_pool.judge_many(AnswerItem(f"\\boxed{{{one.accepted[0]}}}", one.accepted) for _, one in golds)
    assert [key for (key, _), verdict in zip(golds, own, strict=True) if verdict.label != "correct"] == []
    wrong = patient_pool.judge_many(AnswerItem("\\boxed{123454321}", one.accepted) for _, one in golds)
    unread = {key for (key, _), verdict in zip(golds, wrong, strict=True) if verdict.label != "incorrect"}
    assert unread == {key for key in UNREADABLE_GOLDS if key in loaded.golds}


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
