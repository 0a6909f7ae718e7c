"""Progress for terminals and for files, and tables that fit 80 columns."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.commands.display import Events, Live, Plain, display_for
from frugalrl.reporting.console import table
from frugalrl.reporting.line_log import LOG_FILE, logged
from frugalrl.reporting.lines import Progressing, fitted, wrapped

WIDE = table(
    [
        ("", "step", "accuracy (avg@k)", "from the base", "against the base", "truncated", "unknown"),
        ("base", "0", "44.8 % [40.7, 49.0]", "", "", "0 %", "0 %"),
        ("best", "100", "91.8 % [87.8, 94.5]", "+47.0 points [+40.5, +52.9]", "better (p < 0.001)", "0 %", "0 %"),
    ]
)


def test_a_wide_table_is_split_and_each_part_begins_with_the_first_column() -> None:
    text = (
        f"validation: 198 problems\n{WIDE}\nStep 100 is kept: the highest validation accuracy, "
        "whatever comes after it in this line."
    )
    folded = fitted(text, 80)
    rows = folded.split("\n")
    assert max(map(len, rows[:-1])) <= 80
    assert rows[0] == "validation: 198 problems"
    assert sum(row.startswith("best") for row in rows) == 2
    for cell in ("+47.0 points [+40.5, +52.9]", "better (p < 0.001)", "91.8 % [87.8, 94.5]"):
        assert folded.count(cell) == 1


def test_a_table_that_fits_is_left_alone() -> None:
    assert fitted(WIDE, 120) == WIDE


@given(st.lists(st.lists(st.text("abc%9", max_size=12), min_size=4, max_size=4), min_size=2, max_size=5))
def test_no_cell_is_lost(rows: list[list[str]]) -> None:
    text = table([("head", "one", "two", "three"), *map(tuple, rows)])
    words = sorted(set(re.findall(r"\S+", text)))
    assert sorted(set(re.findall(r"\S+", fitted(text, 24)))) == words


def test_a_progressing_line_is_a_line() -> None:
    line = Progressing("  read 5/10", "read", 5, 10, 3.0)
    assert line == "  read 5/10"
    assert (line.done, line.total, line.eta_seconds, line.keeps) == (5, 10, 3.0, False)


def test_plain_output_has_every_line_but_what_only_begins(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (Progressing("starts", "x", 0, 0), Progressing("half", "x", 1, 2), "done"):
        Plain().say(line)
    assert capsys.readouterr().out == "half\ndone\n"


def test_quiet_leaves_warnings_and_results(capsys: pytest.CaptureFixture[str]) -> None:
    display = display_for(quiet=True)
    display.say("on the way")
    display.say("WARNING: look")
    display.show("result")
    assert capsys.readouterr().out == "WARNING: look\nresult\n"


def test_events_say_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    display = Events()
    display.say(Progressing("half", "reading", 1, 2, 4.0))
    display.close(3)
    progress, end = map(json.loads, capsys.readouterr().out.splitlines())
    assert (progress["event"], progress["what"], progress["done"], progress["eta_seconds"]) == (
        "progress",
        "reading",
        1,
        4.0,
    )
    assert (end["event"], end["exit_code"]) == ("end", 3)


SCRIPT = """
from frugalrl.commands.display import display_for
from frugalrl.reporting.lines import Progressing
import time
display = display_for()
display.say("a line")
for done in (1, 2, 3):
    display.say(Progressing(f"read {done}/4", "reading", done, 4))
    time.sleep(0.12)
display.say("between")
display.show("the end")
display.close(0)
"""


def on_a_terminal(script: str = "", **environment: str) -> str:
    """What a terminal of 80 columns is sent."""
    leader, follower = pty.openpty()
    os.set_inheritable(follower, True)
    variables = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM", "COLUMNS")}
    process = subprocess.Popen(
        [sys.executable, "-c", script or SCRIPT],
        stdout=follower,
        stderr=follower,
        env={**variables, "COLUMNS": "80", **environment},
    )
    os.close(follower)
    sent = io.BytesIO()
    while True:
        try:
            block = os.read(leader, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        sent.write(block)
    os.close(leader)
    assert process.wait(timeout=30) == 0
    return sent.getvalue().decode("utf-8", "replace")


def test_a_terminal_gets_a_bar_and_whole_lines_above_it() -> None:
    sent = on_a_terminal(TERM="xterm-256color")
    assert "reading" in sent
    assert "3/4" in sent
    assert "ETA" in sent
    assert "\x1b[" in sent
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent)
    for line in ("a line", "between", "the end"):
        assert line in plain


def test_no_color_means_no_colour() -> None:
    coloured = on_a_terminal(TERM="xterm-256color")
    plain = on_a_terminal(TERM="xterm-256color", NO_COLOR="1")
    colours = r"\x1b\[[0-9;]*3[0-9][0-9;]*m|\x1b\[38;"
    assert re.search(colours, coloured)
    assert not re.search(colours, plain)


def test_a_dumb_terminal_gets_plain_lines() -> None:
    sent = on_a_terminal(TERM="dumb")
    assert "\x1b" not in sent
    assert "read 2/4" in sent


def test_a_long_command_is_never_silent_on_a_terminal() -> None:
    script = (
        "import time; from frugalrl.commands.display import Live; display = Live(True); time.sleep(0.3); "
        "display.say('a line'); time.sleep(0.3); display.close(0)"
    )
    sent = on_a_terminal(script, TERM="xterm-256color")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent)
    assert plain.index("starting") < plain.index("a line") < plain.index("working")
    assert "ETA" not in plain
    assert "/?" not in plain


def test_the_bar_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(display_for(), Plain)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(display_for(), Live)
    assert isinstance(display_for(as_json=True), Events)


def test_a_runs_lines_are_kept_in_its_folder_and_a_full_disk_stops_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    say = logged(tmp_path, said.append)
    say("one")
    say("two")
    kept = (tmp_path / LOG_FILE).read_text().splitlines()
    assert [line.partition("  ")[2] for line in kept] == said == ["one", "two"]
    (tmp_path / LOG_FILE).unlink()
    (tmp_path / LOG_FILE).mkdir()  # nothing can be written there
    say("three")
    assert said[-1] == "three"


SENTENCE = (
    "Next: the model did not get better. Look at the report; try --set optimizer.learning_rate=1e-4, or easier ones."
)


def test_a_sentence_is_broken_between_words_and_a_command_is_not() -> None:
    for width in (40, 80):
        rows = wrapped(SENTENCE, width).split("\n")
        assert max(map(len, rows)) <= width
        assert " ".join(rows) == SENTENCE
        assert any("--set optimizer.learning_rate=1e-4" in row for row in rows)
    command = "frugalrl convert /a/rather/long/path/of/a/recipe/grpo.yaml --out recipe.yaml"
    assert wrapped(f"This is a GRPO recipe of TRL. Run: {command}", 60).split("\n")[-1] == command
    assert wrapped("x" * 100, 80) == "x" * 100


def test_words_at_the_end_of_a_row_go_on_below_themselves() -> None:
    row = (
        "yellow  statistics/test  12 problems x 2 samples show no gain below 42 points, and the paper gained 7.4 points"
    )
    first, *rest = wrapped(row, 80).split("\n")
    assert first.startswith("yellow  statistics/test  12 problems")
    assert {line[:25].strip() for line in rest} == {""}
    assert all(line[25] != " " for line in rest)


def test_a_table_that_ends_in_sentences_is_not_split() -> None:
    rows = [("green", "data/golds", "64 of 100 different golds tried: all can be verified, none of them twice"),
            ("green", "data/leak", "no problem states its answer")]  # fmt: skip
    text = table(rows)
    assert fitted(text, 80) == text
    assert wrapped(text, 80).count("green") == 2


@given(st.text("ab .-", max_size=300), st.integers(20, 100))
def test_wrapping_loses_no_word(text: str, columns: int) -> None:
    assert wrapped(text, columns).split() == text.split()
