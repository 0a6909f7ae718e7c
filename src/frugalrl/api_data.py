"""Tables of Python in place of the sources of a recipe: written once under a name that is a hash of them, then files.

A saved recipe thus names files and resumes like any other; the same rows give the same file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frugalrl.errors import DataError

if TYPE_CHECKING:
    from frugalrl.config.schema import TrainRecipe

_PROBLEMS = ("train", "validation", "test")
_EXAMPLES = ("train", "validation")


def with_problems(recipe: "TrainRecipe", tables: Any) -> "TrainRecipe":
    """A training recipe with the problems of tables; as it is where there are none."""
    from frugalrl.config.loading import change_recipe

    if tables is None:
        return recipe
    return change_recipe(recipe, {f"data.{split}": file for split, file in _sources(tables, _PROBLEMS).items()})


def example_keys(tables: Any) -> dict[str, Any]:
    """The keys of a fine-tuning recipe that name its examples: one phase of those to train on, and validation."""
    found = _sources(tables, _EXAMPLES)
    if "train" not in found:
        raise DataError("There are no examples to train on. Give {'train': ..., 'validation': ...}, or a table alone.")
    return {"phases": [found["train"]], **({"validation": found["validation"]} if "validation" in found else {})}


def pool_keys(spec: Mapping[str, Any], tables: Any) -> dict[str, Any]:
    """The pools of a curation spec, with tables in place of the pools of their names, or beside them."""
    from frugalrl.data.objects import pools_of

    pools = {str(pool.get("name")): dict(pool) for pool in spec.get("pools") or () if isinstance(pool, Mapping)}
    for name, table in pools_of(tables, tuple(pools)).items():
        pools[name] = {**pools.get(name, {}), "name": name, "path": str(_kept(table, "curated"))}
    return {"pools": list(pools.values())}


def _sources(tables: Any, splits: tuple[str, ...]) -> dict[str, dict[str, str]]:
    from frugalrl.data.objects import splits_of

    return {split: {"source": str(_kept(table, "runs"))} for split, table in splits_of(tables, splits).items()}


def _kept(table: Any, parent: str) -> Path:
    from frugalrl.data.objects import rows_of
    from frugalrl.data.tables import keep_rows

    return keep_rows(Path(parent) / "data", rows_of(table))
