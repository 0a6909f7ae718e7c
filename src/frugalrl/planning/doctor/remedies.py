"""Changes of a recipe's rewards, prompt and engine, as the `--set` that makes them: whole, for a shell. Pure."""

import json
import shlex

from frugalrl.config.schema import RewardTerm, TrainRecipe

SAMPLE_IN_PROCESS = "--set 'rollout.engine={kind: torch}'"
"""The whole section: the keys of a server's are none of this engine's."""


def in_process(recipe: TrainRecipe) -> str:
    """Without servers, and without GPUs for them."""
    return SAMPLE_IN_PROCESS + " --set devices.serve=[]" * bool(recipe.devices.serve)


def instead(recipe: TrainRecipe, position: int, name: str) -> str:
    """A built-in reward in a term's place; without the term, if the rubric has that reward already."""
    others = [term for at, term in enumerate(recipe.rewards) if at != position]
    if any(term.name == name for term in others):
        return without(recipe, position)
    args = f" --set 'rewards.{position}.args={{}}'" if recipe.rewards[position].args else ""
    return f"--set rewards.{position}.name={name}{args}"


def without(recipe: TrainRecipe, position: int) -> str:
    """The rubric without a term; with the accuracy, if nothing else would have a weight."""
    others = [term for at, term in enumerate(recipe.rewards) if at != position]
    if not any(term.weight for term in others):
        return "--set 'rewards=[{name: accuracy, weight: 1.0}]'"
    return f"--set 'rewards=[{', '.join(map(_written, others))}]'"


def with_term(recipe: TrainRecipe, name: str, weight: float) -> str:
    """The rubric with one built-in reward more."""
    return f"--set 'rewards=[{', '.join(map(_written, [*recipe.rewards, RewardTerm(name=name, weight=weight)]))}]'"


def prompt_template(text: str) -> str:
    """A user message; {problem} is replaced in it. YAML would take it for a mapping if it were not quoted."""
    return f"--set {shlex.quote(f'data.prompt.template={json.dumps(text, ensure_ascii=False)}')}"


def _written(term: RewardTerm) -> str:
    """A term in YAML's flow style, with what differs from the defaults."""
    parts = [f"name: {term.name}", f"weight: {term.weight:g}"]
    if term.args:
        parts.append(f"args: {{{', '.join(f'{key}: {_value(value)}' for key, value in term.args.items())}}}")
    parts += [
        f"{key}: {_value(getattr(term, key))}"
        for key in ("gate_group_accuracy", "conversational", "timeout_seconds")
        if getattr(term, key) != RewardTerm.model_fields[key].default
    ]
    return f"{{{', '.join(parts)}}}"


def _value(value: object) -> str:
    """With double quotes, since the shell's are single ones."""
    return json.dumps(value)
