"""Which verifier this installation has: a hash of the code that reads and judges answers.

A version number changes with a release, verdicts change with a fix. So a results file keeps the hash of the files that
can move a verdict, and of the versions of the libraries they call.
"""

import functools
import hashlib
from collections.abc import Iterator
from importlib import metadata, resources
from importlib.resources.abc import Traversable

_ROOMS = ("verify", "tasks")
_FILES = ("text/reasoning.py",)
_LIBRARIES = ("math-verify", "latex2sympy2_extended", "sympy")
_HEX_DIGITS = 16


@functools.cache
def verifier_digest() -> str:
    """Sixteen hexadecimal digits that change with every change of code that can move a verdict."""
    package = resources.files("frugalrl")
    files = [*(file for room in _ROOMS for file in _sources(package / room)), *(package / name for name in _FILES)]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    for library in _LIBRARIES:
        digest.update(f"{library} {metadata.version(library)}\0".encode())
    return digest.hexdigest()[:_HEX_DIGITS]


def _sources(folder: Traversable) -> Iterator[Traversable]:
    """The Python files below a folder, in the order of their names."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _sources(entry)
        elif entry.name.endswith(".py"):
            yield entry
