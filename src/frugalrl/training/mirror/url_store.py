"""A URL of fsspec as a mirror: disks, object stores, ssh.

Object stores show a file when it is complete; elsewhere a file is written beside its name and moved.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from frugalrl.errors import RecipeError
from frugalrl.training.mirror.store import Entry

_WHOLE_BY_THEMSELVES = {"memory", "s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "oss", "oci", "r2"}
"""Protocols whose writes are seen when they are complete, and not before."""
_PARTIAL = ".partial"


class FsspecStore:
    """Files below a URL of fsspec."""

    seconds_between = 60.0

    def __init__(self, url: str, filesystem: Any, root: str) -> None:
        protocol = filesystem.protocol if isinstance(filesystem.protocol, str) else filesystem.protocol[0]
        self.url, self._files, self._root = url, filesystem, root.rstrip("/")
        self._is_whole = protocol in _WHOLE_BY_THEMSELVES

    def names(self) -> list[str]:
        self._files.invalidate_cache()
        found = [str(path) for path in self._files.find(self._root)]
        below = [path[len(self._root) :].lstrip("/") for path in found if path.startswith(self._root)]
        return sorted(name for name in below if name and not name.endswith(_PARTIAL))

    def put(self, entries: Sequence[Entry]) -> None:
        for name, source in entries:
            path = self._path(name)
            written = path if self._is_whole else path + _PARTIAL
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            if isinstance(source, bytes):
                self._files.pipe_file(written, source)
            else:
                self._files.put_file(str(source), written)
            if written != path:
                self._files.mv(written, path)

    def read(self, name: str) -> bytes:
        return bytes(self._files.cat_file(self._path(name)))

    def get(self, name: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self._files.get_file(self._path(name), str(target))

    def remove(self, names: Collection[str]) -> None:
        for name in names:
            self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def open_url_store(url: str) -> FsspecStore:
    """Raises RecipeError for a URL that fsspec cannot open here."""
    import fsspec

    try:
        filesystem, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise RecipeError(
            f"training.mirror is {url!r}, and what opens it is not installed. {str(error).splitlines()[0]}: "
            "pip install it, and start again."
        ) from None
    except ValueError as error:
        raise RecipeError(
            f"training.mirror is {url!r}, which cannot be opened: {error}. Give a URL that fsspec knows, such as "
            "s3://bucket/folder or file:///mnt/disk/folder, or hf://org/name for the Hub."
        ) from None
    return FsspecStore(url, filesystem, root)
