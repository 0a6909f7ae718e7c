"""Model cards: the README.md that Hub layout keeps beside the weights."""

from frugalrl.config.loading import dump_recipe
from frugalrl.config.schema import SftRecipe, TrainRecipe
from frugalrl.reporting.console import difference, estimate, verdict
from frugalrl.reporting.summary import Score, Summary
from frugalrl.statistics.intervals import Estimate


def sft_card(recipe: SftRecipe) -> str:
    """The card of a model made by `frugalrl sft`."""
    base = "none (random weights)" if recipe.scratch else f"`{recipe.model.path}`"
    return _card(recipe, base, ["Supervised fine-tuning on prompts and completions."])


def training_card(recipe: TrainRecipe, summary: Summary | None) -> str:
    """The card of a checkpoint (no summary yet) or of the model at the end of a run."""
    lines = ["Reinforcement learning with verifiable rewards (GRPO)."]
    if summary is not None and summary.base and summary.final and summary.difference:
        lines += [
            "",
            f"Accuracy on the {summary.split} split ({summary.final.n} problems, {summary.final.k} samples each, "
            f"temperature {recipe.evaluation.temperature:g}), 95 % intervals clustered by problem:",
            "",
            f"- base: {estimate(_interval(summary.base))}",
            f"- this model: {estimate(_interval(summary.final))}",
            f"- paired difference: {difference(summary.difference)}, {verdict(summary)}",
        ]
    if summary is not None and summary.choice:
        lines += ["", f"This is the model after step {summary.kept_step} of {summary.steps}. Chosen on validation:", ""]
        lines += [f"- {reason}" for reason in summary.choice]
    return _card(recipe, f"`{recipe.model.path}`", lines)


def _interval(score: Score) -> Estimate:
    return Estimate(score.avg_at_k, score.ci_low, score.ci_high)


def _adapters(recipe: SftRecipe | TrainRecipe) -> list[str]:
    lora = recipe.model.lora
    if lora is None:
        return []
    return [
        "",
        f"LoRA adapters of rank {lora.rank} (alpha {lora.alpha:g}, dropout {lora.dropout:g}) in "
        f"{', '.join(lora.target)} were trained. In a run, `model/` holds the base with them "
        "merged in, in float32, and `adapter/` holds them alone, in peft's format.",
    ]


def _card(recipe: SftRecipe | TrainRecipe, base: str, lines: list[str]) -> str:
    body = "\n".join([*lines, *_adapters(recipe)])
    return (
        f"---\nlibrary_name: transformers\ntags:\n- frugalrl\n- reasoning\n---\n\n# {recipe.name}\n\n{body}\n\n"
        f"- base model: {base}\n- made with: frugalrl\n\n## Recipe\n\n```yaml\n{dump_recipe(recipe)}```\n"
    )
