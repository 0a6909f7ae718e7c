"""The manifest of a checkpoint: size and SHA-256 of each of its files, written last.

    manifest.json   {"files": {"model.safetensors": {"size": 3718152, "sha256": "9f2c..."}, ...}}

Decisions:
- A checkpoint without a manifest is damaged: it was not written to the end.
- Files that are not in the manifest are ignored: a file of an indexer or a copying tool is no damage. The model card is
  not in it either: nothing is resumed from it, and people edit it.

Not covered: tampering. Anyone who can change a file can change the manifest; it protects against disks, copies and
kills.
"""

import hashlib
import json
import os
from pathlib import Path

from frugalrl.files import sync

MANIFEST = "manifest.json"
_CARD = "README.md"
_CHUNK_BYTES = 1 << 20


def write_manifest(folder: Path) -> None:
    """Hash the files below a folder, and write the manifest, flushed. Raises OSError."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names = sorted(name for name in paths if name != _CARD)
    files = {name: {"size": (folder / name).stat().st_size, "sha256": _sha256(folder / name)} for name in names}
    (folder / MANIFEST).write_text(json.dumps({"files": files}, indent=2) + "\n", encoding="utf-8")
    sync(folder / MANIFEST)


def damage(folder: Path) -> str | None:
    """What is wrong with a folder by its manifest, e.g. ``model.safetensors is missing``; None if it is intact."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        expected = {str(name): (int(entry["size"]), str(entry["sha256"])) for name, entry in files.items()}
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} cannot be read"
    sizes = {name: _size(folder / name) for name in expected}
    for name, (size, _) in expected.items():  # sizes first: they cost nothing
        if sizes[name] is None:
            return f"{name} is missing"
        if sizes[name] != size:
            return f"{name} has {sizes[name]} bytes instead of {size}"
    for name, (_, sha256) in expected.items():
        try:
            if _sha256(folder / name) != sha256:
                return f"{name} does not have the SHA-256 of the manifest"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
    return None


def flush_and_drop_cache(folder: Path) -> None:
    """Flush every file below a folder to disk and drop it from the page cache, so that it is read back from disk.

    Raises OSError.
    """
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            if path.is_file() and hasattr(os, "posix_fadvise"):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
