"""How a policy's weights reach vLLM servers: written to a folder that both sides see, or broadcast between GPUs.

Each way sends to one server at a time and leaves the order of calls (pause, start, send, finish, resume) to the engine.
Tensors go in the names of the Hub; a head that is tied to the embedding is sent once, as the embedding.
"""

import shutil
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Protocol

import safetensors
import safetensors.torch
from torch import Tensor

from frugalrl.errors import OutputError
from frugalrl.rollout.server.client import Server
from frugalrl.rollout.server.worker.frugalrl_worker import broadcast, digest, join_group

_FILE_BYTES = 1 << 30
"""Of a file of weights: what lies in host memory at once of tensors on a GPU."""
_GROUP_SECONDS = 300


class Transfer(Protocol):
    """A way for weights to reach servers."""

    def prepare(self, model: Any, version: str) -> Mapping[str, str]:
        """Take up the weights of a transformers model; returns the checksum of each tensor."""
        ...

    def connect(self, server: Server) -> None:
        """Get ready to send to a server that was just started or reached."""
        ...

    def send(self, server: Server) -> None:
        """Send what was prepared last. Raises ServerFault."""
        ...

    def close(self) -> None:
        """Remove what was written, and leave groups."""
        ...


class FolderTransfer:
    """Through safetensors in a folder: any number of servers, on any machine that mounts it."""

    def __init__(self, folder: Path) -> None:
        """folder: of this run alone; what a killed process left in it is removed."""
        self._folder = folder
        self._current: Path | None = None
        shutil.rmtree(folder, ignore_errors=True)

    def prepare(self, model: Any, version: str) -> Mapping[str, str]:
        """Write the weights beside those of the update before, which are removed then. Raises OutputError."""
        target = self._folder / version.replace(":", "-")
        checksums: dict[str, str] = {}
        try:
            target.mkdir(parents=True, exist_ok=True)
            for number, part in enumerate(_parts(model), start=1):
                on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in part.items()}
                checksums |= {name: digest(tensor) for name, tensor in on_cpu.items()}
                path = target / f"model-{number:05d}.safetensors"
                safetensors.torch.save_file(on_cpu, path)
                path.chmod(0o644)  # a server may run as another user
        except (OSError, safetensors.SafetensorError) as error:
            raise OutputError(
                f"The weights for the servers cannot be written to {self._folder}: {error}. Free some space, or give "
                "rollout.engine.weights_folder."
            ) from None
        if self._current is not None and self._current != target:
            shutil.rmtree(self._current, ignore_errors=True)
        self._current = target
        return checksums

    def connect(self, server: Server) -> None:
        """Nothing is kept between updates."""
        server.control("/init_weight_transfer_engine", {"init_info": {}})

    def send(self, server: Server) -> None:
        """Name the folder to the server."""
        server.control("/update_weights", {"update_info": {"folder": str(self._current)}})

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


class GroupTransfer:
    """By broadcast in a process group of the trainer and one server's workers; a group for each server.

    The weights are sent out of the model itself, so it must not change between `prepare` and `send`.
    """

    def __init__(self, backend: Literal["nccl", "gloo"] = "nccl") -> None:
        self._library = backend
        self._groups: dict[str, Any] = {}
        self._model: Any = None

    def prepare(self, model: Any, version: str) -> Mapping[str, str]:
        """Remember the model, and compute the checksums where it lies."""
        self._model = model
        return {name: digest(tensor) for part in _parts(model) for name, tensor in part.items()}

    def connect(self, server: Server) -> None:
        """Form a group with a server's workers; an earlier one of it is dropped."""
        self._groups.pop(server.url, None)
        workers = int(server.look("/get_world_size")["world_size"])
        facts = {"host": "127.0.0.1", "port": _free_port(), "size": 1 + workers, "offset": 0}
        facts |= {"backend": self._library, "seconds": _GROUP_SECONDS}
        with ThreadPoolExecutor(1) as threads:  # both sides wait for each other
            asked = threads.submit(server.control, "/init_weight_transfer_engine", {"init_info": facts})
            self._groups[server.url] = join_group({**facts, "rank": 0})
            asked.result()

    def send(self, server: Server) -> None:
        """Announce the tensors, and broadcast them in that order."""
        tensors = {name: tensor.detach() for part in _parts(self._model) for name, tensor in part.items()}
        announced = [[name, str(one.dtype).removeprefix("torch."), list(one.shape)] for name, one in tensors.items()]
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(server.control, "/update_weights", {"update_info": {"tensors": announced}})
            for tensor in tensors.values():
                if asked.done():  # refused before it received anything
                    break
                broadcast(self._groups[server.url], tensor.contiguous())
            asked.result()

    def close(self) -> None:
        """Leave the groups."""
        self._groups.clear()
        self._model = None


def _parts(model: Any) -> Iterator[dict[str, Tensor]]:
    """A model's tensors under their names, in parts of at most 1 GiB where a tensor allows.

    Adapters beside merged weights are left out, and the weights they are merged into have their plain names.
    """
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    part: dict[str, Tensor] = {}
    size = 0
    for inside, tensor in model.state_dict().items():
        name = inside.replace(".base_layer.", ".")
        if name in tied or ".lora_" in name:
            continue
        if part and size + tensor.nbytes > _FILE_BYTES:
            yield part
            part, size = {}, 0
        part[name] = tensor
        size += tensor.nbytes
    yield part


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
