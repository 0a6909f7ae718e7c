"""Rows on disk come back as they were added, with what steps changed; and what is told without reading them is true."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalrl.curation.records import PoolRow
from frugalrl.curation.row_store import Rows, RowStore, Texts, in_parts

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ROWS = st.lists(
    st.builds(PoolRow, TEXT, st.sampled_from("ab"), TEXT, TEXT, TEXT, TEXT, st.dictionaries(TEXT, st.integers())),
    unique_by=lambda row: row.id,
    max_size=8,
)


@settings(deadline=None)
@given(ROWS)
def test_rows_come_back_as_they_were(tmp_path_factory, rows):
    with RowStore(tmp_path_factory.mktemp("store")) as store:
        for row in rows:
            store.add(row)
        assert list(store.all_rows()) == rows
        assert [store.position_of(row.id) for row in rows] == list(range(len(rows)))
        assert store.position_of("\x00 no such id") is None
        assert all(store.is_id(at, row.id) for at, row in enumerate(rows))
        assert store.repeated_id() is None


def a_row(row_id: str, pool: str = "p") -> PoolRow:
    return PoolRow(row_id, pool, "s", f"problem {row_id}", "1", "", {"level": 2})


def test_changes_add_up_and_other_rows_stay(tmp_path):
    with RowStore(tmp_path) as store:
        for name in "abc":
            store.add(a_row(name))
        store.change(1, {"band": "hard"})
        store.change(1, {"answer": "2", "level": 5})
        assert (store.row(1).answer, store.row(1).columns) == ("2", {"level": 5, "band": "hard"})
        assert [store.row(at) for at in (0, 2)] == [a_row("a"), a_row("c")]
        with pytest.raises(ValueError, match="may not change problem"):
            store.change(0, {"problem": "x"})
        assert list(tmp_path.iterdir()) == []  # the files have no name, so that no kill leaves them behind


def test_the_first_repeated_id_is_found(tmp_path):
    with RowStore(tmp_path) as store:
        for name in ("x", "b", "a", "c", "a", "b"):
            store.add(a_row(name))
        assert store.repeated_id() == (2, 4)


def test_views_and_parts_are_the_rows_that_were_asked_for(tmp_path):
    with RowStore(tmp_path) as store:
        for at in range(10):
            store.add(a_row(str(at), "q" if at % 3 else "p"))
        rows = Rows(store, np.array([1, 4, 5, 9], dtype=np.uint32))
        assert [row.id for row in rows[1:3]] == ["4", "5"]
        assert rows[-1].id == "9"
        assert list(Texts(rows, lambda row: row.problem)[:2]) == ["problem 1", "problem 4"]
        assert [[row.id for row in part] for part in in_parts(rows, 3)] == [["1", "4", "5"], ["9"]]
        assert store.of_pools(rows.positions, ["p"]).tolist() == [False, False, False, True]
        assert not store.of_pools(rows.positions, ["none"]).any()


def test_a_row_takes_few_bytes_of_memory(tmp_path):
    """Places, hashes and pools: 18 bytes a row before any change; a row of 2 KB takes no more."""
    rng = random.Random(0)
    with RowStore(tmp_path) as store:
        for at in range(1000):
            store.add(PoolRow(str(at), "p", "s", "".join(rng.choices("abc ", k=2000)), "1", "", {}))
        held = sum(array.itemsize * len(array) for array in (store._ends, store._hashes, store._pool_of))
    assert held == 18 * 1000
