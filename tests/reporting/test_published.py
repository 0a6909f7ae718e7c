"""The published record: what the reference says, its papers named, and a warning where protocols differ."""

import dataclasses
import json
from pathlib import Path

from frugalrl.evaluation.benchmarks import BENCHMARKS
from frugalrl.evaluation.looks import Look
from frugalrl.evaluation.results import ResultsHeader
from frugalrl.reporting.published import Own, differences, published, published_section
from frugalrl.reporting.run_page import run_page
from frugalrl.reporting.run_published import beside_published
from frugalrl.reporting.run_reader import read_run
from frugalrl.reporting.run_record import RunRecord
from frugalrl.statistics.intervals import Estimate

HEADER = ResultsHeader("aime24", "mine", None, "h", "p", "d", 0.6, 0.95, 32768, 0, "f", "1", "1", 2.0, 2, "v")
PAPER = Path(__file__).parents[2] / "src/frugalrl/assets/paper/open_rs.json"


def test_every_number_names_its_paper_and_a_benchmark_of_ours():
    assert len(published()) > 50
    assert {one.benchmark for one in published()} <= set(BENCHMARKS)
    assert all(0 < one.mean < 100 and one.protocol.paper[4] == "." for one in published())
    keys = [(one.model, one.benchmark, one.protocol.paper) for one in published()]
    assert len(set(keys)) == len(keys)


def test_the_papers_own_numbers_are_those_of_its_table():
    """Against the other file that was typed from the paper."""
    text = json.dumps(json.loads(PAPER.read_text(encoding="utf-8")))
    for one in published():
        if one.protocol.paper == "2503.16219":
            assert f"{one.mean}" in text, one


def test_a_difference_in_protocol_is_said():
    papers = {one.protocol.paper: one.protocol for one in published()}
    assert differences(HEADER, 1, papers["2503.16219"]) == []
    shorter = dataclasses.replace(HEADER, max_completion_tokens=4096)
    assert differences(shorter, 16, papers["2503.16219"]) == ["k 1, here 16", "max_tokens 32768, here 4096"]
    assert differences(HEADER, 16, papers["2504.07086"]) == ["k, temperature, top_p, max_tokens not known"]
    own = Own("mine", shorter, 16, Estimate(0.3, 0.2, 0.4))
    shown = published_section([own])
    assert "Open-RS3" in shown
    assert "arXiv 2504.07086: 29.7 % [25.1 %, 34.3 %]" in shown
    assert "mine, this page: 30.0 % [20.0 %, 40.0 %]" in shown
    assert "Protocols differ" in shown
    assert "max_tokens 32768, here 4096" in shown
    arithmetic = dataclasses.replace(HEADER, benchmark="arithmetic")
    assert published_section([dataclasses.replace(own, header=arithmetic)]) == ""


def test_a_run_that_evaluates_on_a_benchmark_stands_beside_the_papers(tmp_path):
    source = {"source": "bench/aime24.jsonl", "split": "train", "subset": None}
    score = {"test/avg_at_k": 0.25, "test/ci_low": 0.1, "test/ci_high": 0.4}
    better = {"test/avg_at_k": 0.35, "test/ci_low": 0.2, "test/ci_high": 0.5}
    look = Look("test", 0, 10, 16, "", "train", 0.0)
    asked = {"test": {"temperature": 0.6, "top_p": 0.95, "max_completion_tokens": 4096}}
    run = RunRecord(
        "mine", "", {"data": {"test": source}}, [], [(0, score), (50, better)], [], {}, [look], {}, [], [], asked
    )
    shown = beside_published([run])
    assert "this run, test, base, this page: 25.0 % [10.0 %, 40.0 %]" in shown
    assert "this run, test, step 50, this page: 35.0 % [20.0 %, 50.0 %]" in shown
    assert "Open-RS3" in shown
    assert "Protocols differ" in shown
    assert "max_tokens 32768, here 4096; 30 problems, here 10" in shown
    assert shown in run_page([run])
    own = dataclasses.replace(run, recipe={"data": {"test": {**source, "source": "mine.jsonl"}}})
    assert beside_published([own]) == beside_published([dataclasses.replace(run, asked={})]) == ""


def test_how_a_run_asked_is_read_from_its_evaluations(tmp_path):
    folder = tmp_path / "evaluations"
    folder.mkdir()
    (tmp_path / "recipe.yaml").write_text("{}")
    header = {"record": "header", "temperature": 0.6, "top_p": 1.0, "max_completion_tokens": 64}
    (folder / "test-step-000000.jsonl").write_text(json.dumps(header) + "\n{}\n")
    (folder / "validation-step-000000.jsonl").write_text("{torn")
    (folder / "guard-step-000000.jsonl").write_text("[]\n")
    assert read_run(tmp_path, "mine").asked == {"test": header}
