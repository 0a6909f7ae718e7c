"""Parts in other processes are the parts of one process, and nobody is left behind."""

import multiprocessing

import pytest

from frugalrl.curation.parallel import CHUNK, FEWEST, in_parts


@pytest.mark.parametrize("total", [0, 1, CHUNK, FEWEST - 1, FEWEST, FEWEST + CHUNK + 7])
def test_parts_come_in_order_whatever_the_number_of_processes(total):
    offset = 5  # inherited, not sent

    def work(start: int, end: int) -> list[int]:
        return [offset + 3 * number for number in range(start, end)]

    expected = [5 + 3 * number for number in range(total)]
    for processes in (1, 2, None):
        assert [one for part in in_parts(work, total, processes) for one in part] == expected
    assert multiprocessing.active_children() == []


def test_an_error_in_a_part_is_raised_here():
    def work(start: int, end: int) -> list[int]:
        raise ValueError(f"part {start}")

    with pytest.raises(ValueError, match="part 0"):
        list(in_parts(work, FEWEST, processes=2))
