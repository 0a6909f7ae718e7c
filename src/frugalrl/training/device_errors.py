"""What a device's own error means to the user: one sentence of what happened and one of what to do."""

import torch

from frugalrl.errors import ModelError
from frugalrl.rollout.memory import is_out_of_memory

_ROOM = (
    "Take memory off the device (optimizer.offload=true, algorithm.reference_place=host, "
    "model.gradient_checkpointing=true, a smaller training.logits_chunk_tokens or rollout.max_completion_tokens; "
    "`frugalrl plan` says what fits), or take a larger one"
)


def as_user_error(error: Exception) -> Exception:
    """An error of the memory or of a GPU as one for users; any other as it is."""
    if isinstance(error, RuntimeError) and is_out_of_memory(error):
        return ModelError(f"Memory ran out, and smaller pieces did not help: {_first_line(error)} {_ROOM}.")
    if isinstance(error, torch.AcceleratorError):
        return ModelError(
            f"The device failed, and nothing can be computed on it by this process any more: {_first_line(error)} "
            "Resume with --resume; if it comes back, look at the device (nvidia-smi), its driver and its memory."
        )
    return error


def _first_line(error: Exception) -> str:
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return line if line.endswith((".", "!", "?")) else f"{line}."
