"""Model cards: the README.md that Hub layout keeps beside the weights."""


def sft_card(base: str, name: str, recipe_yaml: str) -> str:
    """The card of a model made by `frugalrl sft`."""
    return _card(base, name, "Supervised fine-tuning on prompts and completions.", recipe_yaml)


def _card(base: str, name: str, what: str, recipe_yaml: str) -> str:
    return (
        f"---\nlibrary_name: transformers\ntags:\n- frugalrl\n- reasoning\n---\n\n# {name}\n\n{what}\n\n"
        f"- base model: `{base}`\n- made with: frugalrl\n\n## Recipe\n\n```yaml\n{recipe_yaml}```\n"
    )
