"""From a recipe's model section to the policy that is trained: all weights, or adapters in a model that stays."""

from pathlib import Path

from frugalrl.config.schema import ModelSettings
from frugalrl.errors import ModelError
from frugalrl.training.model.adapter import (
    CONFIG_FILE,
    AdapterPolicy,
    add_adapters,
    base_named_in,
    require_peft,
    with_merged_adapter,
)
from frugalrl.training.model.policy import DTYPES, Policy, count, load_policy, weights_hash
from frugalrl.training.state.checkpoint import load_weights


def load_sampled(settings: ModelSettings) -> Policy:
    """A model to sample from: as `load_policy`, or the folder of an adapter, which is merged into the base it names.

    Raises ModelError, and RecipeError without peft.
    """
    folder = Path(settings.path).expanduser()
    if not (folder / CONFIG_FILE).is_file():
        return load_policy(settings)
    base = load_policy(settings.model_copy(update={"path": base_named_in(folder), "dtype": "float32"}))
    merged = with_merged_adapter(base, folder)
    for parameter in merged.model.parameters():  # and no buffer: the frequencies of positions stay in fp32
        parameter.data = parameter.data.to(DTYPES[settings.dtype])
    return merged


def load_trained(settings: ModelSettings, checkpoint: Path | None, seed: int) -> tuple[Policy, str]:
    """The policy, and the hash of the model that was loaded: with adapters the base, else the checkpoint if given.

    checkpoint: to take the weights from. seed: of new adapters. Raises ModelError, RecipeError and OutputError.
    """
    if settings.lora is None:
        path = settings.path if checkpoint is None else str(checkpoint)
        policy = load_policy(settings.model_copy(update={"path": path}))
        return policy, weights_hash(policy)
    require_peft()
    base = load_policy(settings)
    base_weights = weights_hash(base)
    adapted = add_adapters(base, settings.lora, seed)
    if checkpoint is not None:
        load_weights(adapted, checkpoint)
    return adapted, base_weights


def refuse_other_base(path: str, found: str | None, expected: str | None) -> None:
    """Raise ModelError where the model that a run began with has other weights now."""
    if found != expected:
        raise ModelError(
            f"The model {path!r} has other weights than when the run began, and the run refers to it until its end. "
            "Put it back to resume, or start a new run with another --out."
        )


def described(policy: Policy) -> str | None:
    """A line for people about a policy with adapters: what is trained, of how much."""
    if not isinstance(policy, AdapterPolicy):
        return None
    trained = count(policy.saved_tensors().values())
    whole = count(tensor for name, tensor in policy.model.named_parameters() if ".lora_" not in name)
    return (
        f"LoRA of rank {policy.config.r} in {len(policy.layers())} projections: {trained:,} weights are trained "
        f"beside {whole:,} that stay ({trained / whole:.1%})."
    )
