"""Lines that are only ever added: what a kill leaves, who may write, where a line is found again."""

import json

import pytest

from frugalrl.errors import OutputError
from frugalrl.line_files import LineFile

BUSY = "Another process has it. Wait."


def test_lines_are_found_again_at_their_places(tmp_path):
    path = tmp_path / "deep" / "lines.jsonl"
    with LineFile(path, BUSY) as lines:
        first = lines.append([{"n": 1}, {"n": 2}])
        second = lines.append([{"n": "é"}])
        lines.sync()
        assert [place for place, _ in lines.lines()] == [first, first + 9, second]
        assert [json.loads(lines.line_at(place)) for place in (second, first)] == [{"n": "é"}, {"n": 1}]
    with LineFile(path, BUSY) as again:
        assert again.append([{"n": 4}]) == path.stat().st_size - len('{"n": 4}\n')


@pytest.mark.parametrize("torn", [b'{"n"', b'{"n": 3}', b""])
def test_a_torn_line_is_passed_over_and_cut_off_before_anything_is_added(tmp_path, torn):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"n": 1}\n' + torn)
    with LineFile(path, BUSY) as lines:
        assert [line for _, line in lines.lines()] == [b'{"n": 1}\n']
        lines.cut_torn_line()
        lines.append([{"n": 2}])
    assert path.read_bytes() == b'{"n": 1}\n{"n": 2}\n'


def test_one_process_at_a_time_is_told_what_to_do(tmp_path):
    with LineFile(tmp_path / "lines.jsonl", BUSY), pytest.raises(OutputError, match="Another process has it"):
        LineFile(tmp_path / "lines.jsonl", BUSY)


def test_what_cannot_be_written_is_a_message(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        LineFile(tmp_path / "file" / "lines.jsonl", BUSY)
