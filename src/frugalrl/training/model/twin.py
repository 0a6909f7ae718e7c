"""A second model over whole weights, in one process, where those of the run's model lie in parts on several.

Servers are sent its weights and compared with what it computes: a model in parts computes in all processes at once.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from frugalrl.training.model.adapter import inject_as_in


def twin_of(model: Any, tensors: Mapping[str, Tensor]) -> Any:
    """A transformers causal LM as another one is, adapters included, over the tensors that are given.

    tensors: all of the model's `state_dict`, whole and on its device; they are not copied.
    """
    import transformers

    with torch.device("meta"):
        made = transformers.AutoModelForCausalLM.from_config(model.config, dtype=model.dtype)
        inject_as_in(model, made)
    made.load_state_dict(dict(tensors), assign=True)
    made.tie_weights()
    made.model.rotary_emb = model.model.rotary_emb  # whose frequencies are no part of the `state_dict`
    made.requires_grad_(False)
    return made.eval()
