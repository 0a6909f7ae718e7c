"""Checkpoints: all or nothing, back again, and damage that is seen."""

import errno
import json
import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from transformers import AutoModelForCausalLM

from frugalrl.errors import OutputError
from frugalrl.files import remove_leftovers
from frugalrl.training.model.policy import Policy
from frugalrl.training.state import checkpoint
from frugalrl.training.state.checkpoint import (
    TrainingState,
    bring_back_replaced,
    checkpoint_name,
    load_training_state,
    load_weights,
    save_checkpoint,
    save_model,
)
from frugalrl.training.state.manifest import damage, write_manifest
from frugalrl.training.state.pointers import BEST, LATEST, newest_intact, point, pointed, rotate
from tests.conftest import random_model

OPTIMIZER = {"exp_avg/a": torch.arange(6.0).reshape(2, 3), "step/a": torch.tensor(7.0)}
STATE = TrainingState({"step": 7}, {"optimizer": OPTIMIZER, "other": {"b": torch.tensor([float("nan"), 1.0])}})


@pytest.fixture(scope="module")
def saved(policy, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "step-000007"
    save_checkpoint(policy, STATE, folder, "card")
    return folder


def copy_as(checkpoint: Path, folder: Path, step: int) -> Path:
    """A whole checkpoint of another step."""
    copied = Path(shutil.copytree(checkpoint, folder / checkpoint_name(step)))
    (copied / "training_state" / "state.json").write_text(json.dumps({"step": step}))
    (copied / "manifest.json").unlink()
    write_manifest(copied)
    return copied


@pytest.fixture
def three(saved, tmp_path) -> Path:
    """A `checkpoints` folder with steps 10, 20 and 30."""
    for step in (10, 20, 30):
        copy_as(saved, tmp_path, step)
    point(tmp_path, LATEST, "step-000030")
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_state_comes_back_as_it_was(saved):
    loaded = load_training_state(saved)
    assert loaded.values == {"step": 7}
    assert {group: list(tensors) for group, tensors in loaded.tensors.items()} == {
        "optimizer": ["exp_avg/a", "step/a"],
        "other": ["b"],
    }
    assert all(torch.equal(loaded.tensors["optimizer"][name], tensor) for name, tensor in OPTIMIZER.items())
    assert names(saved.parent) == ["step-000007"]


def test_a_checkpoint_is_an_ordinary_hub_model(saved, policy):
    loaded = AutoModelForCausalLM.from_pretrained(saved, dtype="auto").state_dict()
    for name, tensor in policy.model.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


@pytest.mark.parametrize(("tied", "dtype"), [(True, torch.float32), (False, torch.float32), (False, torch.bfloat16)])
def test_weights_go_back_into_a_model_that_has_moved_on(tokenizer, tmp_path, tied, dtype):
    policy = Policy(random_model("qwen2", tokenizer, tied=tied).to(dtype), tokenizer, "random")
    before = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
    own = next(policy.model.parameters())
    save_checkpoint(policy, STATE, tmp_path / "step-000007", "card")
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(1.0)
    load_weights(policy, tmp_path / "step-000007")
    assert all(torch.equal(tensor, before[name]) for name, tensor in policy.model.state_dict().items())
    assert next(policy.model.parameters()) is own  # the optimizer still holds it


def test_weights_of_another_model_are_refused(saved, tokenizer):
    other = Policy(random_model("qwen2", tokenizer, layers=3), tokenizer, "random")
    with pytest.raises(OutputError, match="do not fit the model: some tensors are missing"):
        load_weights(other, saved)


# ----------------------------------------------------------------------------------------------------- damage

DAMAGES = {
    "model.safetensors does not have the SHA-256": lambda at: flip_a_bit(at / "model.safetensors"),
    "training_state/optimizer.safetensors does not have": lambda at: flip_a_bit(
        at / "training_state" / "optimizer.safetensors"
    ),
    "training_state/state.json is missing": lambda at: (at / "training_state" / "state.json").unlink(),
    "manifest.json is missing": lambda at: (at / "manifest.json").unlink(),
    "manifest.json cannot be read": lambda at: (at / "manifest.json").write_text('{"files": {"mod'),
    "bytes instead of": lambda at: os.truncate(at / "model.safetensors", 1000),
}


@pytest.mark.parametrize("says", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_taken(three, says):
    DAMAGES[says](three / "step-000030")
    found, notes = newest_intact(three)
    assert found.name == "step-000020"
    assert len(notes) == 1
    assert "step-000030 is damaged" in notes[0]
    assert says in notes[0]


def test_a_file_that_the_manifest_does_not_know_is_no_damage(three):
    (three / "step-000030" / ".DS_Store").write_text("")
    assert damage(three / "step-000030") is None


def test_the_pointer_latest_says_where_to_go_on_and_can_be_lost(three):
    point(three, LATEST, "step-000020")  # killed after the rename of step 30, before the pointer moved
    assert newest_intact(three)[0].name == "step-000020"
    (three / LATEST).unlink()
    assert newest_intact(three)[0].name == "step-000030"
    (three / LATEST).write_text("../../etc")
    assert newest_intact(three)[0].name == "step-000030"
    point(three, LATEST, "step-000025")  # removed by hand
    found, notes = newest_intact(three)
    assert found.name == "step-000020"
    assert "step-000025" in notes[0]


def test_no_checkpoint_is_none_and_only_damaged_ones_are_an_error(three, tmp_path):
    assert newest_intact(tmp_path / "nowhere") == (None, [])
    for step in (10, 20, 30):
        flip_a_bit(three / checkpoint_name(step) / "model.safetensors")
    with pytest.raises(
        OutputError, match=r"No checkpoint in .* is intact\. .*step-000030.*step-000010.* start a new run"
    ):
        newest_intact(three)


def test_a_damaged_state_is_a_message(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "step-000007")
    os.truncate(tmp_path / "step-000007" / "training_state" / "optimizer.safetensors", 20)
    with pytest.raises(OutputError, match="cannot be resumed from"):
        load_training_state(tmp_path / "step-000007")


def test_what_the_disk_gives_back_is_compared_with_memory(policy, tmp_path, monkeypatch):
    """A disk that loses a bit between the flush and the reading."""

    def lose_a_bit(folder: Path) -> None:
        flip_a_bit(folder / "model.safetensors")

    monkeypatch.setattr(checkpoint, "flush_and_drop_cache", lose_a_bit)
    with pytest.raises(OutputError, match="read back, differs from memory"):
        save_checkpoint(policy, STATE, tmp_path / "step-000007", "card")
    assert names(tmp_path) == []


def test_a_save_and_a_load_have_one_tensor_of_a_file_in_memory_at_a_time(policy, tmp_path, monkeypatch):
    """Pages of an open file that were read count as resident: the states' were the largest peak of a run on a CPU."""
    read: list[int] = []

    class Counting:
        def __init__(self, file, framework):
            self.opened, self.count = open_file(file, framework=framework), 0

        def __enter__(self):
            self.inner = self.opened.__enter__()
            return self

        def __exit__(self, *error):
            read.append(self.count)
            return self.opened.__exit__(*error)

        def __getattr__(self, name):
            self.count += name == "get_tensor"
            return getattr(self.inner, name)

    open_file = safetensors.safe_open
    monkeypatch.setattr(safetensors, "safe_open", Counting)
    save_checkpoint(policy, STATE, tmp_path / "step-000007", "card")
    checkpoint.load_weights(policy, tmp_path / "step-000007")
    tensors = len(policy.untied())
    assert read.count(1) == 2 * tensors + sum(map(len, STATE.tensors.values()))
    assert set(read) == {0, 1}


# ------------------------------------------------------------------------------------------- pointers, rotation


def test_a_pointer_names_a_checkpoint_that_is_there(three):
    assert pointed(three, BEST) is None
    point(three, BEST, "step-000010")
    assert pointed(three, BEST) == three / "step-000010"
    assert (three / BEST).read_text() == "step-000010\n"
    point(three, BEST, "step-000099")
    assert pointed(three, BEST) is None


@pytest.mark.parametrize(
    ("keep_last", "keep_steps", "best", "left"),
    [
        (None, (), None, [10, 20, 30]),
        (1, (), None, [30]),
        (2, (), None, [20, 30]),
        (9, (), None, [10, 20, 30]),
        (1, (10,), None, [10, 30]),
        (1, (), "step-000020", [20, 30]),
    ],
)
def test_rotation_keeps_the_newest_the_best_and_those_asked_for(three, keep_last, keep_steps, best, left):
    if best:
        point(three, BEST, best)
    removed = rotate(three, keep_last, keep_steps)
    assert [path.name for path in sorted(three.glob("step-*"))] == [checkpoint_name(step) for step in left]
    assert removed == [checkpoint_name(step) for step in (10, 20, 30) if step not in left]
    assert [name for name in names(three) if name.startswith(".")] == []


def test_rotation_never_removes_what_a_resume_needs(three):
    point(three, LATEST, "step-000010")
    assert rotate(three, 1) == ["step-000020"]
    assert newest_intact(three)[0].name == "step-000010"


# --------------------------------------------------------------------------------- replacing, and failing at it


def test_at_every_moment_of_a_replacement_a_whole_checkpoint_can_be_found(policy, saved, tmp_path, monkeypatch):
    """A kill after any of the renames, played back on a copy of the folder as it then stood."""
    shutil.copytree(saved, tmp_path / "run" / "step-000007")
    moments = []
    rename = Path.rename

    def watched(path: Path, target: Path) -> Path:
        done = rename(path, target)
        moments.append(shutil.copytree(tmp_path / "run", tmp_path / f"moment-{len(moments)}"))
        return done

    monkeypatch.setattr(Path, "rename", watched)
    save_checkpoint(policy, TrainingState({"step": 7, "again": True}, {}), tmp_path / "run" / "step-000007", "card")
    monkeypatch.undo()
    assert len(moments) == 2
    again = []
    for moment in moments:
        remove_leftovers(moment)
        bring_back_replaced(moment)
        found, notes = newest_intact(moment)
        assert (names(moment), notes) == (["step-000007"], [])
        again.append("again" in load_training_state(found).values)
    assert again == [False, True]
    assert names(tmp_path / "run") == ["step-000007"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        safetensors.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_in_the_middle_leaves_what_was_there(policy, tmp_path, monkeypatch, error):
    save_model(policy, tmp_path / "model", "old card")

    def fail(*arguments):
        raise error

    monkeypatch.setattr(safetensors.torch, "save_file", fail)
    with pytest.raises(OutputError, match=r"No space left on device.* Free some space and resume"):
        save_checkpoint(policy, STATE, tmp_path / "model", "new card")
    assert (tmp_path / "model" / "README.md").read_text() == "old card"
    assert names(tmp_path) == ["model"]


def test_a_file_that_may_not_grow_is_a_message(policy, saved, tmp_path):
    """The operating system's own error, through the real writer: no file may exceed 64 KiB."""
    shutil.copytree(saved, tmp_path / "step-000007")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(OutputError, match=r"cannot be written: .*too large"):
            save_checkpoint(policy, STATE, tmp_path / "step-000007", "card")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert damage(tmp_path / "step-000007") is None
    assert names(tmp_path) == ["step-000007"]


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 1 MiB."""
    (tmp_path / "disk").mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path / "disk")]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no right to mount a file system here")
    yield tmp_path / "disk"
    subprocess.run(["umount", str(tmp_path / "disk")], check=True)


def test_a_disk_that_is_really_full_loses_nothing(policy, small_disk):
    save_checkpoint(policy, STATE, small_disk / "step-000007", "card")
    (small_disk / "ballast").write_bytes(bytes(300_000))
    with pytest.raises(OutputError, match=r"No space left on device.* Free some space and resume"):
        save_checkpoint(policy, STATE, small_disk / "step-000008", "card")
    with pytest.raises(OutputError, match="Free some space"):
        save_checkpoint(policy, STATE, small_disk / "step-000007", "another card")
    assert names(small_disk) == ["ballast", "step-000007"]
    assert damage(small_disk / "step-000007") is None
    assert (small_disk / "step-000007" / "README.md").read_text() == "card"


def test_a_disk_that_is_read_only_is_a_message(policy, saved, small_disk):
    shutil.copytree(saved, small_disk / "step-000007")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OutputError, match=r"Read-only file system.* Check the folder's rights"):
        save_checkpoint(policy, STATE, small_disk / "step-000008", "card")
    with pytest.raises(OutputError, match="Check space and rights"):
        point(small_disk, BEST, "step-000007")
    assert damage(small_disk / "step-000007") is None


# ---------------------------------------------------------------------------------- memory, rights, other readers


@pytest.mark.parametrize(("limit", "files"), [(1 << 30, 1), (40, 2), (1, 2)])
def test_a_group_is_written_in_files_of_bounded_size_and_comes_back_whole(policy, tmp_path, monkeypatch, limit, files):
    """What a save holds in host memory of a GPU's tensors is one file: 24 + 4 bytes here, in one file or in two."""
    written = []
    save_file = safetensors.torch.save_file

    def watched(tensors, path, *arguments, **named):
        if "optimizer" in Path(path).name:
            written.append(sum(tensor.nbytes for tensor in tensors.values()))
        return save_file(tensors, path, *arguments, **named)

    monkeypatch.setattr(checkpoint, "_GROUP_FILE_BYTES", min(limit, 24) if limit < 100 else limit)
    monkeypatch.setattr(safetensors.torch, "save_file", watched)
    save_checkpoint(policy, STATE, tmp_path / "step-000007", "card")
    assert len(written) == files
    assert sum(written) == 28
    assert max(written) <= max(24, 28 if files == 1 else 24)
    loaded = load_training_state(tmp_path / "step-000007").tensors["optimizer"]
    assert all(torch.equal(loaded[name], tensor) for name, tensor in OPTIMIZER.items())
    assert damage(tmp_path / "step-000007") is None


def test_a_part_of_a_group_that_the_disk_lost_is_missed(policy, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "_GROUP_FILE_BYTES", 24)

    def lose_a_file(folder: Path) -> None:
        (folder / "training_state" / "optimizer.00002.safetensors").unlink()

    monkeypatch.setattr(checkpoint, "flush_and_drop_cache", lose_a_file)
    with pytest.raises(OutputError, match=r"step/a, read back, is missing"):
        save_checkpoint(policy, STATE, tmp_path / "step-000007", "card")


def test_every_file_has_the_rights_that_the_umask_gives(policy, tmp_path):
    before = os.umask(0o027)
    try:
        save_checkpoint(policy, STATE, tmp_path / "step-000007", "card")
        save_model(policy, tmp_path / "model", "card")
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert {path.stat().st_mode & 0o777 for path in files} == {0o640}


def test_weights_that_do_not_fit_change_nothing_and_say_which(policy, saved, tokenizer, tmp_path):
    shutil.copytree(saved, tmp_path / "other")
    stored = safetensors.torch.load_file(saved / "model.safetensors")
    own = Policy(random_model("qwen2", tokenizer), tokenizer, "random")
    before = {name: tensor.clone() for name, tensor in own.model.state_dict().items()}
    for change, says in (
        ({"model.norm.weight": torch.ones(3)}, r"model\.norm\.weight has the shape \[3\] and the model \[64\]"),
        ({"model.more": torch.ones(3)}, r"model\.more is not in the model"),
    ):
        shifted = {name: tensor + 1 for name, tensor in stored.items()} | change
        safetensors.torch.save_file(shifted, tmp_path / "other" / "model.safetensors")
        with pytest.raises(OutputError, match=says):
            load_weights(own, tmp_path / "other")
        assert all(torch.equal(tensor, before[name]) for name, tensor in own.model.state_dict().items())


def test_a_resume_holds_one_tensor_of_the_optimizer_at_a_time_and_says_which_file_is_gone(tmp_path):
    names = ("optimizer.00001", "optimizer.00002", "reference")
    (tmp_path / "training_state").mkdir()
    (tmp_path / "training_state" / "state.json").write_text("{}")
    for number, name in enumerate(names):
        tensors = {f"t{number}": torch.full((3,), float(number))}
        safetensors.torch.save_file(tensors, tmp_path / "training_state" / f"{name}.safetensors")
    found = load_training_state(tmp_path).tensors
    assert {group: list(tensors) for group, tensors in found.items()} == {
        "optimizer": ["t0", "t1"],
        "reference": ["t2"],
    }
    assert found["optimizer"]["t1"].tolist() == [1.0] * 3
    assert found["optimizer"]["t1"] is not found["optimizer"]["t1"], "read again, not kept"
    assert "t2" not in found["optimizer"]
    (tmp_path / "training_state" / "optimizer.00002.safetensors").unlink()
    with pytest.raises(OutputError, match=r"optimizer\.00002\.safetensors can no longer be read"):
        found["optimizer"]["t1"]
