"""Model and tokenizer: what the template makes of a prompt, and what decoding leaves of an answer.

Whatever surely is broken (missing tensors, ids beyond the embedding, a context too short) is refused where the model
is loaded; this looks at what loads and still cannot work.
"""

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from frugalrl.config.schema import TrainRecipe
from frugalrl.data.prompts import messages_for, problem_messages, render
from frugalrl.planning.doctor.finding import Finding
from frugalrl.planning.doctor.remedies import prompt_template
from frugalrl.text.reasoning import prefills_think
from frugalrl.training.model.policy import Policy
from frugalrl.types import Prompt

_ANSWER = "So it is 12.\n</think>\nThe answer is \\boxed{12}."
_ROLE_WORDS = 4
"""That a template may write between the question and the answer: a role or two."""
_FORMAT_REWARDS = ("format", "tag_count", "code_format", "open_rs_format", "open_rs_tag_count")


def model_findings(recipe: TrainRecipe, policy: Policy, prompt: Prompt) -> list[Finding]:
    """Everything that one rendered prompt and one decoded answer show. prompt: of the first training problem."""
    return [
        _end_tokens(policy),
        _template_keeps_the_messages(recipe, prompt),
        _template_opens_the_turn(recipe, policy.tokenizer, prompt),
        _template_is_the_same_again(recipe, policy.tokenizer, prompt),
        _template_adds_nothing(recipe, policy.tokenizer, prompt),
        _reasoning_tags(recipe, prompt),
        _decoding(recipe, policy),
        _start_tokens(policy.tokenizer, prompt),
    ]


def _end_tokens(policy: Policy) -> Finding:
    note = policy.end_token_note
    if note is not None:
        message, _, fix = note.partition(" would run to the cap. ")
        return Finding("model/end_tokens", "yellow", f"{message} would run to the cap.", fix)
    names = ", ".join(sorted(str(policy.tokenizer.convert_ids_to_tokens(one)) for one in policy.end_token_ids))
    return Finding("model/end_tokens", "green", f"a completion ends with {names}")


def _template_keeps_the_messages(recipe: TrainRecipe, prompt: Prompt) -> Finding:
    """A template may drop the system message, or all but a part of the user's, without an error."""
    name, seen = "model/template_messages", _squeezed(prompt.text)
    asked = recipe.data.prompt
    messages = messages_for(prompt.problem.text, asked)
    lost = [one["role"] for one in messages if _squeezed(one["content"]) not in seen]
    if "user" in lost:
        return Finding(
            name,
            "red",
            "The chat template leaves the problem out of the prompt: the model would answer without a question.",
            "Put the model's own chat_template.jinja into its folder; it has to write message['content'] of every role",
        )
    if lost:
        both = f"{asked.system}\n\n{asked.template}"
        return Finding(
            name,
            "red",
            "The chat template leaves out the system message, so the model never reads what it asks for.",
            f"--set data.prompt.system=null {prompt_template(both)}",
        )
    return Finding(name, "green", f"the prompt holds the {' and the '.join(one['role'] for one in messages)} message")


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _template_opens_the_turn(recipe: TrainRecipe, tokenizer: Any, prompt: Prompt) -> Finding:
    messages = messages_for(prompt.problem.text, recipe.data.prompt)
    closed = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False))
    if closed == prompt.text:
        return Finding(
            "model/template_turn",
            "red",
            "The chat template does not open the assistant's turn (add_generation_prompt changes nothing): the model "
            "would go on with the user's message.",
            "End chat_template.jinja with {% if add_generation_prompt %} and the start of the assistant's turn, as the "
            "model was trained",
        )
    return Finding("model/template_turn", "green", f"the prompt ends in {prompt.text[len(closed) :][-40:]!r}")


def _template_is_the_same_again(recipe: TrainRecipe, tokenizer: Any, prompt: Prompt) -> Finding:
    """Chance or a clock in a template: every epoch, and every resume, would train on other prompts."""
    name, messages = "model/template_clock", problem_messages(prompt.problem, recipe.data.prompt)
    texts = {prompt.text, *(render(tokenizer, messages) for _ in range(3))}
    if len(texts) > 1:
        return Finding(
            name,
            "red",
            f"The chat template writes another prompt each time, e.g. {_differences(prompt.text, texts)}: training, "
            "evaluation and a resume would not be asked the same.",
            "Take the random filter or the clock out of chat_template.jinja in the model's folder, and write the text "
            "itself",
        )
    if "strftime_now" in str(tokenizer.chat_template) and any(day in prompt.text for day in _today()):
        return Finding(
            name,
            "yellow",
            "The chat template writes today's date, so a run that is resumed tomorrow is asked otherwise.",
            f"In chat_template.jinja, put a date in the place of strftime_now(...), e.g. '{_today()[0]}'",
        )
    return Finding(name, "green", "the same prompt every time")


def _differences(one: str, texts: Collection[str]) -> str:
    other = next(text for text in texts if text != one)
    at = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"{one[max(0, at - 10) : at + 20]!r} and {other[max(0, at - 10) : at + 20]!r}"


def _today() -> Sequence[str]:
    return [datetime.now().strftime(form) for form in ("%d %b %Y", "%Y-%m-%d", "%d %B %Y", "%B %d, %Y", "%d/%m/%Y")]


def _template_adds_nothing(recipe: TrainRecipe, tokenizer: Any, prompt: Prompt) -> Finding:
    """Words of the template's own after the question: a left-over example, or a second question."""
    name, asked = "model/template_words", messages_for(prompt.problem.text, recipe.data.prompt)[-1]["content"].strip()
    before, found, after = prompt.text.rpartition(asked)
    if found and asked in before:
        return Finding(
            name,
            "yellow",
            f"The prompt holds the question {prompt.text.count(asked)} times.",
            "In chat_template.jinja, write message['content'] once",
        )
    for special in tokenizer.all_special_tokens:
        after = after.replace(special, " ")
    words = re.findall(r"[^\W_]{2,}", re.sub(r"<[^<>]{1,40}>", " ", after))
    if found and len(words) > _ROLE_WORDS:
        return Finding(
            name,
            "yellow",
            f"The chat template writes text of its own after the question: {after.strip()[-80:]!r}.",
            "Take it out of chat_template.jinja in the model's folder, so that the question is followed by the start "
            "of the assistant's turn; instructions belong into data.prompt.template",
        )
    return Finding(name, "green", "the question stands once, and the assistant's turn follows")


def _reasoning_tags(recipe: TrainRecipe, prompt: Prompt) -> Finding:
    name, paid = "model/template_think", [term.name for term in recipe.rewards if term.name in _FORMAT_REWARDS]
    if "</think>" in prompt.text[-60:] and not prefills_think(prompt.text):
        return Finding(
            name,
            "red" if paid else "yellow",
            f"The chat template closes the reasoning before the model writes (the prompt ends in {prompt.text[-30:]!r})"
            + (f": {', '.join(paid)} can hardly ever pay." if paid else ": the model is asked not to reason."),
            "Take '</think>' out of the end of chat_template.jinja in the model's folder, so that it ends in "
            "'<think>\\n'",
        )
    opened = "opens <think>: rewards are told" if prefills_think(prompt.text) else "leaves <think> to the model"
    return Finding(name, "green", f"the template {opened}")


def _decoding(recipe: TrainRecipe, policy: Policy) -> Finding:
    """Special tokens vanish when a completion is decoded: if </think> is one, no reward ever sees it."""
    ids = policy.tokenizer(_ANSWER, add_special_tokens=False)["input_ids"]
    text = str(policy.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
    if "</think>" not in text:
        return Finding(
            "model/decoding",
            "red",
            "The tokenizer marks </think> as special, so it vanishes from every decoded completion: no reasoning is "
            "ever seen as closed, and no answer after it is read.",
            "In tokenizer_config.json (added_tokens_decoder) and tokenizer.json (added_tokens), give <think> and "
            '</think> "special": false',
        )
    if "".join(text.split()) != "".join(_ANSWER.split()):
        return Finding(
            "model/decoding",
            "red",
            f"An answer does not survive the tokenizer: {_ANSWER!r} comes back as {text!r}.",
            "Put the model's own tokenizer.json and tokenizer_config.json into its folder",
        )
    return Finding("model/decoding", "green", "</think> and \\boxed{} survive encoding and decoding")


def _start_tokens(tokenizer: Any, prompt: Prompt) -> Finding:
    start = tokenizer.bos_token_id
    count = prompt.token_ids[:4].count(start) if start is not None else 0
    if count > 1:
        return Finding(
            "model/start_tokens",
            "red",
            f"The prompt begins with {count} start tokens ({tokenizer.bos_token!r}): the model was trained with one.",
            "Take all but one out of the beginning of chat_template.jinja in the model's folder",
        )
    return Finding("model/start_tokens", "green", f"{count} start token" if count else "no start token is doubled")
