"""From a problem to the token ids a model sees, through the tokenizer's chat template.

What a template prefills (R1-Distill's ends in ``<think>\\n``) is part of the prompt; rewards are told whether it does,
see `text.reasoning.prefills_think`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from frugalrl.errors import DataError, ModelError
from frugalrl.types import Problem, Prompt

Message = Mapping[str, str]


@dataclass(frozen=True)
class PromptedCompletion:
    """An example of supervised fine-tuning before the tokenizer."""

    prompt: str | tuple[Message, ...]
    """A problem's text, or a conversation."""
    completion: str


class PromptFormat(Protocol):
    """How a problem becomes a prompt; a recipe's section `data.prompt` is one."""

    @property
    def system(self) -> str | None:
        """The system message, if there is one."""
        ...

    @property
    def template(self) -> str:
        """The user's message; ``{problem}`` is replaced."""
        ...


def messages_for(text: str, settings: PromptFormat) -> list[Message]:
    """The conversation that asks a problem: a system message if the recipe has one, then the user's."""
    user = {"role": "user", "content": settings.template.replace("{problem}", text)}
    return [user] if settings.system is None else [{"role": "system", "content": settings.system}, user]


def problem_messages(problem: Problem, settings: PromptFormat) -> list[Message]:
    """The conversation that asks a problem: its row's own, if it has one, around the recipe's template.

    A system message of the recipe takes the place of the row's.
    """
    asked = messages_for(problem.text, settings)
    if not problem.messages:
        return asked
    before = list(problem.messages[:-1])
    if settings.system is not None:
        before = [one for one in before if one["role"] != "system"]
    return [*asked[:-1], *before, asked[-1]]


def render(tokenizer: Any, messages: Sequence[Message]) -> str:
    """The prompt text, ready for the assistant's turn. Raises ModelError without a chat template."""
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            "The tokenizer has no chat template. Use an instruction-tuned model, or add a chat_template.jinja "
            "to the model's folder."
        )
    return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True))


def tokenize(tokenizer: Any, text: str) -> tuple[int, ...]:
    """Ids of a text that already contains its special tokens."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def build_prompts(
    tokenizer: Any,
    problems: Iterable[Problem],
    settings: PromptFormat,
    max_prompt_tokens: int,
    skip_long: bool = False,
    advice: str = "Take a model with a longer context, or leave the problem out.",
) -> list[Prompt]:
    """Prompts of problems, in order. advice: what to do about one that is too long.

    Raises DataError at the first prompt of more than `max_prompt_tokens`, or leaves such problems out
    if `skip_long`; and if nothing is left.
    """
    prompts = []
    for problem in problems:
        text = render(tokenizer, problem_messages(problem, settings))
        token_ids = tokenize(tokenizer, text)
        if len(token_ids) <= max_prompt_tokens:
            prompts.append(Prompt(problem, text, token_ids))
        elif not skip_long:
            raise DataError(
                f"The prompt of problem {problem.id} has {len(token_ids)} tokens, and at most {max_prompt_tokens} "
                f"are allowed. {advice}"
            )
    if not prompts:
        raise DataError(f"No problem is left: none has a prompt of at most {max_prompt_tokens} tokens. {advice}")
    return prompts
