"""Frugalrl's worker extension with faults that a test switches on by a file, for a real vLLM server.

The file named by FRUGALRL_TEST_FAULTS holds one word: ``old_head``, ``lost_tensor``, ``skipped``, or nothing.
"""

import os
from pathlib import Path

import frugalrl_worker as real
from frugalrl_worker import Extension as Extension  # what vLLM loads from here


def _fault() -> str:
    path = Path(os.environ["FRUGALRL_TEST_FAULTS"])
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


_repack, _read = real._repack_embeddings, real._from_folder


def _repack_or_not(model):
    return [] if _fault() == "old_head" else _repack(model)


def _read_or_not(folder):
    for name, tensor in _read(folder):
        if _fault() == "lost_tensor" and name.endswith("layers.1.mlp.down_proj.weight"):
            continue
        yield name, tensor


real._repack_embeddings, real._from_folder = _repack_or_not, _read_or_not
