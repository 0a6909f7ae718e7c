"""What a run leaves to others: the model in Hub layout, and with LoRA the adapters too, in peft's format.

RUN/model/     merged in fp32 where adapters were trained, so that any reader takes it as an ordinary model
RUN/adapter/   adapter_config.json, adapter_model.safetensors: for `PeftModel.from_pretrained(base, folder)`
"""

from collections.abc import Mapping
from pathlib import Path

from frugalrl.training.distributed.world import World
from frugalrl.training.model.adapter import AdapterPolicy, merged_policy
from frugalrl.training.model.policy import Policy
from frugalrl.training.state.checkpoint import save_model


def whole_models(policy: Policy, world: World) -> dict[str, Policy]:
    """What `export` writes, by the folder's name. All processes call it; in the first one the weights are whole."""
    if not isinstance(policy, AdapterPolicy):
        return {"model": policy.whole()}
    merged = merged_policy(policy, keep=world.rank == 0)
    return {} if merged is None else {"adapter": policy, "model": merged}


def export(models: Mapping[str, Policy], folder: Path, card: str) -> None:
    """Write a run's models below its folder. Raises OutputError."""
    for name, policy in models.items():
        save_model(policy, folder / name, card)
