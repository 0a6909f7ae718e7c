"""Counting the tokens of full prompts, with a tokenizer alone: no model is loaded."""

from collections.abc import Callable, Sequence
from typing import Any

from frugalrl.config.curation_schema import PromptTokens
from frugalrl.config.schema import PromptSettings
from frugalrl.data.prompts import messages_for, render
from frugalrl.errors import ModelError
from frugalrl.training.model.policy import quiet_transformers, resolve_model_path


def load_tokenizer(name: str) -> Any:
    """A tokenizer by itself. Raises ModelError if it cannot be loaded."""
    import transformers

    quiet_transformers()
    try:
        return transformers.AutoTokenizer.from_pretrained(str(resolve_model_path(name)))
    except Exception as error:  # transformers raises many kinds, all of them about this tokenizer
        raise ModelError(
            f"The tokenizer {name!r} cannot be loaded: {error}. Give a folder in Hub layout, a Hub id that can be "
            "reached, or builtin:tiny."
        ) from None


def token_counter(step: PromptTokens) -> Callable[[Sequence[str]], list[int]]:
    """From problem texts to the tokens of their prompts, chat template included.

    Raises ModelError if the tokenizer cannot be loaded or has no chat template.
    """
    tokenizer = load_tokenizer(step.tokenizer)
    settings = PromptSettings(system=step.system, template=step.template)

    def count(texts: Sequence[str]) -> list[int]:
        prompts = [render(tokenizer, messages_for(text, settings)) for text in texts]
        return [len(ids) for ids in tokenizer(prompts, add_special_tokens=False)["input_ids"]] if prompts else []

    return count
