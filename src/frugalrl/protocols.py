"""The shapes of what users write themselves: a reward, a loss, an advantage rule. No torch is imported to read them.

A function with the right signature is enough; nothing has to inherit from these. The other seams have theirs where
they are used: `RolloutEngine` in rollout/engine.py, `Task` in tasks/task.py, `Solver` in curation/solver.py.
"""

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from frugalrl.algorithms.losses import LossInputs


class Reward(Protocol):
    """A reward function with TRL's signature: the completions of one prompt in, a value for each out.

    Called by keyword with `prompts`, `completions`, `completion_ids`, `trainer_state`, `problem`, `answer` and every
    other column of the problem, each a list with one entry for each completion; a function that names its parameters
    gets those alone. It may be ``async``.

    Returns one finite number for each completion, or None for "no verdict", which adds nothing; the recipe's weight
    multiplies it. An error that it raises ends the run with a checkpoint of the step before.
    """

    def __call__(self, *, completions: list[Any], **columns: Any) -> Sequence[float | None] | Awaitable[Any]:
        """One value for each completion, in order."""
        ...


class Loss(Protocol):
    """A surrogate: the policy-gradient loss of N tokens, before any averaging; `algorithm.loss.surrogate`.

    Takes a `LossInputs`: log-probabilities in nats, float32 [N], those of the policy with gradient; advantages [N]; the
    number of each token's completion, int64 [N]. Its settings are keyword arguments, filled from
    `algorithm.loss.args`.

    Returns the loss of each token, [N] with gradient, and where a bound took effect, bool [N]. How tokens add up is
    `algorithm.loss.aggregation`.
    """

    def __call__(self, inputs: "LossInputs", /, **settings: Any) -> "tuple[Tensor, Tensor]":
        """The loss of the tokens, and where a bound took effect."""
        ...


class AdvantageRule(Protocol):
    """From the rewards of groups to advantages; `algorithm.advantage.rule`.

    Takes rewards, float32 [..., G]: the last dimension is one group of G completions. Settings are keyword arguments,
    filled from `algorithm.advantage.args`. Returns finite advantages of the same shape, 0 where a group has no
    learning signal, e.g. where all its rewards are equal.
    """

    def __call__(self, rewards: "Tensor", /, **settings: Any) -> "Tensor":
        """Advantages, of the rewards' shape."""
        ...
