"""Rows of objects in Python: pandas, datasets, pyarrow and polars tables, lists of mappings, columns of lists.

The objects are asked for what they can do; none of their libraries is imported. Values become what JSON can hold: a
number of numpy a number, a missing one (NaN, NaT, None) nothing.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from frugalrl.errors import DataError


def rows_of(table: Any) -> Iterator[dict[str, Any]]:
    """Each row of a table. Raises DataError for what is none."""
    for number, row in enumerate(_raw_rows(table), start=1):
        if not isinstance(row, Mapping):
            raise DataError(
                f"Row {number} of the data is {type(row).__name__} {str(row)[:60]!r}. Give a table with named columns, "
                "or a list of mappings such as {'problem': ..., 'answer': ...}."
            )
        yield {str(name): plain(value) for name, value in row.items()}


def splits_of(tables: Any, splits: Sequence[str]) -> dict[str, Any]:
    """Tables by split: of a mapping from some of the splits (a DatasetDict is one), or train alone."""
    if isinstance(tables, Mapping) and tables and set(tables) <= set(splits):
        return dict(tables)
    if hasattr(tables, "column_names") and isinstance(tables.column_names, Mapping):
        raise DataError(
            f"The data has the splits {', '.join(tables)}. Give {{'train': ..., 'validation': ...}} of those to use."
        )
    return {"train": tables}


def pools_of(tables: Any, names: Sequence[str]) -> dict[str, Any]:
    """Tables by pool: of a mapping from names to tables; one table alone is the only pool of these names, or `data`.

    Raises DataError where it cannot be told which of several pools one table is.
    """
    if isinstance(tables, Mapping) and tables and all(map(_is_table, tables.values())):
        return {str(name): table for name, table in tables.items()}
    if len(names) > 1:
        raise DataError(f"One table is given, and the spec has the pools {', '.join(names)}. Give {{NAME: table}}.")
    return {names[0] if names else "data": tables}


def _is_table(value: Any) -> bool:
    """Whether a value is a table of its own and no column: a data frame, a data set, rows, or columns of lists."""
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(row, Mapping) for row in value)
    is_columns = isinstance(value, Mapping) and all(isinstance(column, list | tuple) for column in value.values())
    return is_columns or any(hasattr(value, name) for name in ("columns", "column_names"))


def _raw_rows(table: Any) -> Iterable[Any]:
    kind = type(table).__module__.partition(".")[0]
    if kind == "pandas" and hasattr(table, "to_dict"):
        return table.to_dict("records")  # type: ignore[no-any-return]
    if hasattr(table, "to_pylist"):  # pyarrow
        return table.to_pylist()  # type: ignore[no-any-return]
    if hasattr(table, "to_dicts"):  # polars
        return table.to_dicts()  # type: ignore[no-any-return]
    if isinstance(table, Mapping):
        return _by_row(table)
    if isinstance(table, str | bytes) or not isinstance(table, Iterable):
        raise DataError(
            f"The data is {type(table).__name__}, no table. Give a data frame, a data set or a list of rows."
        )
    return table


def _by_row(columns: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Rows of a mapping from names to columns of one length."""
    listed = {name: list(values) for name, values in columns.items() if not isinstance(values, str | Mapping)}
    lengths = {len(values) for values in listed.values()}
    if len(listed) < len(columns) or len(lengths) != 1:
        raise DataError("The mapping is no table: its values are not lists of one length. Give a list of rows instead.")
    return [dict(zip(listed, row, strict=True)) for row in zip(*listed.values(), strict=True)]


def plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        return plain(value.tolist())
    return None if type(value).__name__ in ("NaTType", "NAType") else str(value)
