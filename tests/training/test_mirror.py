"""A run's mirror: whole whatever is cut off, never in the way of the run, and enough to go on from."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import fsspec
import pytest
import torch
from transformers import AutoModelForCausalLM

from frugalrl import api
from frugalrl.errors import ModelError, OutputError, RecipeError
from frugalrl.files import PARTIAL
from frugalrl.training.mirror.hub_store import HubStore
from frugalrl.training.mirror.mirror import Mirror, whole_checkpoints
from frugalrl.training.mirror.mirroring import Mirroring
from frugalrl.training.mirror.opening import open_store
from frugalrl.training.mirror.taking_up import fetch, is_there_a_run
from frugalrl.training.state.checkpoint import checkpoint_name
from frugalrl.training.state.manifest import damage, write_manifest
from frugalrl.training.state.pointers import newest_intact, point
from tests.training import test_sft
from tests.training.test_trainer import recipe, training_values


class FakeHub:
    """The part of `huggingface_hub.HfApi` that a mirror uses, over a folder: a commit is made as a whole."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.commits = folder, []

    def repo_exists(self, repo_id: str) -> bool:
        return (self.folder / repo_id).is_dir()

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        assert private
        (self.folder / repo_id).mkdir(parents=True, exist_ok=exist_ok)

    def list_repo_files(self, repo_id: str) -> list[str]:
        root = self.folder / repo_id
        return [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]

    def create_commit(self, repo_id: str, operations, *, commit_message: str) -> None:
        self.commits.append((commit_message, [one.path_in_repo for one in operations]))
        for one in operations:
            path = self.folder / repo_id / one.path_in_repo
            content = getattr(one, "path_or_fileobj", None)
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else Path(content).read_bytes())

    def hf_hub_download(self, repo_id: str, filename: str) -> str:
        return str(self.folder / repo_id / filename)


@pytest.fixture(params=["file", "memory", "hf"])
def store(request, tmp_path):
    if request.param == "hf":
        return HubStore("hf://me/run", "me/run", FakeHub(tmp_path / "hub"))
    return open_store(f"file://{tmp_path}/store/run" if request.param == "file" else f"memory://{tmp_path.name}/run")


def make_checkpoint(run: Path, step: int, content: str = "weights") -> Path:
    """A checkpoint as a run leaves it, but for its size; `latest` names it."""
    folder = run / "checkpoints" / checkpoint_name(step)
    (folder / "training_state").mkdir(parents=True)
    (folder / "training_state" / "state.json").write_text(json.dumps({"step": step}))
    (folder / "model.safetensors").write_text(f"{content} {step}" * 1000)
    (folder / "README.md").write_text("card")
    write_manifest(folder)
    point(folder.parent, "latest", folder.name)
    with (run / "metrics.jsonl").open("a") as log:
        log.write(json.dumps({"step": step}) + "\n")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def fetched(store, target: Path) -> tuple[Path, list[str]]:
    lines: list[str] = []
    fetch(store, sorted(whole_checkpoints(store), reverse=True), target, lines.append)
    return target, lines


class Failing:
    """A store in which a file's writing fails, from the nth on."""

    def __init__(self, store, works: int) -> None:
        self._store, self.works, self.url, self.seconds_between = store, works, store.url, 0.0

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    def put(self, entries) -> None:
        for entry in entries:
            if self.works == 0:
                raise OSError("the network is down")
            self.works -= 1
            self._store.put([entry])


def test_what_is_fetched_is_what_was_there_whatever_the_store(store, tmp_path):
    run = tmp_path / "run"
    make_checkpoint(run, 2)
    (run / "recipe.yaml").write_text("name: x\n")
    (run / ".lock").touch()
    (run / "evaluations").mkdir()
    (run / "evaluations" / "validation-step-000002.jsonl").write_text("{}\n")
    (run / f".model.1{PARTIAL}").mkdir()
    (run / f".model.1{PARTIAL}" / "half").write_text("x")
    mirror = Mirror(run, store)
    mirror.copy()
    make_checkpoint(run, 4)
    point(run / "checkpoints", "best", "step-000002")
    mirror.copy()
    copy, lines = fetched(store, tmp_path / "fresh")
    assert contents(copy) == contents(run)
    assert lines == [f"Fetched the run from {store.url} into {copy}, with the checkpoint of step 4."]
    assert newest_intact(copy / "checkpoints") == (copy / "checkpoints" / "step-000004", [])
    assert not any(PARTIAL in name or "lock" in name for name in store.names())


def test_what_the_run_removes_is_removed_there_but_never_the_last_one(store, tmp_path):
    run = tmp_path / "run"
    mirror = Mirror(run, store)
    for step in (1, 2, 3):
        make_checkpoint(run, step)
        mirror.copy()
    shutil.rmtree(run / "checkpoints" / "step-000001")
    mirror.copy()
    assert sorted(whole_checkpoints(store)) == [2, 3]
    assert not [name for name in store.names() if "step-000001" in name]
    shutil.rmtree(run / "checkpoints")
    mirror.copy()
    assert sorted(whole_checkpoints(store)) == [2, 3]


def test_nothing_is_copied_twice_and_what_grew_is(tmp_path):
    hub = FakeHub(tmp_path / "hub")
    run, store = tmp_path / "run", HubStore("hf://me/run", "me/run", hub)
    make_checkpoint(run, 1)
    Mirror(run, store).copy()
    other = Mirror(run, store)  # of a process that resumed
    hub.commits.clear()
    other.copy()
    assert not any("step-000001/" in name for _, names in hub.commits for name in names)
    hub.commits.clear()
    other.copy()
    assert hub.commits == []
    with (run / "metrics.jsonl").open("a") as log:
        log.write("{}\n")
    other.copy()
    assert hub.commits == [("metrics.jsonl", ["metrics.jsonl"])]
    make_checkpoint(run, 2)
    hub.commits.clear()
    other.copy()
    whole = next(names for _, names in hub.commits if any("step-000002/" in name for name in names))
    assert [name.rpartition("/")[2] for name in whole][-2:] == ["manifest.json", "latest"]  # one commit, manifest last


@pytest.mark.parametrize("works", range(9))
def test_a_copy_that_breaks_off_anywhere_leaves_the_older_checkpoint_and_goes_on_later(tmp_path, works):
    run, inner = tmp_path / "run", open_store(f"file://{tmp_path}/store")
    make_checkpoint(run, 1)
    Mirror(run, inner).copy()
    make_checkpoint(run, 2)
    shutil.rmtree(run / "checkpoints" / "step-000001")
    store = Failing(inner, works)
    mirror = Mirror(run, store)
    if works < 6:  # metrics, card, weights, state, manifest, pointer
        with pytest.raises(OSError, match="network"):
            mirror.copy()
    else:
        mirror.copy()
    copy, _ = fetched(inner, tmp_path / "fresh")
    path, _ = newest_intact(copy / "checkpoints")
    assert path.name == ("step-000001" if works < 6 else "step-000002")  # as `latest` says
    assert {"step": 1} in [json.loads(line) for line in (copy / "metrics.jsonl").read_text().splitlines()]
    store.works = 100
    mirror.copy()
    again, _ = fetched(inner, tmp_path / "later")
    assert contents(again) == contents(run)


KILLED = """
import os, signal, sys
from pathlib import Path
from frugalrl.training.mirror.mirror import Mirror
from frugalrl.training.mirror.opening import open_store

run, root = Path(sys.argv[1]), sys.argv[2]
for place in range(14):
    child = os.fork()
    if child == 0:
        store = open_store(f"file://{root}/{place}")
        inner, calls = store._files, iter(range(100))
        for name in ("put_file", "pipe_file", "mv"):
            def stopped(*args, _real=getattr(inner, name), _name=name, **rest):
                if next(calls) == place:
                    if _name == "put_file":  # in the middle of a file
                        Path(args[1]).write_bytes(Path(args[0]).read_bytes()[:5])
                    os.kill(os.getpid(), signal.SIGKILL)
                return _real(*args, **rest)
            setattr(inner, name, stopped)
        Mirror(run, store).copy()
        os._exit(0)
    print(place, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_a_kill_in_the_middle_of_any_file_leaves_a_whole_mirrored_checkpoint(tmp_path):
    run = tmp_path / "run"
    make_checkpoint(run, 1)
    for place in range(14):
        Mirror(run, open_store(f"file://{tmp_path}/stores/{place}")).copy()
    make_checkpoint(run, 2)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(run), f"{tmp_path}/stores"], capture_output=True, text=True, check=True
    )
    ends = [line.split()[1] for line in done.stdout.splitlines()]
    assert ends == [str(-signal.SIGKILL)] * 12 + ["0"] * 2  # six files, each written and moved
    steps = []
    for place in range(14):
        copy, lines = fetched(open_store(f"file://{tmp_path}/stores/{place}"), tmp_path / f"fresh-{place}")
        path, _ = newest_intact(copy / "checkpoints")
        assert damage(path) is None
        assert len(lines) == 1  # what is half has no manifest, so there is nothing to say of it
        steps.append(int(path.name[-1]))
    assert steps == sorted(steps)
    assert set(steps) == {1, 2}


def test_a_mirror_that_fails_never_stops_the_run_and_says_so_once(tmp_path):
    run, inner = tmp_path / "run", open_store(f"memory://{tmp_path.name}/failing")
    make_checkpoint(run, 1)
    store = Failing(inner, 0)
    mirror = Mirror(run, store, look_seconds=0.01)
    mirror.start()
    said = wait_for(mirror.notes)
    assert said == (
        f"WARNING: the mirror {store.url} cannot be written: the network is down. The run goes on, and the copy is "
        "tried again.",
    )
    ended = mirror.close(10)
    assert ended.startswith(f"WARNING: not everything was copied to {store.url}, which holds no whole checkpoint.")
    again = Mirror(run, store, look_seconds=0.01)
    again.start()
    wait_for(again.notes)
    store.works = 100
    assert again.close(10) is None
    assert again.notes() == (f"The mirror {store.url} is up to date again.",)


def wait_for(found, seconds: float = 20.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := found():
            return value
        time.sleep(0.01)
    raise AssertionError("nothing came")


def test_what_is_being_copied_is_kept_and_a_stop_waits_only_so_long(tmp_path):
    """With a store that takes for ever, as a spot machine's last seconds may be too short for 20 GB."""
    run, inner = tmp_path / "run", open_store(f"memory://{tmp_path.name}/slow")
    make_checkpoint(run, 1)
    Mirror(run, inner).copy()
    make_checkpoint(run, 2)
    gate = threading.Event()

    class Slow(Failing):
        def put(self, entries) -> None:
            gate.wait(30)
            super().put(entries)

    mirror = Mirror(run, Slow(inner, 100), look_seconds=0.01)
    said: list[str] = []
    copies = Mirroring(mirror, said.append)
    with copies:
        assert wait_for(copies.hooks[0]._mirror.in_use) == {2}
        assert copies.hooks[0].checkpoints_needed(None, None) == {2}
        began = time.monotonic()
        copies.close(0.3)
        assert time.monotonic() - began < 5
    assert "which holds the checkpoint of step 1" in said[0]
    copy, _ = fetched(inner, tmp_path / "fresh")
    assert newest_intact(copy / "checkpoints")[0].name == "step-000001"
    gate.set()


def test_damage_in_the_mirror_is_found_and_an_earlier_checkpoint_taken(tmp_path):
    run, store = tmp_path / "run", open_store(f"file://{tmp_path}/store")
    make_checkpoint(run, 1)
    make_checkpoint(run, 2)
    Mirror(run, store).copy()
    (tmp_path / "store/checkpoints/step-000002/model.safetensors").write_text("shorter")
    copy, lines = fetched(store, tmp_path / "fresh")
    assert "step 2 in the mirror is damaged: model.safetensors has 7 bytes" in lines[0]
    assert newest_intact(copy / "checkpoints")[0].name == "step-000001"
    (tmp_path / "store/checkpoints/step-000001/model.safetensors").unlink()
    with pytest.raises(OutputError, match=r"No checkpoint in the mirror .* is intact"):
        fetched(store, tmp_path / "none")
    assert not list(tmp_path.glob(".none*")), "nothing half is left"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine").touch()
    with pytest.raises(OutputError, match="is in the way"):
        fetched(store, tmp_path / "other")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://bucket/run", "not installed.*s3fs"),
        ("nope://x", "Protocol not known: nope"),
        ("hf://name", "hf://org/name"),
    ],
)
def test_an_address_that_cannot_be_opened_is_said_before_anything_starts(tmp_path, url, said):
    chosen = recipe(training={"mirror": url})
    with pytest.raises(RecipeError, match=said):
        api.train(chosen, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_store_that_cannot_be_read_is_said_before_anything_starts(tmp_path):
    class Unreachable(Failing):
        def names(self):
            raise ConnectionError("no route")

    store = Unreachable(open_store("memory://unreachable"), 0)
    with pytest.raises(OutputError, match=r"cannot be read: no route. Check address and credentials"):
        is_there_a_run(recipe(), store, tmp_path / "run", True, print)


# ------------------------------------------------------------------------------------------------- whole runs


def values_of(folder: Path):
    return training_values(folder), AutoModelForCausalLM.from_pretrained(folder / "model").state_dict()


def stop_after(step: int):
    def stop(metrics) -> None:
        if metrics["step"] == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return stop


def test_a_run_that_fails_at_its_start_leaves_the_mirror_to_the_next(tmp_path):
    chosen = recipe(model={"path": str(tmp_path / "nothing")}, training={"mirror": f"file://{tmp_path}/store"})
    with pytest.raises(ModelError, match="no model folder"):
        api.train(chosen, out=tmp_path / "run")
    assert open_store(chosen.training.mirror).names() == []
    mirror = Mirror(tmp_path / "run", open_store(chosen.training.mirror))
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "metrics.jsonl").touch()
    mirror.copy()
    assert open_store(chosen.training.mirror).names() == []
    (tmp_path / "run" / "metrics.jsonl").write_text("{}\n")
    mirror.copy()
    assert open_store(chosen.training.mirror).names() == ["metrics.jsonl"]


@pytest.fixture
def memory_url(tmp_path):
    url = f"memory://{tmp_path.name}/runs/one"
    yield url
    fs, root = fsspec.core.url_to_fs(url)
    if fs.exists(root):
        fs.rm(root, recursive=True)


def test_a_machine_that_is_taken_away_and_a_fresh_one_make_the_run_straight_through(tmp_path, memory_url):
    """SIGTERM after step 3; the folder is lost with the machine; the same command makes the rest elsewhere."""
    splits = {"validation": {"split": "validation", "limit": 6}, "test": None}
    chosen = recipe(data=splits, training={"mirror": memory_url})
    straight = api.train(recipe(data=splits), out=tmp_path / "straight")
    lines: list[str] = []
    first = api.train(chosen, out=tmp_path / "first", resume=True, on_step=stop_after(3), show=lines.append)
    assert lines[0].startswith(f"There is nothing to resume, neither at {tmp_path / 'first'} nor in the mirror")
    assert first.summary is None
    with pytest.raises(OutputError, match=r"is not empty. Resume the run"):
        api.train(chosen, out=tmp_path / "new")
    kept = shutil.copytree(tmp_path / "first", tmp_path / "kept")
    shutil.rmtree(tmp_path / "first")
    lines.clear()
    second = api.train(chosen, out=tmp_path / "second", resume=True, show=lines.append)
    assert lines[0].startswith(f"Fetched the run from {memory_url}")
    assert "Resuming" in lines[1]
    assert "step-000003" in lines[1]
    rows, weights = values_of(tmp_path / "second")
    expected, other = values_of(tmp_path / "straight")
    assert rows == expected
    assert all(torch.equal(value, weights[name]) for name, value in other.items())
    assert (second.summary.base, second.summary.final) == (straight.summary.base, straight.summary.final)
    copy, _ = fetched(open_store(memory_url), tmp_path / "brought-home")
    assert contents(copy) == contents(tmp_path / "second")  # model, report and log among them
    with pytest.raises(OutputError, match=r"holds step 4 and .* only step 3: the run went on elsewhere"):
        api.train(chosen, out=kept, resume=True)
    with pytest.raises(OutputError, match="has another recipe"):
        api.train(chosen.model_copy(update={"seed": 9}), out=tmp_path / "third", resume=True)


def test_supervised_fine_tuning_is_taken_up_from_its_mirror_too(tmp_path, memory_url):
    changes = {"phases": [{"limit": 20, "mix": "skill"}], "validation": None}
    training = {"batch_tokens": 512, "pack_tokens": 512, "log_every": 1, "save_every": 1}
    straight = api.sft(test_sft.recipe(**changes, training=training), out=tmp_path / "straight")
    chosen = test_sft.recipe(**changes, training={**training, "mirror": memory_url})

    def stop(line: str) -> None:
        if line.startswith("step     2/"):
            os.kill(os.getpid(), signal.SIGTERM)

    assert api.sft(chosen, out=tmp_path / "first", resume=True, show=stop).model is None
    shutil.rmtree(tmp_path / "first")
    lines: list[str] = []
    assert api.sft(chosen, out=tmp_path / "second", resume=True, show=lines.append).model is not None
    assert lines[0].startswith(f"Fetched the run from {memory_url}")
    assert "step-000002" in lines[1]
    one, other = (AutoModelForCausalLM.from_pretrained(tmp_path / name / "model") for name in ("straight", "second"))
    assert straight.model is not None
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())
    copy, _ = fetched(open_store(memory_url), tmp_path / "home")
    assert contents(copy) == contents(tmp_path / "second")
