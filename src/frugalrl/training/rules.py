"""A recipe's sections as the plain values that algorithms and sampler take."""

import dataclasses
from collections.abc import Sequence

from frugalrl.algorithms.advantages import PRESETS, AdvantageRule
from frugalrl.algorithms.losses import LossRule
from frugalrl.algorithms.off_policy import Mismatch
from frugalrl.config.algorithm_schema import AdvantageSettings, LossSettings
from frugalrl.config.schema import TrainRecipe
from frugalrl.data.sampler import SamplerRule, band_ranks
from frugalrl.errors import DataError
from frugalrl.training.update import UpdateSettings
from frugalrl.types import Prompt


def sampler_rule(recipe: TrainRecipe, train: Sequence[Prompt]) -> SamplerRule:
    """The order of the training problems. Raises DataError if a curriculum meets a problem outside its bands."""
    settings = recipe.data.sampler
    ranks = None
    if settings.mode == "curriculum":
        bands = [prompt.problem.columns.get("band") for prompt in train]
        try:
            ranks = band_ranks(bands, settings.bands)
        except ValueError as error:
            raise DataError(
                f"The curriculum has the bands {', '.join(settings.bands)}, and {error}. Name every band of the "
                "training data in data.sampler.bands; `frugalrl curate` writes the column."
            ) from None
    return SamplerRule(recipe.seed, ranks, settings.skip_solved, settings.skip_unsolved, settings.re_entry_steps)


def advantage_rule(settings: AdvantageSettings) -> AdvantageRule:
    """The preset with the parts the recipe replaces."""
    given = settings.model_dump(exclude={"preset"}, exclude_none=True)
    return dataclasses.replace(PRESETS[settings.preset], **given)


def loss_rule(loss: LossSettings) -> LossRule:
    """The numbers of the loss."""
    mismatch = None
    if loss.mismatch != "none":
        mismatch = Mismatch(loss.mismatch, loss.mismatch_cap, loss.mismatch_low, loss.mismatch_high)
    return LossRule(
        surrogate=loss.surrogate,
        clip_low=loss.clip_low,
        clip_high=loss.clip_high,
        delta=loss.delta,
        tau_pos=loss.tau_pos,
        tau_neg=loss.tau_neg,
        kl_coef=loss.kl_coef,
        kl_estimator=loss.kl_estimator,
        mismatch=mismatch,
        off_policy_mask=loss.off_policy_mask,
    )


def update_settings(recipe: TrainRecipe, engine_is_exact: bool, entropy_coef: float = 0.0) -> UpdateSettings:
    """What `update_policy` needs of a recipe."""
    algorithm, loss = recipe.algorithm, recipe.algorithm.loss
    # A correction for the engine's log-probs compares them with recomputed ones, so those are the old ones then.
    rollouts_serve = engine_is_exact and loss.mismatch == "none"
    return UpdateSettings(
        loss=loss_rule(loss),
        updates=algorithm.updates_per_batch,
        temperature=recipe.rollout.temperature,
        logits_chunk_tokens=recipe.training.logits_chunk_tokens,
        old_from_rollout={"rollout": True, "recompute": False, "auto": rollouts_serve}[algorithm.old_logprobs],
        entropy_coef=entropy_coef,
    )
