"""What a run leaves to others: the model in Hub layout, and with LoRA the adapters too, in peft's format.

RUN/model/     merged in fp32 where adapters were trained, so that any reader takes it as an ordinary model
RUN/adapter/   adapter_config.json, adapter_model.safetensors: for `PeftModel.from_pretrained(base, folder)`
"""

from pathlib import Path

from frugalrl.training.model.adapter import AdapterPolicy, merged_policy
from frugalrl.training.model.policy import Policy
from frugalrl.training.state.checkpoint import save_model


def export(policy: Policy, folder: Path, card: str) -> None:
    """Write a run's model below its folder. Raises OutputError."""
    if isinstance(policy, AdapterPolicy):
        save_model(policy, folder / "adapter", card)
        save_model(merged_policy(policy), folder / "model", card)
    else:
        save_model(policy, folder / "model", card)
