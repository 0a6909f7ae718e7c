"""The steps that choose among rows: bands from a column, quotas, splits. Pure; the seed is an argument.

Decisions:
- Order of drawing is a hash of seed and id, so that it does not depend on what else is in the pool or on its order.
- A quota is never filled up from elsewhere: what a band lacks is an error, or is said.
- What has a near duplicate left is for training: held-out problems are drawn from the others.
"""

import difflib
import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from frugalrl.config.curation_schema import Difficulty, Mix, Quota, Splits
from frugalrl.curation.bands import UNKNOWN_BAND, band_of, column_value
from frugalrl.curation.records import Decision, PoolRow
from frugalrl.errors import DataError

TRAIN, VALIDATION, TEST = "train", "validation", "test"


def difficulty_from_column(rows: Sequence[PoolRow], step: Difficulty) -> list[Decision]:
    """The band of each row by the number in a column.

    Raises DataError if no row has the column, a value lies in no band, or (`missing: error`) a row has no value.
    """
    column = str(step.column)
    known = list(dict.fromkeys(name for row in rows for name in row.columns))
    if rows and column not in known:
        close = difflib.get_close_matches(column, known, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise DataError(f"No row has the column {column!r} (columns: {', '.join(known)}).{hint} Set `column` to one.")
    return [_from_column(row, column, step) for row in rows]


def _from_column(row: PoolRow, column: str, step: Difficulty) -> Decision:
    value = column_value(row.columns, column)
    if value is None:
        if step.missing == "error":
            raise DataError(f"The row {row.id} has no number in {column!r}. Mend it, or set missing: keep or drop.")
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


# ------------------------------------------------------------------------------------------------- quotas


def mixed(rows: Sequence[PoolRow], step: Mix, seed: int) -> tuple[list[Decision], list[str]]:
    """Which rows the quotas take, and a sentence for each quota that came out short.

    Raises DataError for a band or source that no row has, and for a quota larger than what it asks for unless the
    step allows that.
    """
    taken: dict[str, int] = {}
    short: list[str] = []
    for number, quota in enumerate(step.quotas):
        _refuse_unknown_names(rows, quota, number)
        fitting = [row for row in rows if row.id not in taken and _fits(row, quota)]
        if len(fitting) < quota.count:
            said = f"Quota {number + 1} asks for {quota.count:,} of {_wording(quota)}, and there are {len(fitting):,}"
            if not step.allow_short:
                raise DataError(f"{said}. Lower it, widen it, or say allow_short: true to take what there is.")
            short.append(f"{said}: all of them are taken.")
        fitting.sort(key=lambda row: drawing_order(seed, "mix", row.id))
        taken.update((row.id, number) for row in fitting[: quota.count])
    decisions = []
    for row in rows:
        quota_number = taken.get(row.id)
        if quota_number is None:
            decisions.append(Decision(row.id, False, "over_quota", {"band": band_name(row)}))
        else:
            decisions.append(Decision(row.id, True, f"quota_{quota_number + 1}", {"band": band_name(row)}))
    return decisions, short


def band_name(row: PoolRow) -> str:
    """The band that a difficulty step gave, or `unknown`."""
    return str(row.columns.get("band", UNKNOWN_BAND))


def _fits(row: PoolRow, quota: Quota) -> bool:
    return (
        (quota.pools is None or row.pool in quota.pools)
        and (quota.sources is None or row.source in quota.sources)
        and (quota.bands is None or band_name(row) in quota.bands)
    )


def _wording(quota: Quota) -> str:
    parts = [
        f"{what} {' or '.join(names)}"
        for what, names in (("pool", quota.pools), ("source", quota.sources), ("band", quota.bands))
        if names
    ]
    return ", ".join(parts) or "any"


def _refuse_unknown_names(rows: Sequence[PoolRow], quota: Quota, number: int) -> None:
    for what, names, known in (
        ("source", quota.sources, sorted({row.source for row in rows})),
        ("band", quota.bands, sorted({band_name(row) for row in rows})),
    ):
        for name in names or ():
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            if name not in known and close:
                raise DataError(
                    f"Quota {number + 1} names the {what} {name!r}, which no row has. Did you mean {close[0]!r}? "
                    f"There are {', '.join(known)}."
                )


# ------------------------------------------------------------------------------------------------- splits


def split_rows(rows: Sequence[PoolRow], groups: Sequence[Sequence[int]], splits: Splits, seed: int) -> list[Decision]:
    """The split of each row, as the reason of a decision that keeps it.

    groups: positions of near duplicates; they stay in training, so that no held-out problem has a copy there.
    Raises DataError if the held-out splits leave nothing to train on, or too few problems are without a copy.
    """
    wanted = {TEST: _count(splits.test, splits.test_fraction, len(rows))}
    wanted[VALIDATION] = _count(splits.validation, splits.validation_fraction, len(rows))
    if rows and sum(wanted.values()) >= len(rows):
        raise DataError(
            f"The splits hold out {sum(wanted.values()):,} of {len(rows):,} problems, which leaves nothing to train "
            "on. Lower splits.validation or splits.test."
        )
    grouped = {position for group in groups for position in group}
    alone = [at for at in range(len(rows)) if at not in grouped]
    alone.sort(key=lambda at: drawing_order(seed, "splits", rows[at].id))
    if sum(wanted.values()) > len(alone):
        raise DataError(
            f"The splits hold out {sum(wanted.values()):,} problems, and only {len(alone):,} have no near duplicate "
            "among the others. Lower them, or add the step duplicates."
        )
    split_of = dict.fromkeys(range(len(rows)), TRAIN)
    split_of.update(dict.fromkeys(alone[: wanted[TEST]], TEST))
    split_of.update(dict.fromkeys(alone[wanted[TEST] :][: wanted[VALIDATION]], VALIDATION))
    return [Decision(row.id, True, split_of[at]) for at, row in enumerate(rows)]


def split_counts(decisions: Sequence[Decision]) -> dict[str, int]:
    """Rows by split, those without any included."""
    counted = Counter(decision.reason for decision in decisions)
    return {name: counted[name] for name in (TRAIN, VALIDATION, TEST)}


def _count(number: int, share: float | None, total: int) -> int:
    return number if share is None else round(share * total)


def detail_of(row: PoolRow, **more: Any) -> dict[str, Any]:
    """What a reader needs to recognise a row elsewhere in the ledger."""
    return {"id": row.id, "answer": row.answer, **more}
