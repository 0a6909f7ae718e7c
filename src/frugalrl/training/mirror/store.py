"""Where a mirror lies: a place of files by name, behind fsspec (disks, object stores, ssh) or the Hub.

    s3://bucket/runs/one   gs://...   file:///mnt/disk/one   memory://one   hf://org/name

A file of a store is whole or absent. Whether several files belong together is up to who writes them.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

Entry = tuple[str, Path | bytes]
"""The name that a file gets, and the file or its content."""


class Store(Protocol):
    """A place of files."""

    url: str
    seconds_between: float
    """Between copies of files that grow."""

    def names(self) -> list[str]:
        """All files, in order; none if there is nothing yet."""
        ...

    def put(self, entries: Sequence[Entry]) -> None:
        """Write files, one after the other or all at once; an error leaves those before it."""
        ...

    def read(self, name: str) -> bytes: ...

    def get(self, name: str, target: Path) -> None: ...

    def remove(self, names: Collection[str]) -> None: ...
