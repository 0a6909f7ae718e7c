"""Checkpoints: a model in Hub layout, and beside it what the next step depends on.

    step-000050/
        config.json  generation_config.json  model.safetensors  tokenizer.json  ...  README.md
        training_state/state.json             step, policy version, position in the data
        training_state/optimizer.safetensors  moments and master weights

A checkpoint is written beside its final name, flushed, and renamed, so that a name never stands for half a
checkpoint. Tensors are safetensors and the rest is JSON: nothing is ever unpickled.
"""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from frugalrl.errors import OutputError
from frugalrl.training.policy import Policy

_STATE_FOLDER = "training_state"


@dataclass(frozen=True)
class TrainingState:
    """What a run needs, beside the weights, to go on where it stopped."""

    values: Mapping[str, Any]
    """JSON values: step, policy version, position of the sampler ..."""
    tensors: Mapping[str, Tensor]
    """The optimizer's."""


def save_model(policy: Policy, folder: Path, card: str) -> None:
    """Write model, tokenizer and model card in Hub layout, all of it or nothing. Raises OutputError."""
    with _beside(folder) as scratch:
        _write_model(policy, scratch, card)


def save_checkpoint(policy: Policy, state: TrainingState, folder: Path, card: str) -> None:
    """Write a checkpoint, all of it or nothing. Raises OutputError if the disk is full or not writable."""
    with _beside(folder) as scratch:
        _write_model(policy, scratch, card)
        beside_model = scratch / _STATE_FOLDER
        beside_model.mkdir()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
        safetensors.torch.save_file(tensors, beside_model / "optimizer.safetensors")
        (beside_model / "state.json").write_text(json.dumps(dict(state.values), indent=2), encoding="utf-8")


def load_training_state(folder: Path) -> TrainingState:
    """The state beside a checkpoint's model. Raises OutputError if it is missing or damaged."""
    try:
        values = json.loads((folder / _STATE_FOLDER / "state.json").read_text(encoding="utf-8"))
        tensors = safetensors.torch.load_file(folder / _STATE_FOLDER / "optimizer.safetensors")
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise OutputError(
            f"The checkpoint {folder} cannot be resumed from: {error}. Remove it to resume from the one before it."
        ) from None
    return TrainingState(values, tensors)


def checkpoint_name(step: int) -> str:
    """The folder name of a step's checkpoint; names sort as steps do."""
    return f"step-{step:06d}"


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint below a run's `checkpoints` folder, if there is one."""
    whole = [path for path in sorted(folder.glob("step-*")) if (path / _STATE_FOLDER / "state.json").is_file()]
    return whole[-1] if whole else None


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A scratch folder that becomes `folder` when everything went well, and vanishes otherwise."""
    scratch = folder.parent / f".{folder.name}-{uuid.uuid4().hex[:8]}"
    try:
        scratch.mkdir(parents=True)
        yield scratch
        _flush(scratch)
        if folder.exists():
            shutil.rmtree(folder)
        scratch.rename(folder)
    except (OSError, safetensors.SafetensorError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        advice = "Free some space and resume." if full else "Check the folder's rights."
        raise OutputError(f"{folder} cannot be written: {error}. {advice}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_model(policy: Policy, folder: Path, card: str) -> None:
    policy.model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _flush(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
