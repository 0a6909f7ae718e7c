"""Whole files or none: what a kill in the middle of a write leaves is removed before the folder is used again."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from frugalrl.data.tables import write_parquet
from frugalrl.files import atomic_write, remove_leftovers
from frugalrl.reporting import report


def _write_text(path: Path) -> None:
    with atomic_write(path) as file:
        file.write("text")


def _write_table(path: Path) -> None:
    write_parquet(path, [{"problem": "1 + 1", "answer": 2}], ["problem", "answer"])


def _write_page(path: Path) -> None:
    report._write(path.with_suffix(".html"), "<html></html>", "card")


def killed_before_the_rename(write: Callable[[Path], None], path: Path) -> bool:
    """Whether a child process that writes a file is killed at the moment at which the file would get its name."""
    child = os.fork()
    if child == 0:
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        write(path)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("write", [_write_text, _write_table, _write_page])
def test_what_a_killed_write_leaves_is_removed(write, tmp_path):
    path = tmp_path / "folder" / "file.jsonl"
    assert killed_before_the_rename(write, path)
    left = list(path.parent.iterdir())
    assert left
    assert all(file.name.startswith(".") for file in left)
    remove_leftovers(tmp_path)
    assert list(path.parent.iterdir()) == []
