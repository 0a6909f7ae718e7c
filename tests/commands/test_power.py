"""`frugalrl power`: the tables it prints, and the questions it refuses."""

import re

import pytest

from frugalrl.cli import main


def test_more_samples_take_fewer_problems_and_more_problems_fewer_samples(capsys):
    assert main(["power", "--gain", "10", "--accuracy", "40", "--spread", "20", "--problems", "50"]) == 0
    said = capsys.readouterr().out
    needed = [int(row.replace(",", "")) for row in re.findall(r"(?m)^(?:1|4|16|64) +([\d,]+)  ", said)]
    assert len(needed) == 4
    assert needed == sorted(needed, reverse=True)
    by_set = dict(re.findall(r"(?m)^([a-z0-9 -]+?) {2,}\d+ {2,}(\d+)$", said))
    assert int(by_set["aime24"]) > int(by_set["your own"]) > int(by_set["math500"]) >= 1


@pytest.mark.parametrize("given", [("0", "40"), ("10", "95"), ("-10", "5"), ("1", "140")])
def test_what_is_no_question_is_refused(given, capsys):
    assert main(["power", f"--gain={given[0]}", "--accuracy", given[1]]) == 2
    assert "leaves no room" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["--problems=100000000000", "--comparisons=0"])
def test_a_number_that_cannot_be_simulated_is_refused(given, capsys):
    assert main(["power", "--gain", "3", "--accuracy", "40", given]) == 2
    assert "lie in 1..1,000,000" in capsys.readouterr().err
