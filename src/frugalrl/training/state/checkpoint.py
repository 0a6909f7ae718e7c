"""Checkpoints: a model in Hub layout, and beside it what the next step depends on.

    step-000050/
        config.json  generation_config.json  model.safetensors  tokenizer.json  ...  README.md
                                              with LoRA: adapter_config.json  adapter_model.safetensors  README.md
        training_state/state.json             step, policy version, budget spent, random states ...
        training_state/optimizer.safetensors  moments and master weights; a file for each group of tensors,
                                              or optimizer.00001.safetensors ... where it is more than 1 GiB
        manifest.json                         size and SHA-256 of each file, written last

Written beside its final name, flushed to the disk, read back and compared with memory bit by bit, hashed, renamed: an
atomic write. One that is replaced stands aside until the new one has its name, and is
brought back if a kill falls between. Tensors are safetensors and the rest is JSON: nothing is ever unpickled.
Files are written and compared one after the other, so that tensors of a GPU pass through host memory a file at a time.
Which checkpoints there are, and which stay, is in `pointers.py`.
"""

import errno
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from frugalrl.errors import OutputError
from frugalrl.files import PARTIAL, sync
from frugalrl.training.model.parts import assign
from frugalrl.training.model.policy import Policy
from frugalrl.training.state.manifest import flush_and_drop_cache, write_manifest
from frugalrl.training.state.portable import give_rights_of
from frugalrl.training.state.stored_tensors import StoredTensors

_GROUP_FILE_BYTES = 1 << 30
"""Of a file of the training state: what a save holds in host memory of tensors that lie on a GPU."""
_CARD_FILE = "README.md"
_STATE_FOLDER = "training_state"
_VALUES_FILE = "state.json"
_REPLACED = ".replaced"


@dataclass(frozen=True)
class TrainingState:
    """What a run needs, beside the weights, to continue where it stopped."""

    values: Mapping[str, Any]
    """JSON values: step, policy version, budget spent ..."""
    tensors: Mapping[str, Mapping[str, Tensor]]
    """Groups of tensors, each a file: ``optimizer`` ..."""


def save_model(policy: Policy, folder: Path, card: str) -> None:
    """Write model, tokenizer and model card in Hub layout, all of it or nothing. Raises OutputError."""
    with _beside(folder) as scratch:
        _write_model(policy, scratch, card)
        give_rights_of(scratch / _CARD_FILE, scratch)
        flush_and_drop_cache(scratch)
        _compare_model(policy, scratch)


def save_checkpoint(policy: Policy, state: TrainingState, folder: Path, card: str) -> None:
    """Write a checkpoint, all of it or nothing. Raises OutputError if the disk is full or not writable."""
    with _beside(folder) as scratch:
        _write_model(policy, scratch, card)
        beside_model = scratch / _STATE_FOLDER
        beside_model.mkdir()
        for group, tensors in state.tensors.items():
            _write_group(beside_model, group, tensors)
        (beside_model / _VALUES_FILE).write_text(json.dumps(dict(state.values), indent=2), encoding="utf-8")
        give_rights_of(scratch / _CARD_FILE, scratch)
        flush_and_drop_cache(scratch)
        _compare_model(policy, scratch)
        for group, tensors in state.tensors.items():
            _compare_all(_group_files(beside_model, group), tensors, set(tensors))
        write_manifest(scratch)


def load_training_state(folder: Path) -> TrainingState:
    """The state beside a checkpoint's model, whose tensors are read when they are asked for.

    Raises OutputError if it is missing or damaged.
    """
    beside_model = folder / _STATE_FOLDER
    try:
        values = json.loads((beside_model / _VALUES_FILE).read_text(encoding="utf-8"))
        groups = {file.name.partition(".")[0] for file in beside_model.glob("*.safetensors")}
        tensors = {group: StoredTensors(_group_files(beside_model, group)) for group in sorted(groups)}
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise OutputError(
            f"The checkpoint {folder} cannot be resumed from: {error}. Remove it to resume from the one before it."
        ) from None
    return TrainingState(values, tensors)


def saved_step(folder: Path) -> int | None:
    """The step that a checkpoint says it was made after; None if it says nothing."""
    try:
        values = json.loads((folder / _STATE_FOLDER / _VALUES_FILE).read_text(encoding="utf-8"))
        return int(values["step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load_weights(policy: Policy, folder: Path) -> None:
    """Copy a checkpoint's weights into a model of the same shape, in place, a tensor at a time. Raises OutputError."""
    own = policy.saved_tensors()
    try:
        differs = _difference(policy, folder)
        stored = StoredTensors([] if differs else _weight_files(policy, folder))
        for name in stored:
            assign(own[name], stored.read(name))
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        differs = str(error)
    if differs:
        raise OutputError(f"The weights in {folder} do not fit the model: {differs}. Use a checkpoint of this run.")


def _difference(policy: Policy, folder: Path) -> str | None:
    """How the tensors in a folder differ from those of a model in names or shapes; None if they do not."""
    own = {name: list(tensor.shape) for name, tensor in policy.saved_tensors().items()}
    names: set[str] = set()
    for file in _weight_files(policy, folder):
        with safetensors.safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118  # a file's keys, not a dict's
                if name not in own:
                    return f"{name} is not in the model"
                shape = opened.get_slice(name).get_shape()
                if shape != own[name]:
                    return f"{name} has the shape {shape} and the model {own[name]}"
                names.add(name)
    lacking = sorted(policy.untied() - names)
    return f"some tensors are missing ({lacking[0]}, {len(lacking)} in all)" if lacking else None


def checkpoint_name(step: int) -> str:
    """The folder name of a step's checkpoint; names sort as steps do."""
    return f"step-{step:06d}"


def bring_back_replaced(parent: Path) -> None:
    """After a kill in the middle of a replacement: what stood aside gets its name back, or goes if the new one stands.

    Nobody may be writing below `parent`.
    """
    for aside in parent.glob(f".*{_REPLACED}"):
        folder = parent / aside.name.removeprefix(".").removesuffix(_REPLACED)
        if folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(folder)


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A scratch folder that becomes `folder` when everything went well, and vanishes otherwise."""
    scratch = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:8]}{PARTIAL}"
    try:
        scratch.mkdir(parents=True)
        yield scratch
        _put(scratch, folder)
    except (OSError, safetensors.SafetensorError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        advice = "Free some space and resume." if full else "Check the folder's rights, and the disk."
        raise OutputError(f"{folder} cannot be written: {error}. {advice}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _put(scratch: Path, folder: Path) -> None:
    """Give a finished folder its name. An older one stands aside meanwhile, whole."""
    aside = folder.parent / f".{folder.name}{_REPLACED}"
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    try:
        scratch.rename(folder)
    except OSError:
        with suppress(OSError):
            aside.rename(folder)
        raise
    sync(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _write_model(policy: Policy, folder: Path, card: str) -> None:
    policy.write(folder)
    (folder / _CARD_FILE).write_text(card, encoding="utf-8")


def _write_group(folder: Path, group: str, tensors: Mapping[str, Tensor]) -> None:
    """One file, or several of at most 1 GiB where a tensor allows. Only one file's tensors are copied to the host."""
    parts = list(_parts(tensors))
    for number, names in enumerate(parts, start=1):
        part = f".{number:05d}" if len(parts) > 1 else ""
        on_cpu = {name: tensors[name].detach().cpu().contiguous() for name in names}
        safetensors.torch.save_file(on_cpu, folder / f"{group}{part}.safetensors")
        del on_cpu


def _parts(tensors: Mapping[str, Tensor]) -> Iterator[list[str]]:
    """The names in order, cut where a file would grow too large; one empty part if there are none."""
    names: list[str] = []
    size = 0
    for name, tensor in tensors.items():
        if names and size + tensor.nbytes > _GROUP_FILE_BYTES:
            yield names
            names, size = [], 0
        names.append(name)
        size += tensor.nbytes
    yield names


def _group_files(folder: Path, group: str) -> list[Path]:
    return sorted(file for file in folder.glob("*.safetensors") if file.name.partition(".")[0] == group)


def _weight_files(policy: Policy, folder: Path) -> list[Path]:
    return sorted(folder.glob(policy.stored))


def _compare_model(policy: Policy, folder: Path) -> None:
    _compare_all(_weight_files(policy, folder), policy.saved_tensors(), policy.untied())


def _compare_all(files: list[Path], tensors: Mapping[str, Tensor], wanted: set[str]) -> None:
    """Raises OSError if a wanted tensor is in none of the files, or one differs from memory."""
    seen = {name for file in files for name in _compare(file, tensors)}
    if not wanted <= seen:
        raise OSError(errno.EIO, f"{min(wanted - seen)}, read back, is missing")


def _compare(file: Path, tensors: Mapping[str, Tensor]) -> set[str]:
    """The names in a file, each of which holds the bits that memory holds. Raises OSError.

    Each is read alone: pages of a file that is open count as memory of this process, which for the optimizer's states
    would be the largest peak of a run on a CPU.
    """
    stored = StoredTensors([file])
    for name in stored:
        if not torch.equal(_bytes(stored.read(name)), _bytes(tensors[name])):
            raise OSError(errno.EIO, f"{file.name}, read back, differs from memory in {name}")
    return set(stored)


def _bytes(tensor: Tensor) -> Tensor:
    """The bits, so that a NaN equals itself."""
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8)
