"""A recipe's sections as the plain values and functions that the algorithms and the sampler take.

Every function that a recipe names is tried on a few harmless values here, so that a wrong path, signature or result is
one sentence before the run starts.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from frugalrl.algorithms.advantages import Advantages
from frugalrl.algorithms.losses import LossInputs, LossRule, Surrogate
from frugalrl.algorithms.off_policy import Mismatch
from frugalrl.config.algorithm_schema import AdvantageSettings, LossSettings
from frugalrl.config.schema import TrainRecipe
from frugalrl.data.sampler import SamplerRule, SamplerState, next_problems
from frugalrl.errors import DataError, RecipeError, UserError
from frugalrl.functions import ADVANTAGE_PRESETS, ADVANTAGE_RULES, SAMPLERS, SURROGATES, bound_function
from frugalrl.training.update import UpdateSettings
from frugalrl.types import Prompt

_SURROGATE_SETTINGS = ("clip_low", "clip_high", "delta", "tau_pos", "tau_neg")
"""Keys of `algorithm.loss` that a surrogate gets if its signature names them."""
_SURROGATE = ("surrogate", ("inputs",))
_ADVANTAGE_RULE = ("advantage rule", ("rewards",))
_SAMPLER = ("sampler", ("memory", "draw"))


def check_algorithm(recipe: TrainRecipe) -> None:
    """Raise RecipeError if a surrogate or advantage rule of the recipe can't be imported or breaks its contract."""
    loss_rule(recipe.algorithm.loss)
    advantage_rule(recipe.algorithm.advantage)


def sampler_rule(recipe: TrainRecipe, train: Sequence[Prompt]) -> SamplerRule:
    """The order of the training problems, tried on a first draw.

    Raises DataError if a curriculum meets a problem outside its bands, RecipeError for a sampler of the user's that
    can't be imported or does not keep to its protocol.
    """
    settings = recipe.data.sampler
    section = settings.model_dump(exclude={"mode", "args"})
    asked = [key for key in ("bands", "skip_solved", "skip_unsolved") if section[key] not in (None, ())]
    function = bound_function(settings.mode, SAMPLERS, *_SAMPLER, section, settings.args, asked)
    rule = SamplerRule(recipe.seed, tuple(prompt.problem for prompt in train), function)
    try:
        next_problems(SamplerState(), rule, recipe.rollout.prompts_per_step)
    except UserError:
        raise
    except Exception as error:  # whatever the user's code raises
        if settings.mode == "curriculum" and isinstance(error, ValueError):
            raise DataError(
                f"The curriculum has the bands {', '.join(settings.bands)}, and {error}. Name every band of the "
                "training data in data.sampler.bands; `frugalrl curate` writes the column."
            ) from None
        raise _failed(_SAMPLER[0], settings.mode, "a first draw", error) from error
    return rule


def advantage_rule(settings: AdvantageSettings) -> Advantages:
    """The rule with the numbers of the preset, or those the recipe replaces them with. Raises RecipeError."""
    given = settings.model_dump(exclude={"rule", "args", "preset"}, exclude_none=True)
    section = {**ADVANTAGE_PRESETS[settings.preset], **given}
    rule = bound_function(settings.rule, ADVANTAGE_RULES, *_ADVANTAGE_RULE, section, settings.args, given)

    def checked(rewards: Tensor) -> Tensor:
        if not rewards.isfinite().all():
            raise RecipeError(f"The rewards of a group are {rewards.tolist()}. Keep rewards and their sum within 1e38.")
        advantages = rule(rewards)
        if not isinstance(advantages, Tensor) or advantages.shape != rewards.shape:
            raise RecipeError(
                f"The advantage rule {settings.rule} gave {_shown(advantages)} for rewards of shape "
                f"{tuple(rewards.shape)}. Return a tensor of the same shape."
            )
        if not advantages.isfinite().all():
            raise RecipeError(
                f"The advantage rule {settings.rule} gave {advantages.tolist()} for the rewards {rewards.tolist()}. "
                "Return finite numbers, for a group of equal rewards too."
            )
        return advantages

    for group in ([1.0, 0.0, 0.5, 0.0], [1.0, 1.0]):
        _tried(checked, torch.tensor(group), _ADVANTAGE_RULE[0], settings.rule)
    return checked


def loss_rule(loss: LossSettings) -> LossRule:
    """The surrogate with its numbers, and the rest of the loss. Raises RecipeError."""
    mismatch = None
    if loss.mismatch != "none":
        cap = loss.mismatch_cap or (3.0 if loss.mismatch == "sequence_mask" else 2.0)
        mismatch = Mismatch(loss.mismatch, cap, loss.mismatch_low, loss.mismatch_high)
    return LossRule(
        surrogate=_surrogate(loss),
        kl_coef=loss.kl_coef,
        kl_estimator=loss.kl_estimator,
        mismatch=mismatch,
        off_policy_mask=loss.off_policy_mask,
        needs_advantage=loss.surrogate in SURROGATES,
    )


def update_settings(recipe: TrainRecipe, engine_is_exact: bool) -> UpdateSettings:
    """What `update_policy` needs of a recipe."""
    algorithm, loss = recipe.algorithm, recipe.algorithm.loss
    # A correction for the engine's log-probs compares them with recomputed ones, so those are the old ones then.
    # One step off policy the recomputed ones would be those of weights that have moved since.
    rollouts_serve = (engine_is_exact or recipe.rollout.one_step_off) and loss.mismatch == "none"
    return UpdateSettings(
        loss=loss_rule(loss),
        updates=algorithm.updates_per_batch,
        temperature=recipe.rollout.temperature,
        logits_chunk_tokens=recipe.training.logits_chunk_tokens,
        old_from_rollout={"rollout": True, "recompute": False, "auto": rollouts_serve}[algorithm.old_logprobs],
    )


def _surrogate(loss: LossSettings) -> Surrogate:
    name = loss.surrogate
    section = {key: getattr(loss, key) for key in _SURROGATE_SETTINGS}
    asked = () if loss.delta is None else ("delta",)
    surrogate = bound_function(name, SURROGATES, *_SURROGATE, section, loss.args, asked)
    policy_logprobs = torch.tensor([-1.0, -0.5, -2.0], requires_grad=True)
    old_logprobs, advantages = torch.tensor([-1.1, -0.5, -1.0]), torch.tensor([1.0, 1.0, -0.5])
    inputs = LossInputs(policy_logprobs, old_logprobs, advantages, rows=torch.tensor([0, 0, 1]))
    given = _tried(surrogate, inputs, _SURROGATE[0], name)
    fits = isinstance(given, tuple) and len(given) == 2 and all(isinstance(part, Tensor) for part in given)
    if not fits or any(part.shape != policy_logprobs.shape for part in given):
        raise RecipeError(
            f"The surrogate {name} gave {_shown(given)} for 3 tokens. Return two tensors with an entry for each token: "
            "its loss, and whether a bound took effect."
        )
    if not given[0].requires_grad:
        raise RecipeError(f"The loss of the surrogate {name} has no gradient. Compute it from inputs.policy_logprobs.")
    return surrogate


def _tried(function: Any, data: Any, what: str, name: str) -> Any:
    try:
        return function(data)
    except UserError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise _failed(what, name, "a trial with made-up numbers", error) from error


def _failed(what: str, name: str, occasion: str, error: Exception) -> RecipeError:
    return RecipeError(f"The {what} {name} failed in {occasion}: {type(error).__name__}: {error}. Fix it or its args.")


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    return f"a {type(value).__name__}"
