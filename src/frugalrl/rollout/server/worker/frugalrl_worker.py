"""The worker extension of a vLLM server: receives the trainer's weights and says what it received.

One file, which stands alone: the server's environment needs vLLM and not this package. It is loaded with
``--worker-extension-cls frugalrl_worker.Extension`` from a folder on the server's PYTHONPATH, and written against
vLLM 0.32. The trainer imports only `digest` from here; vLLM itself is imported in a server alone.

It registers a backend of vLLM's weight transfer protocol, ``--weight-transfer-config '{"backend": "frugalrl"}'``. An
update either names a folder of safetensors that trainer and server both see, or announces tensors that the trainer
broadcasts in a process group (nccl, on one node). Both go through vLLM's layerwise reload, and then repack an output
head that is tied to the embedding: on a CPU vLLM packs it once at start-up, and would answer with the new body and the
old head, under the new version.
"""

import glob
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import torch

BACKEND = "frugalrl"
PROTOCOL = 1
"""Raised when trainer and extension of different releases no longer understand each other."""
_DIGEST_PART = 1 << 22


def digest(tensor: torch.Tensor) -> str:
    """A checksum of a tensor's bits that also depends on their order; as fast as memory, on any device."""
    words = tensor.detach().contiguous().view(-1).view(torch.int16)
    plain = weighted = 0
    for start in range(0, words.numel(), _DIGEST_PART):
        part = words[start : start + _DIGEST_PART].to(torch.int64)
        places = torch.arange(start, start + part.numel(), device=part.device) % 65_521 + 1
        plain += int(part.sum())
        weighted += int((part * places).sum())
    return f"{words.numel()}:{plain}:{weighted}"


class Extension:
    """Methods that vLLM adds to its worker, for ``/collective_rpc``."""

    def frugalrl_report(self) -> dict[str, Any]:
        """What this worker is, and what the last update brought it."""
        engine = getattr(self, "weight_transfer_engine", None)
        config = self.vllm_config.model_config  # type: ignore[attr-defined]  # of vLLM's worker
        return {
            "protocol": PROTOCOL,
            "dtype": str(config.dtype).removeprefix("torch."),
            "vocab_size": int(config.get_vocab_size()),
            "max_model_len": int(config.max_model_len),
            "logprobs_mode": str(getattr(config.logprobs_mode, "value", config.logprobs_mode)),
            "received": dict(getattr(engine, "received", {})),
            "repacked": list(getattr(engine, "repacked", [])),
        }


def _register() -> None:
    """Make the backend known to vLLM."""
    from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory

    if BACKEND not in WeightTransferEngineFactory._registry:
        WeightTransferEngineFactory.register_engine(BACKEND, _engine_class())


def _engine_class() -> Any:
    from vllm.distributed.weight_transfer.base import WeightTransferEngine
    from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

    class Engine(WeightTransferEngine):  # type: ignore[misc]  # vLLM is not there where types are checked
        init_info_cls = dict
        update_info_cls = dict

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.received: dict[str, str] = {}
            self.repacked: list[str] = []
            self.group: Any = None

        def parse_init_info(self, init_dict: dict[str, Any]) -> dict[str, Any]:
            return init_dict

        def parse_update_info(self, update_dict: dict[str, Any]) -> dict[str, Any]:
            return update_dict

        def init_transfer_engine(self, init_info: dict[str, Any]) -> None:
            if init_info:
                parallel = self.parallel_config
                rank = 1 + init_info["offset"] + parallel.data_parallel_index * parallel.world_size + parallel.rank
                self.group = join_group({**init_info, "rank": rank})

        def start_weight_update(self) -> None:
            self.received, self.repacked = {}, []
            initialize_layerwise_reload(self.model)

        def update_weights(self, update_info: dict[str, Any]) -> None:
            """Replaces the base class's, which ends in an accelerator's synchronise: a CPU has none."""
            self.receive_weights(update_info)
            if self.device.type != "cpu":
                torch.accelerator.synchronize()

        def receive_weights(self, update_info: dict[str, Any]) -> None:
            sent = _from_folder(update_info["folder"]) if "folder" in update_info else _from_group(self, update_info)
            self.model.load_weights(self._noted(sent))

        def finish_weight_update(self) -> None:
            finalize_layerwise_reload(self.model, self.model_config)
            self.repacked = _repack_embeddings(self.model)

        def _noted(self, pairs: Iterator[tuple[str, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
            for name, tensor in pairs:
                self.received[name] = digest(tensor)
                yield name, tensor

        def shutdown(self) -> None:
            self.group = None

    return Engine


def _repack_embeddings(model: Any) -> list[str]:
    """Run the loading step of every embedding again: vLLM packs a copy of a tied head there, on a CPU."""
    from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding

    done = []
    for name, module in model.named_modules():
        if isinstance(module, VocabParallelEmbedding) and hasattr(module.quant_method, "process_weights_after_loading"):
            module.quant_method.process_weights_after_loading(module)
            done.append(name)
    return done


def _from_folder(folder: str) -> Iterator[tuple[str, torch.Tensor]]:
    from safetensors import safe_open

    files = sorted(glob.glob(os.path.join(folder, "*.safetensors")))
    if not files:
        raise FileNotFoundError(f"there are no weights in {folder}: does this server see the trainer's folder?")
    for path in files:
        with safe_open(path, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118  # a file's keys, not a dict's
                yield name, opened.get_tensor(name)


def _from_group(engine: Any, info: dict[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    for name, dtype, shape in info["tensors"]:
        tensor = torch.empty(shape, dtype=getattr(torch, dtype), device=engine.device)
        broadcast(engine.group, tensor)
        yield name, tensor


def join_group(info: dict[str, Any]) -> Any:
    """A process group of trainer (rank 0) and workers, beside whatever default groups either side has."""
    import torch.distributed

    dist = cast(Any, torch.distributed)  # its types leave out what it exports
    seconds = timedelta(seconds=info["seconds"])
    rank, size = info["rank"], info["size"]
    store = dist.TCPStore(info["host"], info["port"], size, is_master=rank == 0, timeout=seconds)
    store.set_timeout(seconds)
    prefixed = dist.PrefixStore("frugalrl", store)
    if info["backend"] == "gloo":
        return dist.ProcessGroupGloo(prefixed, rank, size, seconds)
    options = dist.ProcessGroupNCCL.Options()
    options._timeout = seconds
    return dist.ProcessGroupNCCL(prefixed, rank, size, options)


def broadcast(group: Any, tensor: torch.Tensor) -> None:
    """From the trainer to all; the trainer's tensor must be contiguous."""
    import torch.distributed as dist

    options = dist.BroadcastOptions()
    options.rootRank, options.rootTensor = 0, 0
    group.broadcast([tensor], options).wait()


if "vllm" in sys.modules:  # a server has imported it before it loads its extension; a trainer never has
    _register()
