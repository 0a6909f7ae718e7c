"""`frugalrl report` on the command line: where files go, and what is refused."""

import argparse
from pathlib import Path

import pytest

from frugalrl.commands.report import register
from frugalrl.errors import UserError
from tests.reporting.test_report import summary, write_run


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    chosen = parser.parse_args(["report", *words])
    return int(chosen.func(chosen))


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_run_gets_its_report_beside_its_logs(capsys):
    write_run(Path("runs/quickstart"), ending=summary())
    assert run("runs/quickstart") == 0
    assert Path("runs/quickstart/report.html").is_file()
    assert Path("runs/quickstart/report.md").is_file()
    assert "runs/quickstart/report.html" in capsys.readouterr().out


def test_several_runs_share_a_report_here():
    write_run(Path("a"), ending=summary())
    write_run(Path("b"))
    assert run("a", "b") == 0
    assert "2 runs of quickstart" in Path("report.html").read_text()


def test_the_paper_needs_no_run():
    assert run("--paper", "--out", "new/paper.html") == 0
    assert "Open-RS3" in Path("new/paper.md").read_text()


@pytest.mark.parametrize("words", [(), ("--paper", "a")])
def test_runs_or_the_paper_but_not_both(words):
    with pytest.raises(UserError, match="Name one or more run folders, or give --paper"):
        run(*words)


def test_a_missing_folder_is_named():
    with pytest.raises(UserError, match="nowhere is not a run folder"):
        run("nowhere")
