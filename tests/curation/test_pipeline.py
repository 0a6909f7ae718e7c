"""The whole way from a spec to a set: what is written, twice alike, killed at any moment, resumed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from frugalrl.commands import curate as command
from frugalrl.config.curation_schema import CurationSpec
from frugalrl.config.loading import dump_recipe
from frugalrl.curation.outputs import sha256_of
from frugalrl.curation.pipeline import curate
from frugalrl.curation.workspace import open_workspace
from frugalrl.data.sources import read_rows
from frugalrl.errors import DataError, ModelError, OutputError
from tests.curation.pools import pool_rows, read_jsonl, spec_of, write_pool
from tests.fake_texts import text_server
from tests.reporting.test_pages import unpacked

BANDS = [{"name": "easy", "low": 1, "high": 2}, {"name": "hard", "low": 3, "high": 5}]
LEVELS = {"step": "difficulty", "column": "level", "bands": BANDS}


def made(spec: CurationSpec, out: Path, resume: bool = False) -> list[str]:
    lines: list[str] = []
    with open_workspace(spec, out, resume) as workspace:
        curate(spec, workspace, lines.append)
    return lines


def bytes_of(folder: Path) -> dict[str, bytes]:
    """All files but the solvers' samples, which may come in another order."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.fixture
def dirty(tmp_path) -> Path:
    """40 problems; p40 is p0 in other spacing, p41 is p1 with an equal gold, p42 p2 with another, p43 has no gold."""
    rows = pool_rows()
    rows += [
        {**rows[0], "id": "p40", "problem": rows[0]["problem"].replace(" ", "\n")},
        {**rows[1], "id": "p41", "answer": rows[1]["answer"] + ".0"},
        {**rows[2], "id": "p42", "answer": "1"},
        {
            **rows[3],
            "id": "p43",
            "problem": "How many of the 12 apples are red, if 5 are green?",
            "answer": "",
            "solution": "",
        },
    ]
    return write_pool(tmp_path / "pool.jsonl", rows)


@pytest.fixture
def benchmark(tmp_path) -> Path:
    """One benchmark row, which is p5 in other spacing and words around it."""
    text = pool_rows()[5]["problem"].replace("8", "$8$")
    return write_pool(tmp_path / "held_out.jsonl", [{"id": "h1", "problem": text, "answer": "120"}])


def full_spec(dirty: Path, benchmark: Path) -> CurationSpec:
    return spec_of(
        dirty,
        {"step": "gold_from_solution"},
        {"step": "gold_parses", "expected": 43},
        {"step": "duplicates"},
        {"step": "decontaminate", "benchmarks": [str(benchmark)]},
        {"step": "prompt_tokens", "most": 200},
        LEVELS,
        {"step": "judge", "solver": "none", "skip": "no judge in this test"},
        {"step": "mix", "quotas": [{"count": 12, "bands": ["hard"]}, {"count": 5, "bands": ["easy"]}]},
        splits={"validation": 3, "test": 2},
        solvers={"none": {"kind": "engine"}},
    )


def test_every_step_does_what_it_says_and_all_files_are_written(dirty, benchmark, tmp_path):
    out = tmp_path / "out"
    lines = made(full_spec(dirty, benchmark), out)
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md", "ledger.jsonl", "manifest.json", "report.html", "report.md", "spec.yaml", "test.jsonl",
        "test.parquet", "train.jsonl", "train.parquet", "validation.jsonl", "validation.parquet",
    ]  # fmt: skip
    ledger = read_jsonl(out / "ledger.jsonl")
    dropped = {line["id"]: line for line in ledger if not line["kept"] and line["step"] != "mix"}
    assert {name: line["reason"] for name, line in dropped.items()} == {
        "p43": "no_answer", "p40": "duplicate", "p41": "duplicate", "p2": "conflicting_golds",
        "p42": "conflicting_golds", "p5": "overlap_held_out",
    }  # fmt: skip
    assert dropped["p40"]["detail"]["of"] == "p0"
    assert [one["id"] for one in dropped["p42"]["detail"]["group"]] == ["p2", "p42"]
    assert dropped["p5"]["detail"]["row_id"] == "h1"
    assert any(line == "SKIPPED judge: no judge in this test" for line in lines)
    assert "gold_parses: 43 -> 43  (published: 43)" in lines


def test_the_ledger_has_one_row_a_problem_and_step(dirty, benchmark, tmp_path):
    made(full_spec(dirty, benchmark), tmp_path / "out")
    ledger = read_jsonl(tmp_path / "out" / "ledger.jsonl")
    assert len({(line["id"], line["step"]) for line in ledger}) == len(ledger)
    steps = list(dict.fromkeys(line["step"] for line in ledger))
    assert steps == [
        "read", "gold_from_solution", "gold_parses", "duplicates", "decontaminate", "prompt_tokens", "difficulty",
        "mix", "splits",
    ]  # fmt: skip
    alive = {line["id"] for line in ledger if line["step"] == "read"}
    for step in steps:
        decided = {line["id"]: line["kept"] for line in ledger if line["step"] == step}
        assert set(decided) == alive
        alive = {name for name, kept in decided.items() if kept}


def test_the_page_shows_each_problem_beside_what_it_was_matched_with(dirty, benchmark, tmp_path):
    made(full_spec(dirty, benchmark), tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    index, texts = unpacked(page, "samples-index"), unpacked(page, "samples-text-0")["t"]
    columns, places = index["samples"], {one["i"]: at for at, one in enumerate(index["problems"])}
    held_out, copy = places["p5"], places["p40"]
    assert (columns["v"][held_out], columns["r"][held_out]) == ("dropped", "overlap_held_out")
    assert columns["m"][held_out].startswith("held_out h1, ")
    assert texts[columns["o"][held_out]] == read_jsonl(benchmark)[0]["problem"]
    assert columns["m"][copy].startswith("p0, ")
    assert texts[columns["o"][copy]] == pool_rows()[0]["problem"]
    assert columns["a"][copy] == pool_rows()[0]["answer"]
    kept = [at for at, label in enumerate(columns["v"]) if label == "kept"]
    assert len(kept) == 17
    assert {index["problems"][at]["t"]["band"] for at in kept} == {"easy", "hard"}


def test_splits_are_disjoint_complete_and_readable(dirty, benchmark, tmp_path):
    out = tmp_path / "out"
    made(full_spec(dirty, benchmark), out)
    rows = {split: read_jsonl(out / f"{split}.jsonl") for split in ("train", "validation", "test")}
    assert {split: len(found) for split, found in rows.items()} == {"train": 12, "validation": 3, "test": 2}
    ids = [row["id"] for found in rows.values() for row in found]
    assert len(set(ids)) == 17
    first = rows["train"][0]
    assert list(first)[:6] == ["id", "pool", "source", "problem", "answer", "solution"]
    assert {"level", "prompt_tokens", "band"} <= set(first)
    for split, found in rows.items():
        parquet = [values for _, values in read_rows(out / f"{split}.parquet")]
        assert [{name: row.get(name) for name in values} for row, values in zip(found, parquet, strict=True)] == parquet


def test_the_manifest_holds_the_hashes_of_all_that_went_in_and_came_out(dirty, benchmark, tmp_path):
    out = tmp_path / "out"
    made(full_spec(dirty, benchmark), out)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["inputs"]["pool"] == {"path": str(dirty), "rows": 44, "sha256": sha256_of(dirty)}
    assert manifest["outputs"] == {
        path.name: sha256_of(path) for path in out.iterdir() if path.name not in ("manifest.json", "spec.yaml")
    }
    assert list(manifest["benchmarks"]) == ["held_out"]
    assert [(one["name"], one["after"]) for one in manifest["steps"]][:3] == [
        ("gold_from_solution", 43), ("gold_parses", 43), ("duplicates", 39),
    ]  # fmt: skip
    assert manifest["steps"][6]["skipped"] == "no judge in this test"


def test_the_same_spec_and_seed_give_the_same_bytes_and_another_seed_others(dirty, benchmark, tmp_path):
    spec = full_spec(dirty, benchmark)
    made(spec, tmp_path / "one")
    made(spec, tmp_path / "two")
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    made(spec.model_copy(update={"seed": 1}), tmp_path / "three")
    assert bytes_of(tmp_path / "three")["train.jsonl"] != bytes_of(tmp_path / "one")["train.jsonl"]


def test_a_step_confined_to_a_pool_leaves_the_others_alone(tmp_path):
    rows = pool_rows(10)
    unsolved = [
        {**row, "id": "u" + row["id"], "problem": row["problem"].replace("pens", "nuts"), "solution": ""}
        for row in rows
    ]
    first, second = write_pool(tmp_path / "a.jsonl", rows), write_pool(tmp_path / "b.jsonl", unsolved)
    pools = [{"name": "a", "path": str(first)}, {"name": "b", "path": str(second)}]
    made(spec_of(first, {"step": "has_box", "pools": ["a"]}, pools=pools), tmp_path / "out")
    assert len(read_jsonl(tmp_path / "out" / "train.jsonl")) == 20
    assert not (tmp_path / "out" / "validation.jsonl").exists()


def test_no_held_out_problem_has_a_near_duplicate_in_training(tmp_path):
    rows = pool_rows(12)
    twins = [{**row, "id": "t" + row["id"], "problem": row["problem"].replace(" ", "  ")} for row in rows[:6]]
    spec = spec_of(write_pool(tmp_path / "a.jsonl", rows + twins), {"step": "has_box"}, splits={"validation": 6})
    made(spec, tmp_path / "out")
    held_out = {row["id"] for row in read_jsonl(tmp_path / "out" / "validation.jsonl")}
    assert held_out == {f"p{at}" for at in range(6, 12)}


# ----------------------------------------------------------------------------------------- difficulty, judge


def solver_spec(pool: Path, url: str, **more) -> CurationSpec:
    solver = {"kind": "endpoint", "url": url, "model": "m", "template": "{problem}", "concurrency": 2, "retries": 0}
    return spec_of(
        pool,
        {"step": "difficulty", "solvers": ["s"], "samples": 2, "drop": ["always"], **more},
        {"step": "judge", "solver": "s", "template": "JUDGE {problem}"},
        solvers={"s": {**solver, "stands_for": "a large model"}},
    )


def clever(text: str, number: int) -> str:
    """Solves a shop of 3 or 4 boxes; as a judge drops the shop of 5 and mumbles about the shop of 6."""
    if text.startswith("JUDGE"):
        return "DROP" if "sells 5 " in text else "well" if "sells 6 " in text else "KEEP"
    return "\\boxed{15}" if "sells 3 " in text else "\\boxed{28}" if "sells 4 " in text else "\\boxed{0}"


def test_a_solver_gives_bands_and_a_judge_drops(tmp_path):
    pool = write_pool(tmp_path / "pool.jsonl", pool_rows(6))
    with text_server(clever) as (url, asked):
        lines = made(solver_spec(pool, url), tmp_path / "out")
        assert len(asked.bodies) == 2 * 6 + 4
    ledger = {(line["step"], line["id"]): line for line in read_jsonl(tmp_path / "out" / "ledger.jsonl")}
    assert [ledger["difficulty", f"p{at}"]["reason"] for at in range(3)] == ["band_always", "band_always", "band_never"]
    detail = ledger["difficulty", "p2"]["detail"]
    assert (detail["pass_rate"], detail["samples"], detail["correct"]) == (0.0, 2, 0)
    assert detail["pass_rate_low"] == 0.0 < detail["pass_rate_high"] < 1.0
    judged = {name: line["reason"] for (step, name), line in ledger.items() if step == "judge"}
    assert judged == {"p2": "judge_drop", "p3": "judge_unclear", "p4": "judge_keep", "p5": "judge_keep"}
    assert "  NOTE 1 of 4 answers of the judge were neither KEEP nor DROP: keep." in lines
    assert any("stands in for a large model" in line for line in lines)
    assert "a large model" in (tmp_path / "out" / "report.md").read_text()


def test_a_stopped_endpoint_leaves_what_was_sampled_for_the_resume(tmp_path):
    pool = write_pool(tmp_path / "pool.jsonl", pool_rows(6))
    with text_server(clever) as (url, _):
        spec = solver_spec(pool, url)
        made(spec, tmp_path / "straight")
    port = int(url.split(":")[2].split("/")[0])
    with text_server(lambda text, number: clever(text, number) if number < 5 else 401) as (other, asked):
        failing = spec.model_copy(deep=True)
        failing.solvers["s"] = failing.solvers["s"].model_copy(update={"url": other})
        with pytest.raises(Exception, match="--resume"):
            made(failing, tmp_path / "out")
        kept = len((tmp_path / "out" / "samples" / "samples.jsonl").read_text().splitlines())
        assert kept >= 5
    assert port
    with text_server(clever) as (third, asked):
        # The server comes back under another port: the spec's url is replaced where the run keeps it.
        moved = spec.model_copy(deep=True)
        moved.solvers["s"] = moved.solvers["s"].model_copy(update={"url": third})
        (tmp_path / "out" / "spec.yaml").write_text(dump_recipe(moved))
        made(moved, tmp_path / "out", resume=True)
        assert len(asked.bodies) == 2 * 6 + 4 - 5
    rows = [(tmp_path / name / "train.jsonl").read_bytes() for name in ("straight", "out")]
    assert rows[0] == rows[1]


def test_two_solvers_and_a_row_without_gold_keep_their_places(tmp_path):
    """The easiest solver's band counts; a row without a gold is not asked about and stays where it was."""
    rows = pool_rows(5)
    rows[2] = {**rows[2], "answer": ""}
    pool = write_pool(tmp_path / "pool.jsonl", rows)
    with text_server(clever) as (url, asked), text_server(lambda *_: "\\boxed{0}") as (weak_url, _):
        spec = solver_spec(pool, url)
        weak = spec.solvers["s"].model_copy(update={"url": weak_url, "model": "weak", "stands_for": None})
        step = spec.steps[0].model_copy(update={"solvers": ("s", "weak"), "drop": ()})
        both = spec.model_copy(update={"solvers": {**spec.solvers, "weak": weak}, "steps": (step,)})
        made(both, tmp_path / "out")
        assert len(asked.bodies) == 2 * 4
    ledger = read_jsonl(tmp_path / "out" / "ledger.jsonl")
    lines = [line for line in ledger if line["step"] == "difficulty" and "id" in line]
    assert [line["id"] for line in lines] == [f"p{at}" for at in range(5)]
    assert [line["reason"] for line in lines] == ["band_always", "band_always", "no_gold", "band_never", "band_never"]
    assert lines[0]["detail"]["all"] == {"s": [2, 2], "weak": [0, 2]}
    sampling = json.loads((tmp_path / "out" / "manifest.json").read_text())["sampling"]["difficulty"]
    assert [(one["solver"], one["problems"]) for one in sampling] == [("s", 4), ("weak", 4)]


def test_a_pool_whose_every_request_failed_is_no_difficulty(tmp_path):
    pool = write_pool(tmp_path / "pool.jsonl", pool_rows(3))
    with text_server(lambda *_: 500) as (url, _), pytest.raises(ModelError, match="every one of them"):
        made(solver_spec(pool, url), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*difficulty*"))


# ------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ({"step": "decontaminate", "benchmarks": ["math50"]}, "no benchmark 'math50'. Did you mean math500"),
        ({"step": "one_question", "allow": ["prof"]}, "no reason 'prof'. Did you mean 'proof'"),
        ({"step": "has_box"}, "After the step has_box no problem is left"),
    ],
)
def test_a_step_that_cannot_work_says_so(tmp_path, step, says):
    pool = write_pool(tmp_path / "pool.jsonl", [{"problem": "p", "answer": "1"}])
    with pytest.raises(DataError, match=says):
        made(spec_of(pool, step), tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_what_fails_before_the_first_step_leaves_nothing_behind(tmp_path):
    pool = write_pool(tmp_path / "pool.jsonl", [{"text": "p", "answer": "1"}])
    with pytest.raises(DataError, match="no column 'problem'"):
        made(spec_of(pool, {"step": "has_box"}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_spec_and_a_full_folder_are_refused(dirty, tmp_path):
    spec = spec_of(dirty, LEVELS)
    made(spec, tmp_path / "out")
    before = bytes_of(tmp_path / "out")
    with pytest.raises(OutputError, match="holds a curation already"):
        made(spec, tmp_path / "out")
    with pytest.raises(OutputError, match=r"holds the work of another spec \('seed: 0' there, 'seed: 7' here\)"):
        made(spec.model_copy(update={"seed": 7}), tmp_path / "out", resume=True)
    with pytest.raises(OutputError, match="no curation to resume"):
        made(spec, tmp_path / "nothing", resume=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty"):
        made(spec, tmp_path / "mine")
    assert bytes_of(tmp_path / "out") == before
    assert not (tmp_path / "nothing").exists()


def test_a_complete_run_is_left_as_it_is_and_a_changed_file_is_noticed(dirty, tmp_path):
    spec = spec_of(dirty, LEVELS)
    made(spec, tmp_path / "out")
    before = bytes_of(tmp_path / "out")
    assert made(spec, tmp_path / "out", resume=True) == []
    assert bytes_of(tmp_path / "out") == before
    (tmp_path / "out" / "train.jsonl").write_text("{}")
    with pytest.raises(OutputError, match=r"train\.jsonl is missing or has been changed"):
        made(spec, tmp_path / "out", resume=True)


# --------------------------------------------------------------------------------------------------- kills


def command_line(spec_file: Path, out: Path) -> list[str]:
    resume = ["--resume"] if (out / "spec.yaml").is_file() else []
    return [sys.executable, "-m", "frugalrl", "curate", str(spec_file), "--out", str(out), *resume]


def test_killed_at_random_moments_a_run_ends_as_if_it_had_not_been(dirty, benchmark, tmp_path):
    """SIGKILL, which leaves no time to tidy up: at random answers of the solver, and once after a random time that
    leaves answers to be asked for."""
    victim: list[int] = []
    answered = [0.0]
    rng = random.Random(4)

    def reply(text: str, number: int) -> str:
        if victim and number >= victim[1]:
            os.kill(victim[0], signal.SIGKILL)
            victim.clear()
        answered[0] = time.monotonic()
        return f"\\boxed{{{sum(map(ord, text)) % 3 * 15}}}"

    with text_server(reply) as (url, asked):
        solver = {"kind": "endpoint", "url": url, "model": "m", "concurrency": 2, "retries": 0}
        values = json.loads(full_spec(dirty, benchmark).model_dump_json())
        steps = [step for step in values["steps"] if step["step"] not in ("judge", "mix", "prompt_tokens")]
        steps[-1] = {"step": "difficulty", "solvers": ["none"], "samples": 3}
        spec_file = tmp_path / "spec.json"  # JSON is YAML
        spec_file.write_text(json.dumps({**values, "steps": steps, "solvers": {"none": solver}}))
        straight, killed = tmp_path / "straight", tmp_path / "killed"
        started = time.monotonic()
        subprocess.run(command_line(spec_file, straight), check=True, stdout=subprocess.DEVNULL)
        until_answered, answers = answered[0] - started, len(asked.bodies)
        codes = []
        for kill in range(3):
            process = subprocess.Popen(command_line(spec_file, killed), stdout=subprocess.DEVNULL)
            if kill:
                victim[:] = [process.pid, len(asked.bodies) + rng.randrange(answers // 5)]
            else:
                time.sleep(until_answered * rng.uniform(0.2, 0.6))
                process.kill()
            codes.append(process.wait(timeout=120))
            victim.clear()
        subprocess.run(command_line(spec_file, killed), check=True, stdout=subprocess.DEVNULL)
    assert codes == [-signal.SIGKILL] * 3
    assert bytes_of(killed) == bytes_of(straight)
    assert not (killed / "work").exists()


def test_a_part_that_is_not_whole_is_not_there(dirty, tmp_path):
    """A kill between two steps: every state in which the work folder can be found gives the same end."""
    spec = spec_of(dirty, {"step": "gold_from_solution"}, LEVELS, splits={"validation": 4})
    made(spec, tmp_path / "straight")

    class Killed(BaseException):
        pass

    for steps in range(3):

        def stop_after(line: str, left: list[int] = [steps]) -> None:  # noqa: B006 (one list a loop is meant)
            left[0] -= 1
            if left[0] < 0:
                raise Killed

        out = tmp_path / f"after-{steps}"
        with pytest.raises(Killed), open_workspace(spec, out, resume=False) as workspace:
            curate(spec, workspace, stop_after)
        made(spec, out, resume=(out / "spec.yaml").is_file())
        assert bytes_of(out) == bytes_of(tmp_path / "straight")


def test_the_command_is_registered(capsys):
    from frugalrl.cli import main

    with pytest.raises(SystemExit):
        main(["curate", "--help"])
    assert "SPEC" in capsys.readouterr().out.upper()
    assert command.register
