"""Writes docs/reference/ from the code: a recipe's keys from the schema, the rooms from the first lines of files.

python docs/generate.py          write the pages
python docs/generate.py --check  exit 1 if one is stale (a test does the same)
"""

import argparse
import ast
import inspect
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from frugalrl.config.curation_schema import CurationSpec
from frugalrl.config.schema import SftRecipe, TrainRecipe

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "src" / "frugalrl"
_NOTE = "<!-- Written by docs/generate.py. Change the code, not this page. -->\n"
_PLAIN = {str: "text", int: "integer", float: "number", bool: "true or false", type(None): "null"}


def pages() -> dict[str, str]:
    """Every generated page by its name."""
    return {"recipe.md": recipe_page(), "rooms.md": rooms_page()}


def recipe_page() -> str:
    """All keys of the three kinds of recipe."""
    kinds = {"train": TrainRecipe, "sft": SftRecipe, "curate": CurationSpec}
    parts = [
        "# Recipe reference",
        _NOTE,
        "Every key of a recipe, from the schema that checks it. How the parts work together is in "
        "[recipes.md](../recipes.md). `required` keys have no default; a section that is left out has its defaults.",
    ]
    written: set[type[BaseModel]] = set()
    for command, kind in kinds.items():
        parts.append(f"## `frugalrl {command}`")
        for section, where in _sections(kind):
            if section not in written:
                written.add(section)
                parts.append(_section(section, where))
    return "\n\n".join(parts) + "\n"


def rooms_page() -> str:
    """Every room with its purpose, and each file's first line."""
    parts = [
        "# The rooms, file by file",
        _NOTE,
        "Each package and module of `src/frugalrl/` by its own first line. The map is [overview.md](../overview.md).",
    ]
    for folder in sorted({path.parent for path in PACKAGE.rglob("*.py")}):
        name = folder.relative_to(PACKAGE).as_posix()
        purpose = _docstring(folder / "__init__.py")
        parts.append(f"## `{'frugalrl' if name == '.' else name}`\n\n{purpose}")
        files = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
        rows = [f"| `{path.name}` | {_cell(_docstring(path).partition(chr(10) * 2)[0])} |" for path in files]
        if rows:
            parts[-1] += "\n\n| file | what it is for |\n|---|---|\n" + "\n".join(rows)
    return "\n\n".join(parts) + "\n"


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _sections(kind: type[BaseModel], where: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    """A section and those below it, each with its place in the recipe."""
    yield kind, where
    for name, field in kind.model_fields.items():
        for inner, suffix in _inner_sections(field.annotation):
            yield from _sections(inner, f"{where}.{name}{suffix}".lstrip("."))


def _inner_sections(annotation: Any, suffix: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, suffix
        return
    of_a_list = "[]" if get_origin(annotation) in (tuple, list) else ""
    for inner in get_args(annotation):
        yield from _inner_sections(inner, suffix + of_a_list)


def _section(section: type[BaseModel], where: str) -> str:
    rows = [_row(name, field) for name, field in section.model_fields.items()]
    heading = f"### `{where}`" if where else "### At the top"
    purpose = inspect.cleandoc(section.__doc__ or "")
    table = "\n".join(["| key | value | default | meaning |", "|---|---|---|---|", *rows])
    return f"{heading}\n\n{purpose}\n\n{table}"


def _row(name: str, field: FieldInfo) -> str:
    value = _value(field.annotation, field.metadata)
    default = _default(field)
    return f"| `{name}` | {_cell(value)} | {_cell(default)} | {_cell(field.description or '')} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _value(annotation: Any, metadata: list[Any] = []) -> str:  # noqa: B006 - never changed
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return _value(inner[0], list(annotation.__metadata__) + metadata)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_value(one, metadata) for one in inner))
    if origin in (tuple, list):
        least = next((one.min_length for one in metadata if isinstance(one, MinLen)), 0)
        return f"list of {_value(inner[0])}" + (", at least one" if least else "")
    if origin is dict:
        return f"mapping of {_value(inner[0])} to {_value(inner[1])}"
    plain = _PLAIN.get(annotation, getattr(annotation, "__name__", str(annotation)))
    return plain + (_bounds(metadata) if annotation in (int, float) else "")


def _bounds(metadata: list[Any]) -> str:
    flat = [inner for one in metadata for inner in getattr(one, "metadata", [one])]
    signs = {Gt: ">", Ge: ">=", Lt: "<", Le: "<="}
    said = [
        f" {sign} {getattr(one, kind.__name__.lower())}"
        for one in flat
        for kind, sign in signs.items()
        if isinstance(one, kind)
    ]
    return ",".join(dict.fromkeys(said))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined or isinstance(default, BaseModel):
        return "its defaults"
    if isinstance(default, tuple | list):
        return "`[" + ", ".join(str(one) if not isinstance(one, BaseModel) else "..." for one in default) + "]`"
    if default == "":
        return "empty"
    return "`null`" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"


def main() -> int:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is stale")
    check = parser.parse_args().check
    stale = []
    for name, text in pages().items():
        path = DOCS / "reference" / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path)
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for path in stale:
        sys.stdout.write(f"{path.relative_to(DOCS.parent)} {'is stale' if check else 'written'}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
