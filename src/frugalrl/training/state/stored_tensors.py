"""Tensors in safetensors files, each read when it is asked for: no process holds all of a checkpoint in its memory."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import safetensors
from torch import Tensor

from frugalrl.errors import OutputError


class StoredTensors(Mapping[str, Tensor]):
    """The tensors of some files, by name."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Reads the names. Raises OSError and SafetensorError."""
        self._files: dict[str, Path] = {}
        for file in files:
            with safetensors.safe_open(file, framework="pt") as opened:
                self._files.update(dict.fromkeys(opened.keys(), file))

    def __getitem__(self, name: str) -> Tensor:
        """Read one. Raises OutputError if its file has changed since the names were read."""
        try:
            return self.read(name)
        except (OSError, safetensors.SafetensorError) as error:
            raise OutputError(
                f"{self._files[name]} can no longer be read: {error}. Look at the disk, and resume with --resume."
            ) from None

    def read(self, name: str) -> Tensor:
        """Read one, from a file that is open for no longer than that. Raises OSError and SafetensorError."""
        with safetensors.safe_open(self._files[name], framework="pt") as opened:
            tensor: Tensor = opened.get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)
