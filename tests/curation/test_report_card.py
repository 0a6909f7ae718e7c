"""The report card of a curation: what must not be overlooked stands in it, and nothing escapes its escaping."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from frugalrl.curation.pipeline import curate
from frugalrl.curation.report_card import curation_card, curation_page, differences, funnel, warnings
from frugalrl.curation.sampling_facts import SampleCounts, SamplingFacts
from frugalrl.curation.workspace import open_workspace
from frugalrl.reporting import page_assets
from frugalrl.reporting.bars import funnel_bars, grouped_bars
from tests.curation.pools import pool_rows, spec_of, write_pool


@pytest.fixture
def report(tmp_path: Path):
    rows = pool_rows(20)
    rows[3] = {**rows[3], "answer": "", "problem": "How many <b>pens</b> ``` are there & why?", "source": "a|b<i>"}
    bands = [{"name": "easy", "low": 1, "high": 2}, {"name": "hard", "low": 3, "high": 5}]
    spec = spec_of(
        write_pool(tmp_path / "pool.jsonl", rows),
        {"step": "gold_parses", "expected": 31323, "note": "another pool"},
        {"step": "judge", "solver": "s", "skip": "no model at hand"},
        {"step": "difficulty", "column": "level", "bands": bands},
        {
            "step": "mix",
            "allow_short": True,
            "quotas": [{"count": 100, "bands": ["hard"]}, {"count": 4, "bands": ["easy"]}],
        },
        solvers={"s": {"kind": "engine"}},
    )
    with open_workspace(spec, tmp_path / "out", resume=False) as workspace:
        return curate(spec, workspace, lambda line: None)


def test_what_must_not_be_overlooked_stands_first(report):
    first, second = warnings(report)
    assert first == "Step judge was SKIPPED: no model at hand"
    assert second.startswith("mix: Quota 1 asks for 100 of band hard, and there are 11")
    assert differences(report) == ["gold_parses: another pool"]
    page, card = curation_page(report), curation_card(report)
    assert page.index("SKIPPED") < page.index("<h2>Funnel")
    assert card.index("SKIPPED") < card.index("## Funnel")


def test_counts_stand_beside_the_published_ones(report):
    assert funnel(report) == [
        ("pools", 20),
        ("gold_parses", 19),
        ("judge (skipped)", 19),
        ("difficulty", 19),
        ("mix", 15),
    ]
    assert "| gold\\_parses | 1 | 19 | 31,323 | missing 1 |" in curation_card(report)
    assert re.search(r"gold_parses</th><td[^>]*>1</td><td[^>]*>19</td><td[^>]*>31,323</td>", curation_page(report))


def test_texts_of_a_pool_are_only_text(report):
    page, card = curation_page(report), curation_card(report)
    assert "&lt;b&gt;pens&lt;/b&gt;" in page
    assert "<b>pens" not in page
    assert "a|b<i>" not in card.replace("\\|", "").replace("\\<", "")
    assert "````text" in card  # the fence is longer than any in the text
    assert re.findall(r"<script>(.*?)</script>", page, re.DOTALL) == list(page_assets.scripts()), "ours and no other"
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")


def test_charts_say_in_words_what_they_show(report):
    chart = grouped_bars("band", ["easy", "hard"], [("pool", [0.25, 0.75]), ("final set", [0.5, 0.5])], "band")
    assert "pool: easy 25.0 %, hard 75.0 %. final set: easy 50.0 %, hard 50.0 %." in chart
    assert chart.count("<rect") == 4
    assert "pools 20, mix 16" in funnel_bars("Funnel", [("pools", 20), ("mix", 16)])
    assert grouped_bars("band", [], [("pool", [])], "band").startswith("<svg")


def test_what_was_sampled_and_what_was_changed_at_reading_stand_in_both(report):
    counts = SampleCounts(samples=40, truncated=10, empty=2, unknown=1, prompt_tokens=900, completion_tokens=12_345)
    facts = SamplingFacts("difficulty", "strong", counts, problems=20, refused=3, failed=1, no_full_answer=4)
    told = replace(report, sampling=(facts,), reading=("pool: 3 values of 'answer' spell a missing value.",))
    for text in (curation_page(told), curation_card(told)):
        for says in ("What was sampled", "10 (25.0 %)", "12,345", "3 values of", "strong"):
            assert says in text
    assert "What was sampled" not in curation_page(report)
