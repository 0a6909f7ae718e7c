"""How token losses become one number: the weight of each completion's tokens, fixed for the whole batch.

The loss is the sum over all tokens of weight x token loss. Weights are made before the batch is cut into
micro-batches and do not depend on the cut, so one pass over 8 completions and 8 passes over one give the same
gradient. (Normalising within each micro-batch instead is the 0.5x-4x error of trl#6024.)
"""

from typing import Literal

import torch
from torch import Tensor

Aggregation = Literal["token", "sequence", "constant"]


def token_weights(lengths_tokens: Tensor, aggregation: Aggregation, constant_tokens: int) -> Tensor:
    """The weight of every token of each completion.

    lengths_tokens: int64 [N], completion tokens that count in the loss, over the whole batch.
    token:    1 / all tokens of the batch (DAPO, 2503.14476)
    sequence: 1 / (N x own length): each completion counts the same (GRPO, 2402.03300; TRL before 2025)
    constant: 1 / (N x constant_tokens): no length bias (Dr. GRPO, 2503.20783)
    Returns float64 [N]. A completion without tokens has weight 0.
    """
    lengths = lengths_tokens.double()
    completions = len(lengths)
    if aggregation == "token":
        return torch.ones_like(lengths) / lengths.sum().clamp(min=1)
    if aggregation == "sequence":
        return torch.where(lengths > 0, 1 / (completions * lengths.clamp(min=1)), 0.0)
    return torch.ones_like(lengths) / (completions * constant_tokens)
