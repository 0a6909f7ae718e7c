"""An advantage rule of your own, in one file: a function of a group's rewards, named in a recipe by its path.

The rule here pays by rank: the best completion of a group gets +1, the worst -1, and those that are equal share the
mean of their places. However far apart the rewards are, the update is the same; one outlier cannot take it over. On
the command line the same is

    frugalrl train recipes/quickstart.yaml --set 'algorithm.advantage={rule: my_file.by_rank}'
"""

import tempfile
from pathlib import Path

import torch

import frugalrl
from frugalrl.algorithms.advantages import PRESETS

STEPS = 6


def by_rank(rewards: torch.Tensor, *, scale: float = 1.0) -> torch.Tensor:
    """Rewards [..., G] in, advantages of the same shape out: how many are worse less how many are better."""
    others = rewards[..., None] - rewards[..., None, :]
    return scale * torch.sign(others).sum(-1) / (rewards.shape[-1] - 1)


def show_by_hand() -> None:
    groups = {"one outlier": [9.0, 1.0, 1.0, 0.5, 0.0], "two right": [1.0, 1.0, 0.0, 0.0, 0.0], "all equal": [1.0] * 5}
    for name, values in groups.items():
        print(f"{name}: rewards {values}")
        for rule, function in (("by_rank", by_rank), ("trl", PRESETS["trl"])):
            shown = "  ".join(f"{value:+.2f}" for value in function(torch.tensor(values)).tolist())
            print(f"   {rule:<8}{shown}")


def main() -> None:
    show_by_hand()
    rule = f"{Path(__file__).stem}.by_rank"
    changes = [
        f"algorithm.advantage={{rule: {rule}, args: {{scale: 1.0}}}}",
        f"training={{steps: {STEPS}}}",
        "data.validation=null",
        "data.test=null",
    ]
    recipe = frugalrl.load_recipe("quickstart", changes)
    with tempfile.TemporaryDirectory() as folder:
        result = frugalrl.train(recipe, out=folder)
        steps = [row for row in result.metrics if "loss/policy" in row]
    print(f"\nquickstart with {rule}, {STEPS} steps:")
    for row in steps:
        print(f"step {row['step']}  reward {row['reward/mean']:.3f}  accuracy {row['reward/accuracy']:.2f}")


if __name__ == "__main__":
    main()
