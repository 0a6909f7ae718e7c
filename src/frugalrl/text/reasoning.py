"""Reasoning tags: whether a template has opened ``<think>`` already, and where reasoning ends."""


def prefills_think(prompt_text: str) -> bool:
    """Whether the prompt leaves the model inside an open ``<think>``."""
    return prompt_text.rfind("<think>") > prompt_text.rfind("</think>")


def with_opening_tag(completion: str, reasoning_open: bool) -> str:
    """The completion as if the model had written the tag that the template prefilled."""
    return "<think>\n" + completion if reasoning_open else completion


def split_reasoning(completion: str, reasoning_open: bool) -> tuple[str, str]:
    """Reasoning and what follows it. Unclosed: all of it is reasoning. Never opened nor closed: likewise."""
    opened = with_opening_tag(completion, reasoning_open)
    reasoning, _, answer = opened.partition("</think>")
    return reasoning.replace("<think>", "", 1), answer
