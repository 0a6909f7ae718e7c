"""The table of `make bench`: a row for each case of a record, every number from the record."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import bench
from figure_files import bars_file

ROLLOUTS = {
    "results": [
        {
            "case": {"size": "1M", "dtype": "float32", "sequences": 64, "shortest": 40, "longest": 256},
            "tokens_per_cpu_second": {"frugalrl": 9000.0, "vllm": 6000.0, "generate": 3000.0},
            "frugalrl_over": {"vllm": 1.5, "generate": 3.0},
            "share_of_limit": {"frugalrl": 0.25},
            "others_cpu_share": 0.125,
            "versions": {"vllm": {"torch": "2.13.0", "vllm": "0.32.0"}, "frugalrl": {"frugalrl": "source"}},
        }
    ]
}
STEP = {
    "rows": [
        {
            "case": name,
            "kl_coef": 0.04,
            "ours": {"step_cpu_seconds": [1.0, 2.0, 1.0]},
            "trl": [{"step_cpu_seconds": [9.0]}, {"step_cpu_seconds": [3.5, 3.5]}],
            "ratio_cpu": ratio,
        }
        for name, ratio in (("short", 3.5), ("spread", 4.25))
    ]
}


@pytest.fixture
def records(tmp_path, monkeypatch):
    (tmp_path / "rollouts.json").write_text(json.dumps(ROLLOUTS))
    (tmp_path / "grpo_step.json").write_text(json.dumps(STEP))
    monkeypatch.setattr(bench, "RECORDS", tmp_path)
    return tmp_path


def test_a_peer_has_a_row_and_a_record_that_is_not_there_has_none(records):
    lines = bench.table().splitlines()[2:]
    case = "| rollout | 1M float32, 64 x 40-256 | 9,000 tokens a CPU s |"
    assert lines[:2] == [f"{case} vLLM 6,000 | 1.50x | 25% |", f"{case} `generate` 3,000 | 3.00x | 25% |"]
    assert lines[2] == "| GRPO step | short lengths, beta 0.04 | 1.00 CPU s | TRL 3.50 CPU s | 3.5x |  |"
    assert len(lines) == 4


def test_circumstances_are_those_of_the_records(records):
    assert bench.circumstances() == (
        "- `records/rollouts.json`: others took up to 12% of all cores; torch 2.13.0, vllm 0.32.0.\n"
    )


def test_the_readme_gets_the_range_of_a_whole_step(records):
    assert "3.5 to 4.2 times as fast as TRL" in bench.one_ratio()


def test_a_bar_is_as_long_as_its_value_and_the_line_stands_at_one(records):
    root = ElementTree.fromstring(bench.figure())
    svg = "{http://www.w3.org/2000/svg}"
    bars = [float(one.get("width")) for one in root.iter(f"{svg}rect") if one.get("x")]
    assert len(bars) == 4
    assert bars[1] / bars[0] == pytest.approx(2.0, rel=0.01)
    (line,) = root.iter(f"{svg}path")
    assert float(line.get("d")[1:].split()[0]) == pytest.approx(330 + bars[1] / 3, abs=0.2)


def test_names_are_escaped():
    assert "a &lt; b" in bars_file("a < b", [("a < b", 1.0)], 1.0)


def test_an_environment_that_was_not_given_leaves_its_option_out():
    given = {"--trl-python": None, "--vllm-env": Path("there")}
    assert bench._filled("--trl-python", given) == []
    assert bench._filled("--vllm-env", given) == ["--vllm-env", "there"]
    assert bench._filled("--rounds", given) == ["--rounds"]


def test_every_part_has_its_script():
    assert all((bench.FOLDER / script).is_file() for script, _, _ in bench.PARTS.values())
