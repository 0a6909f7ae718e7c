"""`frugalrl curate`: a set from a spec file, and one message with exit code 2 for what the user can correct."""

import json
from pathlib import Path

import pytest

from frugalrl.cli import main
from frugalrl.config.curation_schema import CurationSpec
from frugalrl.config.loading import load_recipe
from tests.curation.pools import pool_rows, read_jsonl, write_pool

RECIPES = sorted((Path(__file__).parents[2] / "recipes" / "curate").glob("*.yaml"))


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    pool = write_pool(tmp_path / "pool.jsonl", pool_rows(12))
    file = tmp_path / "spec.yaml"
    file.write_text(f"name: small\npools: [{{name: shop, path: {pool}}}]\nsteps: [{{step: has_box}}]\n")
    return file


def test_a_set_is_written_and_said(spec_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["curate", str(spec_file), "--out", str(out), "--set", "splits.validation=2"]) == 0
    said = capsys.readouterr().out
    assert "has_box: 12 -> 12" in said
    assert f"train 10, validation 2 problems in {out}" in said
    assert len(read_jsonl(out / "train.jsonl")) == 10
    assert main(["curate", str(spec_file), "--out", str(out), "--set", "splits.validation=2", "--resume"]) == 0
    assert "is complete already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("steps.0.step=has_bx", "unknown step: 'has_bx'. Did you mean 'has_box'?"),
        ("steps.0.expectd=3", "unknown key: steps.0.has_box.expectd. Did you mean 'expected'?"),
        ("pools.0.colums={}", "unknown key: pools.0.colums. Did you mean 'columns'?"),
        ("pools.0.columns={problem: txt}", "has no column 'txt'"),
        (
            "steps=[{step: decontaminate, benchmarks: [math50]}]",
            "There is no benchmark 'math50'. Did you mean math500?",
        ),
        ("steps=[{step: mix, quotas: [{count: 99}]}]", "Quota 1 asks for 99 of any, and there are 12."),
        ("steps=[{step: judge, solver: nobody}]", "names the solver 'nobody', known are none"),
        ("steps=[{step: has_box, pools: [shp]}]", "names the pool 'shp', known are shop"),
        ("steps=[{step: has_box}, {step: has_box}]", "two steps are called 'has_box'"),
        ("steps=[{step: has_box, skip: ''}]", "skip is empty: give the reason"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(spec_file, tmp_path, capsys, override, says):
    assert main(["curate", str(spec_file), "--out", str(tmp_path / "out"), "--set", override]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_the_schema_describes_every_step(capsys):
    assert main(["schema", "curate"]) == 0
    text = json.dumps(json.loads(capsys.readouterr().out))
    assert all(f'"const": "{name}"' in text for name in ("has_box", "duplicates", "decontaminate", "difficulty", "mix"))


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_the_papers_recipes_are_valid_and_carry_its_counts(file):
    spec = load_recipe(file, CurationSpec)
    published = {pool.expected for pool in spec.pools} | {step.expected for step in spec.steps}
    paper = {
        "open-s1": {59029, 31323, 21533, 18615},
        "open-deepscaler": {40315, 21044},
        "open-rs": {59029, 40315, 7000},
    }
    assert published - {None} == paper[file.stem]


def test_a_recipe_runs_on_real_rows(shared_data, tmp_path, monkeypatch, capsys):
    """The first rows of the raw DeepScaleR pool, with the tiny model as its solver."""
    monkeypatch.setenv("FRUGALRL_DATA", str(shared_data))
    recipe = str(Path(__file__).parents[2] / "recipes" / "curate" / "open-deepscaler.yaml")
    few = [
        "--set",
        "pools.0.limit=12",
        "--set",
        "splits.validation=2",
        "--set",
        "solvers.easy.max_completion_tokens=16",
    ]
    assert main(["curate", recipe, "--out", str(tmp_path / "out"), *few]) == 0
    assert "stands in for Qwen/Qwen2.5-Math-7B-Instruct" in capsys.readouterr().out
    assert (tmp_path / "out" / "train.parquet").exists()
