"""How a policy's weights reach vLLM servers: written to a folder that both sides see, or broadcast between GPUs.

Each way updates one server at a time. Whole weights go in vLLM's order of calls: pause, start, send, finish, drop the
prefix cache, resume; a request that arrives between start and finish would kill the engine. Tensors have the names of
the Hub; a head that is tied to the embedding is sent once, as the embedding. Adapters are loaded beside the weights,
each version under a name of its own, which requests then ask for: a server that does not have it cannot answer.
"""

import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Protocol

import safetensors
import safetensors.torch
from torch import Tensor

from frugalrl.errors import ModelError, OutputError
from frugalrl.rollout.engine import AdapterFolder, SharedModel, WeightSource
from frugalrl.rollout.server.client import Server
from frugalrl.rollout.server.worker.frugalrl_worker import broadcast, digest, join_group

_FILE_BYTES = 1 << 30
"""Of a file of weights: what lies in host memory at once of tensors on a GPU."""
_GROUP_SECONDS = 300


class Transfer(Protocol):
    """A way for weights to reach servers."""

    def prepare(self, source: WeightSource, version: str) -> Mapping[str, str]:
        """Take up new weights; returns the checksum of each tensor that servers will report.

        Raises ModelError for another kind of source than this way can move.
        """
        ...

    def served_name(self, version: str) -> str | None:
        """What requests must ask for to get these weights; None if a server has but one set."""
        ...

    def connect(self, server: Server) -> None:
        """Get ready to send to a server that was just started or reached."""
        ...

    def update(self, server: Server, version: str, mode: str, seconds: float) -> None:
        """Give a server what was prepared last. Raises ServerFault.

        mode: of vLLM's pause, what becomes of requests under way. seconds: how long it may wait for them.
        """
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

    def served_name(self, version: str) -> str | None:
        """A server has one set of weights."""
        return None

    def prepare(self, source: WeightSource, version: str) -> Mapping[str, str]:
        """Write the weights beside those of the update before, which are removed then. Raises OutputError."""
        model = _model_of(source)
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

    def update(self, server: Server, version: str, mode: str, seconds: float) -> None:
        """Name the folder to the server."""
        info = {"update_info": {"folder": str(self._current)}}
        _update_whole(server, version, mode, seconds, lambda: server.control("/update_weights", info))

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

    def served_name(self, version: str) -> str | None:
        """A server has one set of weights."""
        return None

    def prepare(self, source: WeightSource, version: str) -> Mapping[str, str]:
        """Remember the model, and compute the checksums where it lies."""
        self._model = _model_of(source)
        return {name: digest(tensor) for part in _parts(self._model) for name, tensor in part.items()}

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

    def update(self, server: Server, version: str, mode: str, seconds: float) -> None:
        """Announce the tensors, and broadcast them in that order."""
        _update_whole(server, version, mode, seconds, lambda: self._send(server))

    def _send(self, server: Server) -> None:
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


class AdapterTransfer:
    """LoRA adapters through a folder: a few MB a step, and milliseconds to load."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._loaded: dict[str, str] = {}

    def served_name(self, version: str) -> str | None:
        """The adapter's own name, so that no other version can answer for it."""
        return f"adapter-{version.replace(':', '-')}"

    def prepare(self, source: WeightSource, version: str) -> Mapping[str, str]:
        """Note the folder. vLLM does not say what it read from it, so there are no checksums."""
        if not isinstance(source, AdapterFolder):
            raise ModelError(
                "rollout.engine.weights is adapter, and the model has none. Give model.lora, or weights: folder."
            )
        self._path = source.path
        return {}

    def connect(self, server: Server) -> None:
        """Nothing is kept between updates, and a server that was started again has no adapters."""
        self._loaded.pop(server.url, None)

    def update(self, server: Server, version: str, mode: str, seconds: float) -> None:
        """Load the adapters under their name, name the weights, and drop those before."""
        name = f"adapter-{version.replace(':', '-')}"
        server.control(f"/pause?mode={mode}", seconds=seconds)
        before = self._loaded.get(server.url)
        if before != name:
            server.control("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(self._path)})
            self._loaded[server.url] = name
        server.control("/update_weight_version", {"new_version": version})
        if before is not None and before != name:
            server.control("/v1/unload_lora_adapter", {"lora_name": before})
        server.control("/resume")

    def close(self) -> None:
        """The folders are the policy's."""


def _update_whole(server: Server, version: str, mode: str, seconds: float, send: Callable[[], object]) -> None:
    server.control(f"/pause?mode={mode}", seconds=seconds)
    server.control("/start_weight_update")
    send()
    server.control("/finish_weight_update", {"weight_version": version})
    server.control("/reset_prefix_cache")
    server.control("/resume")


def _model_of(source: WeightSource) -> Any:
    if not isinstance(source, SharedModel):
        raise ModelError(
            f"The vLLM engine cannot load weights from a {type(source).__name__}. Give it a SharedModel, or adapters "
            "with weights: adapter."
        )
    return source.model


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
