"""Kernels kept on disk are compiled anew when a source that they are made of changes."""

import ast
import hashlib
from pathlib import Path

import pytest

from frugalrl.kernels import attention_loops, decoding, drawing, elementwise, layers, products

ROOM = Path(decoding.__file__).parent


def sources(module: str) -> set[str]:
    """The files of the room that a module imports, and what those import."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOM / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("frugalrl.kernels"):
            inside = node.module.removeprefix("frugalrl.kernels").lstrip(".")
            found |= {inside} if inside else {alias.name for alias in node.names}
    return found.union(*(sources(one) for one in found))


@pytest.mark.parametrize("module", [attention_loops, decoding, drawing, elementwise, layers, products])
def test_a_change_of_what_kernels_are_made_of_changes_their_own_file(module):
    """numba looks at the file of a kernel only: what was kept on disk would be used with other parts."""
    files = [ROOM / f"{name}.py" for name in sorted(sources(module.__name__.rpartition(".")[2]))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    assert digest == module.SOURCES_DIGEST, f"write {digest!r} into {module.__name__}"


def test_every_module_with_kernels_on_disk_is_asked():
    kept = {path.stem for path in ROOM.glob("*.py") if {"@compiled", "@summed_freely"} & set(path.read_text().split())}
    assert kept == {"attention_loops", "decoding", "drawing", "elementwise", "layers", "products"}
