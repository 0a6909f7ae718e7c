"""Log-probabilities of given tokens from hidden states, without ever holding all logits.

For 1,000 tokens of a 151,936-word vocabulary the logits alone take 0.61 GB in fp32. So only the tokens asked
for are multiplied with the output head (never the prompt's), a chunk at a time, and the backward pass
recomputes a chunk's logits instead of storing them. Sums over the vocabulary are made in fp32, whatever the
compute dtype: bf16 sums make entropy drift within dozens of steps (measured; TRL's kernels say the same).
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def token_logprobs(
    hidden: Tensor,
    head_weight: Tensor,
    targets: Tensor,
    temperature: float = 1.0,
    chunk_tokens: int = 1024,
    entropy_gradient: bool = False,
) -> tuple[Tensor, Tensor]:
    """Log-probability (with gradient) of each target and entropy of its distribution, in nats.

    hidden: [N, H], the final hidden state at the position before each target.
    head_weight: [V, H], the output head.
    targets: int64 [N].
    temperature: the logits are divided by it; 1 is the model's own distribution.
    entropy_gradient: whether entropy has a gradient too, at the price of a few more buffers of a chunk's logits.
    Returns float32 [N] twice (float64 for a float64 model).
    """
    logprobs, entropies = [], []
    recompute = torch.is_grad_enabled() and hidden.shape[0] > chunk_tokens
    for start in range(0, max(1, hidden.shape[0]), chunk_tokens):  # no tokens: no log-probs, but a gradient of zeros
        chunk = slice(start, start + chunk_tokens)
        arguments = (hidden[chunk], head_weight, targets[chunk], temperature, entropy_gradient)
        if recompute:
            logprob, entropy = checkpoint(_chunk, *arguments, use_reentrant=False)
        else:
            logprob, entropy = _chunk(*arguments)
        logprobs.append(logprob)
        entropies.append(entropy)
    return torch.cat(logprobs), torch.cat(entropies)


def _chunk(
    hidden: Tensor, head_weight: Tensor, targets: Tensor, temperature: float, entropy_gradient: bool
) -> tuple[Tensor, Tensor]:
    logits = F.linear(hidden, head_weight)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    log_normaliser = torch.logsumexp(logits, dim=-1)
    logprob = logits.gather(-1, targets[:, None]).squeeze(-1) - log_normaliser
    with torch.set_grad_enabled(entropy_gradient and torch.is_grad_enabled()):
        all_logprobs = logits - log_normaliser[:, None]
        entropy = -(torch.exp(all_logprobs) * all_logprobs).sum(-1)
    return logprob, entropy
