"""Writing a text file so that its name never stands for half of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from frugalrl.errors import OutputError


@contextmanager
def written_whole(path: Path) -> Iterator[TextIO]:
    """A file to write UTF-8 text to, which takes its name (and the place of an older one) at the end of the block.

    If the block fails, what stood under the name is as it was. Raises OutputError if it cannot be written.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("w", encoding="utf-8") as file:
            yield file
        os.replace(scratch, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path} cannot be written: {reason}. Check space and rights.") from None
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
