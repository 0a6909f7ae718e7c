"""Checkpoints: a model in Hub layout, and beside it what the next step depends on.

    step-000050/
        config.json  generation_config.json  model.safetensors  tokenizer.json  ...  README.md
        training_state/state.json             step, policy version, budget spent, random states ...
        training_state/optimizer.safetensors  moments and master weights; a file for each group of tensors
        manifest.json                         size and SHA-256 of each file, written last

Written beside its final name, flushed to the disk, read back and compared with memory bit by bit, hashed, renamed: an
atomic write. One that is replaced stands aside until the new one has its name, and is
brought back if a kill falls between. Tensors are safetensors and the rest is JSON: nothing is ever unpickled.
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
from frugalrl.training.model.policy import Policy
from frugalrl.training.state.manifest import flush_and_drop_cache, write_manifest

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
        flush_and_drop_cache(scratch)
        _compare_model(policy, scratch)


def save_checkpoint(policy: Policy, state: TrainingState, folder: Path, card: str) -> None:
    """Write a checkpoint, all of it or nothing. Raises OutputError if the disk is full or not writable."""
    with _beside(folder) as scratch:
        _write_model(policy, scratch, card)
        beside_model = scratch / _STATE_FOLDER
        beside_model.mkdir()
        for group, tensors in state.tensors.items():
            on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
            safetensors.torch.save_file(on_cpu, beside_model / f"{group}.safetensors")
        (beside_model / _VALUES_FILE).write_text(json.dumps(dict(state.values), indent=2), encoding="utf-8")
        flush_and_drop_cache(scratch)
        _compare_model(policy, scratch)
        for group, tensors in state.tensors.items():
            _compare(beside_model / f"{group}.safetensors", tensors)
        write_manifest(scratch)


def load_training_state(folder: Path) -> TrainingState:
    """The state beside a checkpoint's model. Raises OutputError if it is missing or damaged."""
    beside_model = folder / _STATE_FOLDER
    try:
        values = json.loads((beside_model / _VALUES_FILE).read_text(encoding="utf-8"))
        files = sorted(beside_model.glob("*.safetensors"))
        tensors = {file.stem: safetensors.torch.load_file(file) for file in files}
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
    """Copy a checkpoint's weights into a model of the same shape, in place. Raises OutputError."""
    own = policy.model.state_dict()
    try:
        loaded = [safetensors.torch.load_file(file) for file in _weight_files(folder)]
        tensors = {name: tensor for shard in loaded for name, tensor in shard.items()}
        lacking = "" if _covers(policy, set(tensors)) else "some tensors are missing"
        for name, tensor in tensors.items():
            own[name].copy_(tensor)
    except (OSError, KeyError, RuntimeError, safetensors.SafetensorError) as error:
        lacking = str(error)
    if lacking:
        raise OutputError(f"The weights in {folder} do not fit the model: {lacking}. Use a checkpoint of this run.")


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
    policy.model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _compare_model(policy: Policy, folder: Path) -> None:
    state, seen = policy.model.state_dict(), set()
    for file in _weight_files(folder):
        seen |= _compare(file, state)
    if not _covers(policy, seen):
        raise OSError(errno.EIO, "read back, the model lacks some of its tensors")


def _weight_files(folder: Path) -> list[Path]:
    """One file, or several shards of a large model."""
    return sorted(folder.glob("model*.safetensors"))


def _covers(policy: Policy, names: set[str]) -> bool:
    """Whether these are all tensors of the model; a head that is tied to the embedding is saved once."""
    tied = {"lm_head.weight"} if policy.model.config.tie_word_embeddings else set()
    return set(policy.model.state_dict()) - names <= tied


def _compare(file: Path, tensors: Mapping[str, Tensor]) -> set[str]:
    """The names in a file, each of which holds the bits that memory holds. Raises OSError."""
    with safetensors.safe_open(file, framework="pt") as opened:
        names = set(opened.keys())
        for name in names:
            if not torch.equal(_bytes(opened.get_tensor(name)), _bytes(tensors[name])):
                raise OSError(errno.EIO, f"{file.name}, read back, differs from memory in {name}")
    return names


def _bytes(tensor: Tensor) -> Tensor:
    """The bits, so that a NaN equals itself."""
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8)
