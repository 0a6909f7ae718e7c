"""The one place that builds a rollout engine, from the section `rollout.engine` of a recipe.

A new engine is a module beside this one, its section in `config/engine_schema.py`, and a line in `_BUILDERS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalrl.config.engine_schema import EngineSettings, TorchEngineSettings, VllmEngineSettings
from frugalrl.errors import ModelError
from frugalrl.rollout.engine import RolloutEngine
from frugalrl.rollout.server.client import Server, ServerFault
from frugalrl.rollout.server.launch import LaunchedServer, LaunchPlan
from frugalrl.rollout.server.member import Limits, Member
from frugalrl.rollout.server.transfer import AdapterTransfer, FolderTransfer, GroupTransfer, Transfer
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.rollout.vllm_engine import ProbeSettings, VllmEngine


@dataclass(frozen=True)
class ServerNeeds:
    """What an engine behind servers needs to know beside the model."""

    folder: Path
    """Of the run: for logs, and for weights unless the recipe names another folder."""
    model: str
    """The folder or Hub id that launched servers start with."""
    revision: str | None
    longest_tokens: int
    """Of a prompt and its completion together."""
    prompts: tuple[tuple[int, ...], ...]
    """Some prompts of the run; completions of them are the probe."""
    lora_rank: int | None = None
    """Of the policy's adapters, if it has any."""
    devices: tuple[str | None, ...] = (None,)
    """CUDA_VISIBLE_DEVICES of each server to launch; None leaves it as it is."""


def build_engine(
    settings: EngineSettings,
    model: Any,
    end_token_ids: frozenset[int],
    max_sequences: int,
    needs: ServerNeeds | None = None,
) -> RolloutEngine:
    """An engine that samples from a model.

    model: a transformers causal LM, shared with the caller. max_sequences: the most completions in flight at once.
    needs: for engines behind servers.
    """
    return _BUILDERS[type(settings)](settings, model, end_token_ids, max_sequences, needs)


def check_reachable(settings: EngineSettings) -> None:
    """Raise ModelError if a server that the recipe names does not answer; takes seconds."""
    if not isinstance(settings, VllmEngineSettings):
        return
    for url in settings.urls:
        try:
            Server(url, 1, settings.request_seconds).look("/health")
        except ServerFault as fault:
            raise ModelError(
                f"Rollouts are to come from {url}, and {fault}. Start vLLM there, or check rollout.engine.url; "
                "docs/servers.md says how it is started."
            ) from None


def _torch_engine(
    settings: TorchEngineSettings,
    model: Any,
    end_token_ids: frozenset[int],
    max_sequences: int,
    needs: ServerNeeds | None,
) -> RolloutEngine:
    return TorchEngine(model, end_token_ids, max_sequences)


def _vllm_engine(
    settings: VllmEngineSettings,
    model: Any,
    end_token_ids: frozenset[int],
    max_sequences: int,
    needs: ServerNeeds | None,
) -> RolloutEngine:
    if needs is None:
        raise ModelError("Servers sample for training runs only. Use frugalrl eval --server for a running server.")
    if settings.weights == "nccl" and model.device.type != "cuda":
        raise ModelError(
            f"rollout.engine.weights is nccl, which moves weights between GPUs, and the policy is on the "
            f"{model.device.type}. Use weights: folder."
        )
    dtype = str(model.dtype).removeprefix("torch.")
    parent = needs.folder if settings.weights_folder is None else Path(settings.weights_folder) / needs.folder.name
    transfer: Transfer = FolderTransfer(parent.absolute() / "weights")
    if settings.weights != "folder":
        transfer = GroupTransfer() if settings.weights == "nccl" else AdapterTransfer()
    limits = Limits(
        vocab_size=int(model.config.vocab_size),
        needed_tokens=needs.longest_tokens + 1,  # the probe scores a whole completion and samples one token more
        connections=max_sequences,
        request_seconds=settings.request_seconds,
        start_seconds=settings.start_seconds,
        max_restarts=settings.max_restarts,
    )
    members = [Member(url, transfer, limits) for url in settings.urls]
    if settings.launch:
        for number, devices in enumerate(needs.devices):
            plan = LaunchPlan(
                environment=Path(settings.environment or ""),
                model=needs.model,
                revision=needs.revision,
                dtype=dtype,
                needed_tokens=limits.needed_tokens,
                devices=devices,
                arguments=settings.arguments,
                log=needs.folder / f"server-{number}.log",
                lora_rank=needs.lora_rank if settings.weights == "adapter" else None,
                sleeps=settings.sleep,
            )
            members.append(Member(LaunchedServer(plan), transfer, limits, dtype))
    probe = ProbeSettings(
        needs.prompts, needs.longest_tokens, settings.probe_completions, settings.probe_mean, settings.probe_max
    )
    engine = VllmEngine(members, transfer, end_token_ids, max_sequences, dtype, probe, settings.sleep)
    engine.begin()
    return engine


_BUILDERS: Mapping[type, Callable[..., RolloutEngine]] = {
    TorchEngineSettings: _torch_engine,
    VllmEngineSettings: _vllm_engine,
}
