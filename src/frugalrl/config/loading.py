"""Recipes from YAML files, shipped names and plain mappings, with changes (`--set a.b=c`), and back.

Decisions:
- YAML 1.2 where it matters: ``1e-6`` is a number (PyYAML alone reads text), a repeated key is an error.
- The error for an unknown key suggests the nearest known one; every error says where in the recipe it is.
"""

import difflib
import json
import re
from collections.abc import Hashable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from frugalrl.config.engine_schema import RolloutSettings
from frugalrl.config.presets import expand_preset
from frugalrl.config.schema import TrainRecipe
from frugalrl.config.section import Section
from frugalrl.convert.detect import Kind, advice, kind_of
from frugalrl.errors import RecipeError

_KINDS: Mapping[str, Kind] = {"TrainRecipe": "train", "SftRecipe": "sft", "CurationSpec": "curate"}
R = TypeVar("R", bound=Section)
Changes = Mapping[str, Any] | Sequence[str]
"""New values by dotted key, ``{"training.steps": 20}``, or as on the command line, ``["training.steps=20"]``."""


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2 floats and without repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for name, _ in node.value:
            key, line = self.construct_object(name, deep=True), name.start_mark.line + 1
            if isinstance(key, Hashable) and key in lines:
                where = f"lines {lines[key]} and {line}" if line != lines[key] else f"line {line}"
                raise RecipeError(f"The recipe holds the key {key!r} twice, in {where}. Keep one of them.")
            if isinstance(key, Hashable):  # the parent refuses any other
                lines[key] = line
        return super().construct_mapping(node, deep)


_FLOAT = re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def load_recipe(path: str | Path, kind: type[R], changes: Changes = ()) -> R:
    """Read a recipe, apply changes in order, and validate it.

    path: a file, or the name of a shipped recipe such as ``quickstart`` or ``mini/open-rs3``.
    Raises RecipeError if there is none or it is not YAML, a change is malformed, or a value is wrong.
    """
    file = find_recipe(path)
    raw = read_yaml(file)
    instead = advice(kind_of(raw), _KINDS.get(kind.__name__, "unknown"), str(path))
    if instead is not None:
        raise RecipeError(instead)
    return _changed(raw, kind, changes)


def recipe_from(values: Mapping[str, Any], kind: type[R], changes: Changes = ()) -> R:
    """The recipe of a plain mapping, changed and validated as `load_recipe` does. The mapping stays as it is."""
    return _changed(json.loads(json.dumps(values, default=_plain)), kind, changes)


def _changed(raw: object, kind: type[R], changes: Changes) -> R:
    _apply(raw, changes)
    return parse_recipe(raw, kind)


def change_recipe(recipe: R, changes: Changes) -> R:
    """The recipe with other values, validated anew. Raises RecipeError.

    Not the preset of an algorithm: it gives way to every key that is set, and in a resolved recipe all its keys are.
    """
    raw = recipe.model_dump(mode="json", exclude_unset=True)
    before = _preset_of(raw)
    _apply(raw, changes)
    if _preset_of(raw) != before:
        raise RecipeError(
            "A preset is applied when a recipe is read, and this one has been. Give algorithm.preset as a change when "
            "you load the recipe."
        )
    return parse_recipe(raw, type(recipe))


def shipped_recipes() -> dict[str, Path]:
    """The recipes that are part of the package, by name: ``quickstart``, ``mini/open-rs3`` ..."""
    folder = Path(str(resources.files("frugalrl"))) / "assets" / "recipes"
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*/*.yaml")])
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}


def find_recipe(path: str | Path) -> Path:
    """The file itself, or that of the shipped recipe of this name. Raises RecipeError if there is none."""
    path = Path(path)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    shipped = shipped_recipes()
    if path.as_posix() in shipped:
        return shipped[path.as_posix()]
    close = difflib.get_close_matches(path.as_posix(), shipped, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"Name a .yaml file or one of {', '.join(shipped)}."
    raise RecipeError(f"There is no recipe at {path}. {hint}")


def _preset_of(raw: Mapping[str, Any]) -> Any:
    algorithm = raw.get("algorithm")
    return algorithm.get("preset") if isinstance(algorithm, dict) else None


def _apply(raw: object, changes: Changes) -> None:
    if isinstance(changes, str):  # a string is a sequence of strings, too
        raise RecipeError(f"Changes are a mapping or a list, not {changes!r}. Write for example [{changes!r}].")
    if isinstance(changes, Mapping):
        for key, value in changes.items():
            _set_value(raw, str(key), value, f"The change {key!r}")
    else:
        for override in changes:
            _apply_override(raw, override)


def parse_recipe(raw: object, kind: type[R]) -> R:
    """Expand the preset of a plain mapping and validate it. RecipeError names each wrong place and the nearest key."""
    if not isinstance(raw, dict):
        raise RecipeError("The recipe is not a mapping of keys to values. Start it with `name:`.")
    if issubclass(kind, TrainRecipe):
        raw = expand_preset(raw, RolloutSettings().max_completion_tokens)
    try:
        return kind.model_validate_json(json.dumps(raw, default=_plain))
    except ValidationError as error:
        raise RecipeError("\n".join(_explain(item, kind) for item in _primary(error.errors()))) from None


def _plain(value: object) -> object:
    """What a mapping made in Python may hold beside JSON's values."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Path):
        return str(value)
    raise RecipeError(
        f"A recipe cannot hold {value!r}, a {type(value).__name__}. Give numbers, texts, lists, mappings."
    )


def load_part(path: Path, kind: type[R], overrides: Sequence[str] = ()) -> R:
    """The sections of a recipe that `kind` has, with overrides; defaults if there is no file.

    For a run's own recipe, which may be from another version: its other sections are ignored. Raises RecipeError.
    """
    raw = read_yaml(path) if path.is_file() else {}
    part = {key: value for key, value in raw.items() if key in kind.model_fields} if isinstance(raw, dict) else {}
    _apply(part, overrides)
    return parse_recipe(part, kind)


def dump_recipe(recipe: Section) -> str:
    """The resolved recipe as YAML: with every key, and loadable to an equal recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def front_matter(card: Path) -> Mapping[str, Any]:
    """The YAML at the head of a Markdown card, as on the Hub; empty if there is none that can be read."""
    found = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    try:
        values = yaml.safe_load(found[1]) if found else {}
    except yaml.YAMLError:
        values = {}
    return values if isinstance(values, dict) else {}


def read_yaml(path: Path) -> Any:
    """The values of a YAML file. Raises RecipeError if it is missing, unreadable or not YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        nearby = sorted(other.name for other in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, nearby, n=1)
        hint = f" Did you mean {path.parent / close[0]}?" if close else " Check the path."
        raise RecipeError(f"There is no recipe at {path}.{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"The recipe {path} cannot be read: {error}. Check the path and its rights.") from None
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise RecipeError(f"The recipe {path} is not valid YAML: {error}. Fix that line.") from None


def _apply_override(raw: object, override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {override!r} is not of the form a.b=c. Write for example training.steps=20.")
    try:
        parsed = yaml.load(value, Loader=_Loader)
    except yaml.YAMLError:
        raise RecipeError(f"--set {override!r} holds a value that is not YAML. Quote it.") from None
    _set_value(raw, key.strip(), parsed, f"--set {override!r}")


def _set_value(raw: object, key: str, value: Any, shown: str) -> None:
    """Set the value at a dotted key. shown: how the change is called in messages."""
    *parents, last = key.split(".")
    place = raw
    for name in parents:
        place = _descend(place, name, shown)
    if isinstance(place, list):
        place[_index(place, last, shown)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise RecipeError(f"{shown} goes below {'.'.join(parents)}, a plain value. Check the key.")


def _descend(place: object, name: str, shown: str) -> object:
    if isinstance(place, list):
        return place[_index(place, name, shown)]
    if isinstance(place, dict):
        if place.get(name) is None:
            place[name] = {}
        return place[name]
    raise RecipeError(f"{shown} looks for {name!r} below a plain value. Check the key.")


def _index(place: list[Any], name: str, shown: str) -> int:
    if not name.isdigit() or int(name) >= len(place):
        raise RecipeError(f"{shown} needs a position from 0 to {len(place) - 1} where it says {name!r}. Use a number.")
    return int(name)


def _primary(items: Sequence[Any]) -> list[Any]:
    """Without "too short" errors of lists whose missing entries have errors of their own."""
    locations = [item["loc"] for item in items]
    return [
        item
        for item in items
        if item["type"] != "too_short"
        or all(loc == item["loc"] or loc[: len(item["loc"])] != item["loc"] for loc in locations)
    ]


_CALLED_ELSEWHERE: Mapping[str, str] = {
    "source": "path", "path": "source", "problem_field": "columns.problem", "answer_field": "columns.answer",
    "num_generations": "group_size", "beta": "kl_coef", "epsilon": "clip_low", "epsilon_high": "clip_high",
    "max_completion_length": "max_completion_tokens", "max_prompt_length": "max_prompt_tokens", "max_steps": "steps",
    "lr": "learning_rate", "warmup_ratio": "warmup_fraction", "lr_scheduler_type": "schedule",
    "torch_dtype": "dtype", "model_name_or_path": "path", "num_iterations": "updates_per_batch",
    "save_steps": "save_every", "eval_steps": "every", "report_to": "trackers",
}  # fmt: skip
"""Names that another section or trainer has for a key, where no name here is spelt alike."""


def _explain(item: Any, kind: type[BaseModel]) -> str:
    location = [part for part in item["loc"] if isinstance(part, int | str)]
    where = ".".join(map(str, location)) or "the recipe"
    if item["type"] == "union_tag_invalid":
        key = item["ctx"]["discriminator"].strip("'").removesuffix("()")
        known = [tag.strip(" '") for tag in item["ctx"]["expected_tags"].split(",")]
        close = difflib.get_close_matches(item["ctx"]["tag"], known, n=1, cutoff=0.4)
        hint = f"Did you mean {close[0]!r}? Known are" if close else "Known are"
        return f"The recipe's {where} has an unknown {key}: {item['ctx']['tag']!r}. {hint} {', '.join(known)}."
    if item["type"] == "union_tag_not_found":
        key = item["ctx"]["discriminator"].strip("'").removesuffix("()")
        return f"The recipe lacks {where}.{key}, which says what kind it is. Add it."
    if item["type"] == "extra_forbidden":
        known = _fields_at(kind, location[:-1])
        called = _CALLED_ELSEWHERE.get(str(location[-1]), "")
        close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        close = [called] if called.partition(".")[0] in known else close
        hint = f"Did you mean {close[0]!r}?" if close else f"Known here: {', '.join(sorted(known))}."
        return f"The recipe has an unknown key: {where}. {hint}"
    if item["type"] == "missing":
        return f"The recipe lacks {where}. Add it."
    message = str(item["msg"]).removeprefix("Value error, ")
    given = item.get("input")
    shown = f" (given: {given!r})" if not isinstance(given, dict | list) else ""
    subject = f"The recipe's {where}" if location else "The recipe"
    return f"{subject} is wrong{shown}: {message[0].lower()}{message[1:]}. Change it."


def _fields_at(kind: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The known keys of the section at a location; empty if it is not a section."""
    current: list[type[BaseModel]] = [kind]
    for part in location:
        if isinstance(part, int):
            continue
        fields = [section.model_fields[part] for section in current if part in section.model_fields]
        if fields:
            current = [section for field in fields for section in _sections_of(field.annotation)]
        else:  # the tag of one of several kinds of section, or else a key of a mapping of sections
            current = [section for section in current if _has_tag(section, part)] or current
    return list(dict.fromkeys(name for section in current for name in section.model_fields))


def _has_tag(section: type[BaseModel], tag: str) -> bool:
    return any(get_args(field.annotation) == (tag,) for field in section.model_fields.values())


def _sections_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for inner in get_args(annotation) for section in _sections_of(inner)]
