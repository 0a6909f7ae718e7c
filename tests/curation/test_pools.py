"""Reading raw pools: columns, ids, and what is wrong with a pool said before anything else happens."""

import gzip
import json

import pytest

from frugalrl.config.curation_schema import PoolSettings
from frugalrl.config.loading import parse_recipe
from frugalrl.curation.pools import PoolReader, expanded, refuse_repeated_ids
from frugalrl.curation.records import Decision, PoolRow
from frugalrl.curation.row_store import RowStore
from frugalrl.data.tables import write_parquet
from frugalrl.errors import DataError
from tests.curation.pools import pool_rows, write_pool


def pool_at(path, **more) -> PoolSettings:
    return parse_recipe({"name": "pool", "path": str(path), **more}, PoolSettings)


def read(settings: PoolSettings) -> tuple[PoolReader, list[PoolRow], list[Decision]]:
    reader = PoolReader(settings)
    found = list(reader.rows())
    return reader, [row for row, _ in found], [decision for _, decision in found]


def refuse(folder, *every: PoolSettings) -> None:
    """Read the pools into one store, and refuse ids that are there twice."""
    readers = [PoolReader(settings) for settings in every]
    with RowStore(folder) as store:
        for reader in readers:
            for row, _ in reader.rows():
                store.add(row)
        refuse_repeated_ids(store, readers)


def test_files_of_every_kind_give_the_same_rows(tmp_path):
    rows = pool_rows(5)
    plain = write_pool(tmp_path / "a.jsonl", rows)
    zipped = tmp_path / "a.jsonl.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    write_parquet(tmp_path / "a.parquet", rows, list(rows[0]))
    found = [read(pool_at(path))[1] for path in (plain, zipped, tmp_path / "a.parquet")]
    assert found[0] == found[1] == found[2]
    first = found[0][0]
    assert (first.id, first.pool, first.source, first.answer) == ("p0", "pool", "market", "15")
    assert dict(first.columns) == {"level": "Level 1"}


def test_columns_are_mapped_and_ids_made(tmp_path):
    rows = [
        {"question": "q", "final": 7, "kind": "k", "band": "x"},
        {"question": " ", "final": None, "kind": "", "band": 1},
    ]
    columns = {"problem": "question", "answer": "final", "source": "kind"}
    _, (first, second), decisions = read(
        pool_at(write_pool(tmp_path / "a.jsonl", rows), columns=columns, id_prefix="x/")
    )
    assert (first.id, first.problem, first.answer, first.source) == ("x/pool-0", "q", "7", "k")
    assert (second.id, second.answer, second.source) == ("x/pool-1", "", "pool")
    assert first.columns == {"raw_band": "x"}
    assert [(one.kept, one.reason) for one in decisions] == [(True, "read"), (False, "no_problem_text")]


@pytest.mark.parametrize(
    ("rows", "columns", "says"),
    [
        (
            [{"probelm": "p", "answer": "1"}],
            {},
            r"no column 'problem' \(columns: probelm, answer\). Did you mean 'probelm'",
        ),
        ([{"problem": "p", "anwser": "1"}], {"answer": "answr"}, "no column 'answr'.*Did you mean 'anwser'"),
        ([{"problem": "p"}], {}, "neither a column answer nor a column solution"),
        ([{"problem": "p", "answer": "1"}, {"text": "p", "answer": "2"}], {}, "line 2 has no column 'problem'"),
        (
            [{"id": 1, "problem": "p", "answer": "1"}, {"id": 1, "problem": "q", "answer": "2"}],
            {},
            "two rows with the id '1': .*line 1 and .*line 2",
        ),
    ],
)
def test_what_is_wrong_with_a_pool_is_said_with_its_place(tmp_path, rows, columns, says):
    with pytest.raises(DataError, match=says):
        refuse(tmp_path, pool_at(write_pool(tmp_path / "a.jsonl", rows), columns=columns))


def test_an_empty_pool_and_a_missing_one(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match="is empty"):
        read(pool_at(tmp_path / "empty.jsonl"))
    with pytest.raises(DataError, match="There is no data file"):
        read(pool_at(tmp_path / "missing.jsonl"))
    (tmp_path / "none.parquet").write_bytes(b"")
    write_parquet(tmp_path / "none.parquet", [], ["problem", "answer"])
    with pytest.raises(DataError, match=r"The pool pool .* is empty"):
        read(pool_at(tmp_path / "none.parquet"))


def test_two_pools_with_one_id_need_a_prefix(tmp_path):
    path = write_pool(tmp_path / "a.jsonl", pool_rows(3))
    refuse(tmp_path, pool_at(path), pool_at(path, id_prefix="b/"))
    with pytest.raises(DataError, match=r"both have a row with the id 'p0'\. Give one of them an id_prefix"):
        refuse(tmp_path, pool_at(path), pool_at(path, name="other"))


def test_variables_in_paths(monkeypatch):
    monkeypatch.setenv("FRUGALRL_DATA", "/data")
    assert expanded("$FRUGALRL_DATA/pool/x.jsonl") == "/data/pool/x.jsonl"
    monkeypatch.delenv("FRUGALRL_DATA")
    assert expanded("${FRUGALRL_DATA}/x.jsonl") == "../shared/data/x.jsonl"
    with pytest.raises(DataError, match="names the variable NO_SUCH_PLACE, which is not set"):
        expanded("$NO_SUCH_PLACE/x.jsonl")


def test_the_hash_is_of_the_files_bytes(tmp_path):
    path = write_pool(tmp_path / "a.jsonl", pool_rows(3))
    before = read(pool_at(path))[0].sha256
    assert read(pool_at(path, limit=1))[0].sha256 == before
    path.write_text(path.read_text().replace("pens", "pins"))
    assert read(pool_at(path))[0].sha256 != before


def test_values_of_several_types_are_written_as_json(tmp_path):
    from frugalrl.data.sources import read_rows

    rows = [{"id": "a", "x": 1, "y": [1, 2]}, {"id": "b", "x": "one", "y": {"k": 2.5}}, {"id": "c"}]
    write_parquet(tmp_path / "t.parquet", rows, ["id", "x", "y"])
    read = [values for _, values in read_rows(tmp_path / "t.parquet")]
    assert [values["x"] for values in read] == ["1", '"one"', None]
    assert json.loads(read[1]["y"]) == {"k": 2.5}
