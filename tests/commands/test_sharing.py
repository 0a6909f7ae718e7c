"""`frugalrl export-data` and `push`: folders for the Hub, TRL and verl, read back by their own readers.

Uploads go to a stand-in, whose calls are checked against the signatures of the Hub's installed client.
"""

import inspect
import json
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pyarrow.parquet
import pytest

from frugalrl import hub
from frugalrl.cli import main
from frugalrl.config.schema import ProblemSource
from frugalrl.errors import OutputError
from frugalrl.reporting.pushing import parcel_of, push
from frugalrl.tasks.loading import load_problems
from tests.conftest import write_jsonl

ROWS = [
    {"id": "a", "problem": "1 + 1?", "answer": "2", "level": 1},
    {"id": "b", "problem": "Half?", "answer": ["1/2", "0.5"], "level": 2},
]


@pytest.fixture
def curated(tmp_path: Path) -> Path:
    folder = tmp_path / "curated"
    folder.mkdir()
    write_jsonl(folder / "train.jsonl", ROWS)
    write_jsonl(folder / "validation.jsonl", ROWS[:1])
    write_jsonl(folder / "ledger.jsonl", [{"step": "read"}])
    (folder / "report.md").write_text("From 10 problems to 2.\n")
    return folder


@pytest.mark.parametrize("target", ["hub", "trl", "verl"])
def test_what_is_exported_is_read_back_as_the_same_problems(curated: Path, tmp_path: Path, target: str) -> None:
    out = tmp_path / "out"
    assert main(["export-data", str(curated), "--to", target, "--out", str(out)]) == 0
    for split, count in (("train", 2), ("validation", 1)):
        problems = load_problems(ProblemSource(source=str(out), split=split))
        assert [(one.text, one.gold) for one in problems] == [("1 + 1?", "2"), ("Half?", "1/2")][:count]
    card = (out / "README.md").read_text()
    assert "| train | 2 |" in card
    assert "From 10 problems to 2." in card


def test_the_hubs_own_reader_finds_the_splits(curated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    assert main(["export-data", str(curated), "--out", str(out)]) == 0
    read = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in read.items()} == {"train": 2, "validation": 1}
    assert read["train"][0]["problem"] == "1 + 1?"
    assert huggingface_hub.DatasetCard.load(out / "README.md").data.tags == ["frugalrl", "reasoning"]


def test_trl_gets_conversations_with_the_recipes_prompt(tmp_path: Path) -> None:
    source, out = write_jsonl(tmp_path / "p.jsonl", ROWS), tmp_path / "out"
    assert main(["export-data", str(source), "--to", "trl", "--out", str(out), "--recipe", "open-rs2"]) == 0
    row = pyarrow.parquet.read_table(out / "data" / "train-00000-of-00001.parquet").to_pylist()[1]
    assert [one["role"] for one in row["prompt"]] == ["system", "user"]
    assert row["prompt"][1]["content"] == "Half?"
    assert (row["answer"], row["golds"], row["solution"]) == ("1/2", ["1/2", "0.5"], "\\boxed{1/2}")


def test_verl_gets_nested_rows(tmp_path: Path) -> None:
    source, out = write_jsonl(tmp_path / "p.jsonl", ROWS), tmp_path / "out"
    assert main(["export-data", str(source), "--to", "verl", "--out", str(out)]) == 0
    row = pyarrow.parquet.read_table(out / "train.parquet").to_pylist()[0]
    assert row["prompt"] == [{"role": "user", "content": "1 + 1?"}]
    assert row["reward_model"] == {"style": "rule", "ground_truth": "2"}
    assert row["extra_info"]["split"] == "train"


def test_a_folder_that_holds_something_is_not_overwritten(curated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export-data", str(curated), "--out", str(curated)]) == 2
    assert "not empty" in capsys.readouterr().err


# -------------------------------------------------------------------------------------------------- push


class FakeHub:
    """Records uploads; each call has to fit the signature of the client that is installed."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.uploads: dict[str, bytes] = {}

    def create_repo(self, *arguments: Any, **named: Any) -> str:
        inspect.signature(huggingface_hub.HfApi.create_repo).bind(self, *arguments, **named)
        self.made.append({"repo_id": arguments[0], **named})
        return f"https://hub.example/{arguments[0]}"

    def upload_folder(self, **named: Any) -> None:
        inspect.signature(huggingface_hub.HfApi.upload_folder).bind(self, **named)
        folder = Path(named["folder_path"])
        there = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        files = huggingface_hub.utils.filter_repo_objects(there, allow_patterns=named["allow_patterns"])
        self.uploads = {name: (folder / name).read_bytes() for name in files}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    for name in ("model/config.json", "model/model.safetensors", "model/README.md", "model/tokenizer.json",
                 "adapter/adapter_config.json", "adapter/adapter_model.safetensors", "adapter/README.md",
                 "checkpoints/step-000001/optimizer.safetensors", "environment.json", "log.txt", "report.html",
                 "report.md", "metrics.jsonl"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n")
    return folder


@pytest.mark.parametrize(
    ("kind", "files", "repo_type"),
    [
        ("model", {"README.md", "config.json", "model.safetensors", "tokenizer.json"}, "model"),
        ("adapter", {"README.md", "adapter_config.json", "adapter_model.safetensors"}, "model"),
        ("report", {"README.md", "index.html"}, "space"),
    ],
)
def test_a_run_gives_what_is_asked_for_and_nothing_else(run: Path, kind: Any, files: set[str], repo_type: str) -> None:
    client = FakeHub()
    assert push(parcel_of(run, kind), "me/mine", True, client) == "https://hub.example/me/mine"
    assert set(client.uploads) == files
    assert client.made[0]["repo_type"] == repo_type
    assert client.made[0]["private"] is True
    if kind == "report":
        assert client.made[0]["space_sdk"] == "static"
        assert client.uploads["index.html"] == b"report.html\n"


def test_a_runs_kind_is_its_model_and_a_sets_its_data(run: Path, curated: Path, tmp_path: Path) -> None:
    assert parcel_of(run).kind == "model"
    assert parcel_of(run / "adapter").kind == "adapter"
    assert parcel_of(run / "report.html").kind == "report"
    out = tmp_path / "out"
    assert main(["export-data", str(curated), "--out", str(out)]) == 0
    client = FakeHub()
    parcel = parcel_of(out)
    assert parcel.kind == "dataset"
    push(parcel, "me/data", False, client)
    assert set(client.uploads) == {
        "README.md",
        "data/train-00000-of-00001.parquet",
        "data/validation-00000-of-00001.parquet",
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("no-card", "has no card"),
        ("no-model", "config.json is missing"),
        ("nothing", "There is nothing at"),
    ],
)
def test_what_is_not_fit_to_be_shown_is_refused(run: Path, change: str, says: str) -> None:
    if change == "no-card":
        (run / "model" / "README.md").unlink()
    if change == "no-model":
        (run / "model" / "config.json").unlink()
    with pytest.raises(OutputError, match=says):
        parcel_of(run / "missing" if change == "nothing" else run, "model")


def test_a_dry_run_lists_and_uploads_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(run), "me/mine", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "model: 4 files" in printed
    assert "optimizer" not in printed


def test_a_hub_out_of_reach_and_a_failing_one_are_one_message(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("frugalrl.reporting.pushing.hub_is_reachable", lambda: False)
    assert main(["push", str(run), "me/mine"]) == 2
    assert "cannot be reached from here, so nothing was uploaded" in capsys.readouterr().err
    client = FakeHub()
    client.create_repo = lambda *_, **__: (_ for _ in ()).throw(RuntimeError("403 Forbidden\nlong advice"))  # type: ignore[method-assign]
    with pytest.raises(OutputError, match=r"403 Forbidden\. Check the name") as caught:
        push(parcel_of(run), "me/mine", False, client)
    assert "\n" not in str(caught.value)
    with pytest.raises(OutputError, match="Give ORG/NAME"):
        push(parcel_of(run), "mine", False, client)
    assert hub.WAIT_SECONDS == 1.0
    assert json.dumps(client.made) == "[]"
