"""Dirty values of raw rows: what cannot be written is changed at reading, and said; what is no gold is none."""

import base64
import datetime
import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalrl.config.curation_schema import PoolSettings
from frugalrl.config.loading import parse_recipe
from frugalrl.curation import cleaning
from frugalrl.curation.cleaning import Faults
from frugalrl.curation.pools import PoolReader
from frugalrl.data.tables import file_rows
from frugalrl.errors import DataError


def read(path, **more) -> tuple[PoolReader, list, list]:
    reader = PoolReader(parse_recipe({"name": "pool", "path": str(path), **more}, PoolSettings))
    found = list(reader.rows())
    return reader, [row for row, _ in found], [decision for _, decision in found]


def lines(path, *rows: str):
    path.write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    return path


NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "text", "fault"),
    [
        ("5", "5", None), (5, "5", None), (2.5, "2.5", None), (True, "true", None), (None, "", None), ("", "", None),
        (NAN, "", "not_finite"), (float("inf"), "", "not_finite"), ("NaN", "", "missing_spelled_out"),
        (" nan ", "", "missing_spelled_out"), ("null", "", "missing_spelled_out"), ("None", "None", None),
        ("infinity", "infinity", None), (["7"], "7", "list_of_one"), ([NAN], "", "list_of_one"),
        (["1", "2"], "", "gold_is_no_text"), ([], "", "gold_is_no_text"), ([["7"]], "", "list_of_one"),
        ({"final": 7}, "", "gold_is_no_text"), ("\ud835", "\ufffd", "broken_characters"),
        ("a\x00b", "a\ufffdb", "broken_characters"), ("-\x0crac12", "-\x0crac12", "lost_backslash"),
        ("\x0crac12", "rac12", "lost_backslash"),
        (10**30, "1" + "0" * 30, None),
    ],
)  # fmt: skip
def test_a_gold_is_a_text_or_there_is_none(value, text, fault):
    faults = Faults()
    assert cleaning.answer_text(value, "answer", faults) == text
    assert faults.get("answer") == fault


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("How many?", ""), ("  ", "no_problem_text"), (None, "no_problem_text"), (NAN, "no_problem_text"),
        (5, "problem_is_no_text"), (True, "problem_is_no_text"), (["a"], "problem_is_no_text"),
        ([{"role": "user", "content": "q"}], "problem_is_no_text"), ("x" * 50_001, "problem_too_long"),
    ],
)  # fmt: skip
def test_a_problem_is_a_text(value, why):
    assert cleaning.problem_text(value, "problem", Faults())[1] == why


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=[])), inner),
    max_leaves=6,
)


@settings(deadline=None)
@given(JSON)
def test_whatever_python_reads_as_json_can_be_written_as_strict_json_in_utf_8(value):
    kept = cleaning.json_value(value, "x", Faults())
    written = json.dumps(kept, ensure_ascii=False, allow_nan=False).encode("utf-8")
    assert json.loads(written) == kept
    for text in (cleaning.answer_text(value, "a", Faults()), cleaning.solution_text(value, "s", Faults())):
        assert "\x00" not in text.encode("utf-8").decode()


def test_two_halves_of_a_character_that_stand_together_are_one():
    faults = Faults()
    assert cleaning.plain_text("\ud835\udc00\ud800", "x", faults) == "\U0001d400\ufffd"
    assert faults == {"x": "broken_characters"}


def test_what_was_changed_is_counted_and_is_in_the_ledger(tmp_path):
    path = lines(
        tmp_path / "a.jsonl",
        r'{"problem": "half \ud835 of it?", "answer": NaN, "n": Infinity}',
        r'{"problem": "How many?", "answer": "NaN", "n": 2}',
        r'{"problem": ["a list"], "answer": "3"}',
        r'{"problem": "How much is $\frac12$?", "answer": ["4"], "\ud800": 1}',
        '{"problem": "' + "x" * 50_001 + '", "answer": "5"}',
    )
    reader, rows, decisions = read(path)
    assert [row.answer for row in rows] == ["", "", "3", "4", "5"]
    assert [one.reason for one in decisions] == ["read", "read", "problem_is_no_text", "read", "problem_too_long"]
    assert decisions[0].detail == {
        "cleaned": {"problem": "broken_characters", "answer": "not_finite", "n": "not_finite"}
    }
    assert rows[0].columns == {"n": None}
    assert list(rows[3].columns) == ["\ufffd"]
    notes = "\n".join(reader.notes())
    for says in (
        "1 values of 'problem' held halves of characters or null bytes",
        "1 values of 'answer' are no finite number",
        "1 values of 'answer' spell a missing value",
        "1 values of 'answer' are a list of one",
        "1 values of 'problem' hold control characters where LaTeX's backslash was lost",
        "1 problems are a number, a list or an object, no text: dropped",
        "1 problems have more than 50,000 characters: dropped",
    ):
        assert says in notes


def test_a_clean_pool_has_no_notes(tmp_path):
    reader, _, decisions = read(lines(tmp_path / "a.jsonl", '{"problem": "Ä π 数?", "answer": "1"}'))
    assert reader.notes() == []
    assert decisions[0].detail == {}


def test_what_json_has_no_word_for_becomes_text(tmp_path):
    columns = {
        "problem": ["p"], "answer": ["1"], "when": [datetime.datetime(2024, 1, 2)], "raw": [b"\xff"], "id": [NAN],
    }  # fmt: skip
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    _, (row,), _ = read(tmp_path / "a.parquet")
    assert row.id == "pool-0"
    assert row.columns == {"when": "2024-01-02T00:00:00", "raw": base64.b64encode(b"\xff").decode()}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff\xfe{\x00", "written in UTF-16"), (b'{"a": ' + b"[" * 200_000, "nested too deeply|not JSON"),
        (b'{"a": "\xff"}\n', "line 1 is not JSON"), (b"[1]\n", "not a JSON object"), (b" \n \n", "is empty"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_where(tmp_path, data, says):
    (tmp_path / "a.jsonl").write_bytes(data)
    with pytest.raises(DataError, match=says):
        list(file_rows(tmp_path / "a.jsonl"))


def test_a_byte_order_mark_is_no_part_of_a_row(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"problem": "p", "answer": "1"}\n')
    assert [row.values for row in file_rows(tmp_path / "a.jsonl")] == [{"problem": "p", "answer": "1"}]


def test_a_zipped_file_that_breaks_off_is_an_error_and_not_a_shorter_pool(tmp_path):
    whole = gzip.compress(b'{"problem": "p", "answer": "1"}\n' * 100_000)
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        list(file_rows(tmp_path / "a.jsonl.gz"))


def test_a_folder_that_is_called_like_a_file_is_a_folder(tmp_path):
    (tmp_path / "inner.jsonl").mkdir()
    lines(tmp_path / "a.jsonl", '{"problem": "p", "answer": "1"}')
    assert len(read(tmp_path)[1]) == 1
    lines(tmp_path / "inner.jsonl" / "b.jsonl", '{"problem": "q", "answer": "1"}')
    assert len(read(tmp_path)[1]) == 2
    assert len(read(tmp_path / "inner.jsonl")[1]) == 1
    with pytest.raises(DataError, match=r"inner\.jsonl is a folder"):
        list(file_rows(tmp_path / "inner.jsonl"))


def test_a_named_column_that_appears_late_is_there(tmp_path):
    rows = ['{"problem": "p", "key": null}', '{"problem": "q", "key": "2", "from": "x"}']
    _, found, _ = read(lines(tmp_path / "a.jsonl", *rows), columns={"answer": "key", "source": "from"})
    assert [(row.answer, row.source) for row in found] == [("", "pool"), ("2", "x")]
