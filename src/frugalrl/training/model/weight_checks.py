"""What a checkpoint must hold before anything is computed with it: every tensor, in its shape, with numbers in it.

transformers fills what a checkpoint lacks with random numbers and goes on; a run on them looks like a run. So its
report of what it found is read here, and the numbers are looked at once. A head that is tied to the embedding and
stands nowhere in the files is complete.

Not covered: weights that are finite and wrong. Only an evaluation tells.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from frugalrl.errors import ModelError

_SHOWN = 3
"""Names that a message gives; the number of all is beside them."""

_WRAPPERS = {
    "base_model.model.": (
        "as an adapter tool writes it",
        "Merge the adapter into its base (peft: merge_and_unload) and save the merged model",
    ),
    "_orig_mod.": (
        "as torch.compile names it",
        "Save the model that was compiled (its `_orig_mod`), or take the prefix off the names",
    ),
    "_fsdp_wrapped_module.": (
        "as FSDP names it",
        "Save the full state dict of the model inside, or take the prefix off the names",
    ),
    "module.": (
        "as a data-parallel wrapper names it",
        "Save the model inside (its `module`), or take the prefix off the names",
    ),
}
"""What a tool put before the names, who does so, and what to do."""
_ADAPTER_PARTS = (".lora_A.", ".lora_B.", ".base_layer.", ".lora_embedding_", ".modules_to_save.")


def refuse_incomplete(path: str, report: Mapping[str, Any]) -> None:
    """Raise ModelError for a checkpoint whose tensors are not those of its model, by name.

    report: `output_loading_info` of transformers: missing, unexpected and mismatched keys, and error messages.
    """
    missing, unexpected = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    for prefix, (whose, remedy) in _WRAPPERS.items():
        wrapped = [name for name in unexpected if name.startswith(prefix)]
        if wrapped:
            raise ModelError(
                f"The tensors of {path!r} are named {prefix}..., {whose} ({_some(wrapped)}), so none would be loaded. "
                f"{remedy}."
            )
    adapters = [name for name in unexpected if any(part in name for part in _ADAPTER_PARTS)]
    if adapters:
        raise ModelError(
            f"The model {path!r} holds adapters that are not merged ({_some(adapters)}). Merge them into the weights "
            "(peft: merge_and_unload) and save the merged model."
        )
    shapes = [
        f"{name} is {_shape(found)} and should be {_shape(wanted)}"
        for name, found, wanted in sorted(report["mismatched_keys"])
    ]
    problems = [
        *([f"lacks {_some(missing)}"] if missing else []),
        *([f"holds {_some(unexpected)}, which its config.json has no place for"] if unexpected else []),
        *([f"has tensors of another shape than its config.json: {_some(shapes)}"] if shapes else []),
        *([f"cannot be read: {_some(sorted(report['error_msgs']))}"] if report.get("error_msgs") else []),
    ]
    if problems:
        raise ModelError(
            f"The model {path!r} {', and '.join(problems)}. Download or save it again, whole, with the config.json "
            "that belongs to it."
        )


def refuse_other_head(path: str, tied: bool, head: Tensor, embedding: Tensor) -> None:
    """Raise ModelError where config.json ties head and embedding and the files hold two different ones."""
    if tied and head.data_ptr() != embedding.data_ptr():
        raise ModelError(
            f"The model {path!r} holds a lm_head.weight that differs from its embedding, though its config.json ties "
            "them: readers would disagree about the model. Set tie_word_embeddings to false there, or remove the head."
        )


def refuse_broken_tensors(path: str, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Raise ModelError for the first tensor with NaN or inf in it, and for a matrix or norm without information.

    A matrix is not to be the same number throughout, and a norm's weight is not to be all zeros; biases may be.
    """
    for name, tensor in tensors:
        values = tensor.detach()
        bad = values.numel() - int(values.isfinite().sum())
        if bad:
            raise ModelError(
                f"The tensor {name} of {path!r} holds {bad} of {values.numel()} values that are not finite (NaN or "
                "inf). The training that made it diverged, or the file is damaged: take an earlier checkpoint, or "
                "download it again."
            )
        constant = values.numel() > 1 and bool((values == values.flatten()[0]).all())
        is_norm = values.ndim == 1 and name.endswith("norm.weight")
        if constant and (values.ndim >= 2 or (is_norm and float(values[0]) == 0.0)):
            raise ModelError(
                f"The tensor {name} of {path!r} is {float(values.flatten()[0]):g} throughout, so it carries nothing: "
                "it was never trained, or the file was not written to its end. Take a trained checkpoint, or download "
                "it again."
            )


def _some(names: Sequence[str] | Collection[str]) -> str:
    """Up to three names, and how many there are."""
    listed = list(names)
    more = len(listed) - _SHOWN
    return ", ".join(listed[:_SHOWN]) + (f" and {more} more, {len(listed)} in all" if more > 0 else "")


def _shape(shape: Iterable[int]) -> str:
    return "x".join(str(size) for size in shape)
