"""Tokenizers without their model: counting the tokens of full prompts, and asking servers of token ids."""

from collections.abc import Callable, Sequence
from typing import Any

from frugalrl.config.curation_schema import PromptTokens
from frugalrl.config.schema import PromptSettings
from frugalrl.data.prompts import messages_for, render
from frugalrl.errors import ModelError
from frugalrl.rollout.server.token_texts import TokenTexts
from frugalrl.training.model.policy import quiet_transformers, resolve_model_path
from frugalrl.training.model.tokenizer_checks import end_tokens


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


def load_token_texts(name: str) -> TokenTexts:
    """For a server of token ids with the model that this tokenizer belongs to. Raises ModelError."""
    tokenizer = load_tokenizer(name)
    return TokenTexts(tokenizer, end_tokens(tokenizer, _configured_ends(name)))


def _configured_ends(name: str) -> tuple[int, ...]:
    """What the model's own files name as end tokens; none where there is a tokenizer alone."""
    import transformers

    for kind in (transformers.GenerationConfig, transformers.AutoConfig):
        try:
            found = kind.from_pretrained(str(resolve_model_path(name))).eos_token_id
        except (OSError, ValueError):
            continue
        if found is not None:
            return tuple(found) if isinstance(found, list) else (int(found),)
    return ()


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
