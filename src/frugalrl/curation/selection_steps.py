"""The steps that choose among rows: bands from a column, quotas, splits. Pure; the seed is an argument.

Decisions:
- Order of drawing is a hash of seed and id, so that it does not depend on what else is in the pool or on its order.
- A quota is never filled up from elsewhere: what a band lacks is an error, or is said.
- What has a near duplicate left is for training: held-out problems are drawn from the others.
- Rows are read one after another; kept of each are its kind and its place in the draw, 12 bytes.
"""

import difflib
import hashlib
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from frugalrl.config.curation_schema import Difficulty, Mix, Quota, Splits
from frugalrl.curation.bands import UNKNOWN_BAND, band_of, column_value
from frugalrl.curation.records import Decision, PoolRow
from frugalrl.errors import DataError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLIT_NAMES = (TRAIN, VALIDATION, TEST)


def column_notes(rows: Iterable[PoolRow], step: Difficulty) -> list[str]:
    """What is to be said about the values of the column that difficulty is taken from.

    Raises DataError if no row has the column, or none has a number in it.
    """
    column = str(step.column)
    known: dict[str, None] = {}
    total, numbers, others, example = 0, 0, 0, ""
    for row in rows:
        total += 1
        for name in row.columns:
            known.setdefault(name)
        if column_value(row.columns, column) is not None:
            numbers += 1
        elif row.columns.get(column) is not None:
            others += 1
            example = example or f"{row.columns[column]!r} in row {row.id}"
    if total and column not in known:
        close = difflib.get_close_matches(column, known, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise DataError(f"No row has the column {column!r} (columns: {', '.join(known)}).{hint} Set `column` to one.")
    if total and not numbers:
        raise DataError(
            f"No row has a number in the column {column!r} ({example or 'it is empty'}), so that no row has a band. "
            "Name a column of numbers or of texts that end in one, such as 'Level 3'."
        )
    becomes = "are dropped" if step.missing == "drop" else f"are in the band {UNKNOWN_BAND}"
    notes = []
    if others:
        notes.append(f"{others:,} of {total:,} rows have no number in {column!r} (first: {example}): they {becomes}.")
    if total - numbers - others:
        notes.append(f"{total - numbers - others:,} of {total:,} rows have nothing in {column!r}: they {becomes}.")
    return notes


def difficulty_from_column(rows: Sequence[PoolRow], step: Difficulty) -> list[Decision]:
    """The band of each row by the number in a column.

    Raises DataError if a value lies in no band, or (`missing: error`) a row has no value.
    """
    return [_from_column(row, str(step.column), step) for row in rows]


def _from_column(row: PoolRow, column: str, step: Difficulty) -> Decision:
    value = column_value(row.columns, column)
    if value is None:
        if step.missing == "error":
            raise DataError(f"The row {row.id} has no number in {column!r}. Correct it, or set missing: keep or drop.")
        kept = step.missing == "keep" and UNKNOWN_BAND not in step.drop
        return Decision(row.id, kept, "no_value", {}, {"band": UNKNOWN_BAND} if kept else {})
    band = band_of(value, step.bands)
    if band is None:
        raise DataError(
            f"The row {row.id} has {value:g} in {column!r}, and no band holds it. Widen a band, or add one."
        )
    kept = band not in step.drop
    return Decision(row.id, kept, f"band_{band}", {column: value, "band": band}, {"band": band} if kept else {})


def drawing_order(seed: int, what: str, row_id: str) -> bytes:
    """A row's place in a draw: the smaller, the earlier."""
    return hashlib.blake2b(f"{seed}/{what}/{row_id}".encode(), digest_size=16).digest()


def _order_number(seed: int, what: str, row_id: str) -> int:
    """The first 64 bits of `drawing_order`, which order rows alike."""
    return int.from_bytes(drawing_order(seed, what, row_id)[:8], "big")


# ------------------------------------------------------------------------------------------------- quotas


def quotas_taken(rows: Iterable[PoolRow], step: Mix, seed: int) -> tuple[NDArray[np.uint16], list[str]]:
    """The number of the quota that takes each row (from 1; 0: none), and a sentence for each that came out short.

    Raises DataError for a band or source that no row has, and for a quota larger than what it asks for unless the
    step allows that.
    """
    kinds: dict[tuple[str, str, str], int] = {}
    codes, order = array("I"), array("Q")
    for row in rows:
        codes.append(kinds.setdefault((row.pool, row.source, band_name(row)), len(kinds)))
        order.append(_order_number(seed, "mix", row.id))
    kind_of, place = np.frombuffer(codes, dtype=np.uint32), np.frombuffer(order, dtype=np.uint64)
    taken = np.zeros(len(kind_of), dtype=np.uint16)
    short: list[str] = []
    for number, quota in enumerate(step.quotas):
        _refuse_unknown_names(kinds, quota, number)
        wanted = [code for kind, code in kinds.items() if _fits(kind, quota)]
        fitting = np.flatnonzero(np.isin(kind_of, wanted) & (taken == 0))
        if len(fitting) < quota.count:
            said = f"Quota {number + 1} asks for {quota.count:,} of {_wording(quota)}, and there are {len(fitting):,}"
            if not step.allow_short:
                raise DataError(f"{said}. Lower it, widen it, or say allow_short: true to take what there is.")
            short.append(f"{said}: all of them are taken.")
        taken[fitting[np.argsort(place[fitting], kind="stable")][: quota.count]] = number + 1
    return taken, short


def mixed(rows: Iterable[PoolRow], taken: NDArray[np.uint16]) -> Iterator[Decision]:
    """A decision for each row by the quota that takes it."""
    for row, quota in zip(rows, taken, strict=True):
        reason = f"quota_{quota}" if quota else "over_quota"
        yield Decision(row.id, bool(quota), reason, {"band": band_name(row)})


def band_name(row: PoolRow) -> str:
    """The band that a difficulty step gave, or `unknown`."""
    return str(row.columns.get("band", UNKNOWN_BAND))


def _fits(kind: tuple[str, str, str], quota: Quota) -> bool:
    pool, source, band = kind
    return (
        (quota.pools is None or pool in quota.pools)
        and (quota.sources is None or source in quota.sources)
        and (quota.bands is None or band in quota.bands)
    )


def _wording(quota: Quota) -> str:
    parts = [
        f"{what} {' or '.join(names)}"
        for what, names in (("pool", quota.pools), ("source", quota.sources), ("band", quota.bands))
        if names
    ]
    return ", ".join(parts) or "any"


def _refuse_unknown_names(kinds: Collection[tuple[str, str, str]], quota: Quota, number: int) -> None:
    for what, names, known in (
        ("source", quota.sources, sorted({source for _, source, _ in kinds})),
        ("band", quota.bands, sorted({band for _, _, band in kinds})),
    ):
        for name in names or ():
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            if name not in known and close:
                raise DataError(
                    f"Quota {number + 1} names the {what} {name!r}, which no row has. Did you mean {close[0]!r}? "
                    f"There are {', '.join(known)}."
                )


# ------------------------------------------------------------------------------------------------- splits


def splits_drawn(
    rows: Iterable[PoolRow], groups: Iterable[Sequence[int]], splits: Splits, seed: int
) -> NDArray[np.uint8]:
    """The split of each row, as its place in `SPLIT_NAMES`.

    groups: positions of near duplicates; they stay in training, so that no held-out problem has a copy there.
    Raises DataError if the held-out splits leave nothing to train on, or too few problems are without a copy.
    """
    place = np.frombuffer(array("Q", (_order_number(seed, "splits", row.id) for row in rows)), dtype=np.uint64)
    tests = _count(splits.test, splits.test_fraction, len(place))
    wanted = tests + _count(splits.validation, splits.validation_fraction, len(place))
    if len(place) and wanted >= len(place):
        raise DataError(
            f"The splits hold out {wanted:,} of {len(place):,} problems, which leaves nothing to train on. Lower "
            "splits.validation or splits.test."
        )
    is_alone = np.ones(len(place), dtype=bool)
    for group in groups:
        is_alone[list(group)] = False
    alone = np.flatnonzero(is_alone)
    if wanted > len(alone):
        raise DataError(
            f"The splits hold out {wanted:,} problems, and only {len(alone):,} have no near duplicate among the "
            "others. Lower them, or add the step duplicates."
        )
    held_out = alone[np.argsort(place[alone], kind="stable")[:wanted]]
    split_of = np.zeros(len(place), dtype=np.uint8)
    split_of[held_out[:tests]] = SPLIT_NAMES.index(TEST)
    split_of[held_out[tests:]] = SPLIT_NAMES.index(VALIDATION)
    return split_of


def split_decisions(rows: Iterable[PoolRow], split_of: NDArray[np.uint8]) -> Iterator[Decision]:
    """The split of each row, as the reason of a decision that keeps it."""
    for row, split in zip(rows, split_of, strict=True):
        yield Decision(row.id, True, SPLIT_NAMES[split])


def _count(number: int, share: float | None, total: int) -> int:
    return number if share is None else round(share * total)
