"""The published record: what the reference says, its papers named, and a warning where protocols differ."""

import dataclasses
import json
from pathlib import Path

from frugalrl.evaluation.benchmarks import BENCHMARKS
from frugalrl.evaluation.results import ResultsHeader
from frugalrl.reporting.published import Own, differences, published, published_section
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
