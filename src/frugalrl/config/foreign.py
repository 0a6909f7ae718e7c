"""Recipe files of other trainers read and written: files and validation around the mappings of `convert/`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from frugalrl.config.loading import load_recipe, parse_recipe, read_yaml
from frugalrl.config.schema import TrainRecipe
from frugalrl.convert.detect import NAMES, kind_of
from frugalrl.convert.exports import to_prime_rl, to_trl, to_verl, toml_text
from frugalrl.convert.report import KeyLine, comments
from frugalrl.convert.trl import convert_trl
from frugalrl.convert.trl_reading import Circumstances
from frugalrl.errors import RecipeError


def import_recipe(source: str, given: Circumstances) -> tuple[str, Sequence[KeyLine]]:
    """Our recipe as YAML for a GRPO recipe of TRL, open-r1 or open-rs, and what became of each key.

    Raises RecipeError for another kind of file, and for a recipe that ours cannot express at all.
    """
    values = read_yaml(Path(source))
    kind = kind_of(values)
    if kind != "trl-grpo":
        what = f"{source} is {NAMES[kind]}" if kind in NAMES else f"{source} is no recipe that is known here"
        hint = f"Run it with: frugalrl {kind} {source}" if kind in ("train", "sft", "curate") else "Give a GRPO recipe."
        raise RecipeError(f"{what}, and convert reads GRPO recipes of TRL, open-r1 and open-rs. {hint}")
    converted = convert_trl(values, given)
    parse_recipe(dict(converted.values), TrainRecipe)
    head = f"# Converted from {Path(source).name} (TRL's keys) by frugalrl convert.\n"
    body = yaml.safe_dump(dict(converted.values), sort_keys=False, allow_unicode=True, width=110)
    return head + comments(converted.lines) + body, converted.lines


def recipe_text(values: Mapping[str, Any]) -> str:
    """A training recipe as YAML, checked. Raises RecipeError."""
    parse_recipe(dict(values), TrainRecipe)
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=110)


def export_recipe(source: str, target: str, processes: int) -> tuple[str, Sequence[KeyLine]]:
    """Our training recipe as the text of another trainer's configuration, and what has no counterpart there."""
    recipe = load_recipe(source, TrainRecipe).model_dump(mode="json")
    if target == "prime-rl":
        values, lines = to_prime_rl(recipe)
        return toml_text(values), lines
    values, lines = to_trl(recipe, processes) if target == "trl" else to_verl(recipe)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110), lines
