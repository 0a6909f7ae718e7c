"""Whether a tokenizer belongs to its model: it can read and write, its ids have rows, and a completion can end.

transformers makes an empty tokenizer where the files are missing, and an id beyond the embedding is found only when
it comes up. What surely is wrong is refused; an end token that the chat template does not write after an answer is
said and allowed, because base models end with one of their own (Qwen2.5's `<|endoftext|>` beside `<|im_end|>`).
"""

from collections.abc import Collection
from typing import Any

from frugalrl.errors import ModelError

_PROBE = "Add 17 and 25: the sum is 42."
_ANSWER = "The sum is 42"
_PADDING_FRACTION = 0.05
"""Rows without a token: R1-Distill-Qwen 0.2 % (151,936 rows), deepseek-coder 0.7 %, deepseek-math 2.3 %."""
_PADDING_ROWS = 128
"""Rows are often rounded up to a multiple of 64 or 128, which counts in small vocabularies."""


def refuse_unfit_tokenizer(path: str, tokenizer: Any, rows: int, configured_ends: Collection[int]) -> None:
    """Raise ModelError for a tokenizer that cannot be this model's.

    rows: of the embedding. configured_ends: `eos_token_id` of generation_config.json.
    """
    vocabulary = tokenizer.get_vocab()
    ids = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    if not ids or "".join(tokenizer.decode(ids).split()) != "".join(_PROBE.split()):
        raise ModelError(
            f"The tokenizer of {path!r} cannot write and read a sentence ({len(vocabulary)} tokens): its files are "
            "missing or belong to another class. Put tokenizer.json and tokenizer_config.json beside the model."
        )
    largest = max(vocabulary.values())
    if largest >= rows:
        raise ModelError(
            f"The tokenizer of {path!r} has ids up to {largest} and the model's embedding {rows} rows. Put the "
            "model's own tokenizer files beside it, or resize the embedding and train the new rows first."
        )
    if rows - len(vocabulary) > max(_PADDING_ROWS, _PADDING_FRACTION * rows):
        raise ModelError(
            f"The tokenizer of {path!r} has {len(vocabulary)} tokens and the model's embedding {rows} rows, more than "
            "padding explains. Put the model's own tokenizer files beside it; if they are its own, cut the embedding "
            "with model.resize_token_embeddings(len(tokenizer))."
        )
    _refuse_unfit_ends(path, tokenizer, rows, configured_ends)


def _refuse_unfit_ends(path: str, tokenizer: Any, rows: int, configured: Collection[int]) -> None:
    outside = sorted(token for token in configured if not 0 <= token < rows)
    if outside:
        raise ModelError(
            f"The generation_config.json of {path!r} ends completions with token {outside[0]}, and the embedding has "
            f"{rows} rows. Correct eos_token_id there."
        )
    ends = end_tokens(tokenizer, configured)
    if not ends:
        raise ModelError(
            f"The model {path!r} has no end token, so every completion would run to the cap. Set eos_token in "
            "tokenizer_config.json, or eos_token_id in generation_config.json."
        )
    written = _ids_after_an_answer(tokenizer)
    words = {token for token in ends if str(tokenizer.convert_ids_to_tokens(token)).lstrip("Ġ▁").isalnum()}
    if written is not None and words - written:
        raise ModelError(
            f"The end token {_names(tokenizer, words)} of {path!r} is ordinary text, which would cut completions "
            f"wherever it comes up. Correct eos_token_id in generation_config.json, and eos_token in "
            "tokenizer_config.json."
        )


def end_token_note(path: str, tokenizer: Any, configured: Collection[int]) -> str | None:
    """What to say where the chat template ends an answer with a token that does not end a completion."""
    ends, written = end_tokens(tokenizer, configured), _ids_after_an_answer(tokenizer)
    if written is None or ends & written:
        return None
    return (
        f"The chat template of {path} never writes the end token {_names(tokenizer, ends)} after an answer: a model "
        f"trained with that template would run to the cap. {_remedy(tokenizer, written)}"
    )


def end_tokens(tokenizer: Any, configured: Collection[int]) -> frozenset[int]:
    """What ends a completion: the generation config's tokens and the tokenizer's own."""
    return frozenset(token for token in [*configured, tokenizer.eos_token_id] if token is not None)


def _ids_after_an_answer(tokenizer: Any) -> set[int] | None:
    """The tokens that the chat template writes after an assistant's answer; None without a template that does so."""
    if not getattr(tokenizer, "chat_template", None):
        return None
    messages = [{"role": "user", "content": "Add 17 and 25."}, {"role": "assistant", "content": _ANSWER}]
    try:
        text = str(tokenizer.apply_chat_template(messages, tokenize=False))
    except Exception:  # a template may refuse this conversation with anything; prompts report on templates
        return None
    before, found, after = text.rpartition(_ANSWER)
    return set(tokenizer(after, add_special_tokens=False)["input_ids"]) if found and before else None


def _remedy(tokenizer: Any, written: Collection[int]) -> str:
    special = sorted(set(written) & (set(tokenizer.all_special_ids) | set(tokenizer.get_added_vocab().values())))
    if not special:
        return "Let the template end an answer with the end token, as the model was trained."
    return f"If it was, add {special[0]} ({_names(tokenizer, special[:1])}) to eos_token_id in generation_config.json."


def _names(tokenizer: Any, ids: Collection[int]) -> str:
    return ", ".join(str(tokenizer.convert_ids_to_tokens(token)) for token in sorted(ids))
