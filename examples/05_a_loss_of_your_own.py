"""A loss of your own, in one file: a function of log-probabilities and advantages, named in a recipe by its path.

The loss here is tapered off-policy REINFORCE (TOPR, arXiv 2503.14286, with its truncation to [0, 1]): right answers are
learned from as in REINFORCE, wrong ones with their importance ratio bounded above, so that none can throw a step. On
the command line the same is

    frugalrl train recipes/quickstart.yaml --set 'algorithm.loss={surrogate: my_file.topr, args: {bound: 1.0}}'
"""

import tempfile
from pathlib import Path

import torch

import frugalrl
from frugalrl.algorithms.losses import LossInputs

STEPS = 6


def topr(inputs: LossInputs, *, bound: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of each token, and where the bound took effect (`policy/clipped_frac`)."""
    ratio = torch.exp(inputs.policy_logprobs - inputs.old_logprobs).detach()
    bounded = (inputs.advantages < 0) & (ratio > bound)
    weight = torch.where(inputs.advantages < 0, ratio.clamp(max=bound), torch.ones_like(ratio))
    return -weight * inputs.advantages * inputs.policy_logprobs, bounded


def show_by_hand() -> None:
    """Four tokens, the policy having moved since they were sampled: the gradient is -weight x advantage."""
    policy_logprobs = torch.tensor([0.3, 0.1, 0.3, 0.1]).log().requires_grad_()
    old_logprobs = torch.full((4,), 0.2).log()
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0])
    loss, bounded = topr(LossInputs(policy_logprobs, old_logprobs, advantages, rows=torch.arange(4)))
    loss.sum().backward()
    print("advantage  ratio  gradient  bounded")
    ratios = torch.exp(policy_logprobs - old_logprobs).tolist()
    for row in zip(advantages.tolist(), ratios, policy_logprobs.grad.tolist(), bounded.tolist(), strict=True):
        print("{:9.1f}  {:5.2f}  {:8.2f}  {}".format(*row))


def main() -> None:
    show_by_hand()
    surrogate = f"{Path(__file__).stem}.topr"
    changes = [
        f"algorithm.loss={{surrogate: {surrogate}, args: {{bound: 1.0}}}}",
        "algorithm.updates_per_batch=2",
        f"training={{steps: {STEPS}}}",
        "data.validation=null",
        "data.test=null",
    ]
    recipe = frugalrl.load_recipe("quickstart", changes)
    with tempfile.TemporaryDirectory() as folder:
        result = frugalrl.train(recipe, out=folder)
        steps = [row for row in result.metrics if "loss/policy" in row]
    print(f"\nquickstart with {surrogate}, {STEPS} steps, 2 updates each:")
    for row in steps:
        print(
            f"step {row['step']}  reward {row['reward/mean']:.3f}  loss {row['loss/policy']:+.4f}"
            f"  bounded {100 * row['policy/clipped_frac']:.1f} %"
        )


if __name__ == "__main__":
    main()
