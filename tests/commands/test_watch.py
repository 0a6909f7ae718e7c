"""`frugalrl watch`: a frame of a run that another process writes, torn lines and all, in 80 columns."""

import json
import os
import pty
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from frugalrl.cli import main
from frugalrl.errors import DataError
from frugalrl.reporting.watching import blocks, read_frame


def step(number: int, began: float, **more: float) -> str:
    values = {
        "step": number, "unix_time": began + 10.0 * number, "reward/mean": 0.1 * number, "policy/kl": 0.01,
        "verdict/correct_frac": 0.05 * number, "completion/mean_tokens": 900.0, "completion/truncated_frac": 0.25,
        "policy/entropy": 0.3, "throughput/tokens_per_second": 1234.0, "time/rollout": 6.0, "time/update": 2.0,
        "cost/seconds": 10.0 * number, "cost/usd": 0.02 * number, **more,
    }  # fmt: skip
    return json.dumps(values) + "\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    began = time.time() - 60
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.yaml").write_text("name: mine\ntraining: {steps: 20}\ndata: {}\n")
    evaluation = {"step": 0, "validation/avg_at_k": 0.25, "validation/ci_low": 0.2, "validation/ci_high": 0.3}
    lines = json.dumps(evaluation) + "\n" + "".join(step(number, began) for number in range(1, 6))
    (folder / "metrics.jsonl").write_text(lines + '{"step": 6, "rew')  # a torn line
    sample = {
        "step": 5, "prompt": "<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n<think>\n", "gold": "4",
        "completions": [{"text": "It is \\boxed{4}.", "reward": 1.5, "verdict": "correct"}] * 5,
    }  # fmt: skip
    (folder / "samples.jsonl").write_text(json.dumps(sample) + "\n")
    (folder / "guard.jsonl").write_text(json.dumps({"step": 4, "action": "rolled_back", "to": 2}) + "\n")
    (folder / "log.txt").write_text("2026-11-21 10:00:00  Run folder: runs/mine\n2026-11-21 10:00:10     1/20\n")
    return folder


def test_what_a_run_projects_is_shown_with_its_interval(run: Path) -> None:
    projected = {"cost/seconds_left": 200.0, "cost/usd_total": 0.5}
    ends = {f"{name}_{end}": factor * value for name, value in projected.items() for end, factor in
            (("low", 0.5), ("high", 2.0))}  # fmt: skip
    with (run / "metrics.jsonl").open("a") as file:
        file.write("\n" + step(6, time.time() - 60, **projected, **ends))
    state = read_frame(run, now=time.time()).state
    assert state.endswith("about 3m20s left [1m40s, 6m40s], $0.12 of $0.50 [0.25, 1.00] in all")


def test_a_frame_says_where_the_run_is(run: Path) -> None:
    frame = read_frame(run, now=time.time())
    assert frame.state == "step 5 of 20, 50s so far, about 2m30s left, $0.10"
    curves = {name: (last, mean, course) for name, last, mean, course in frame.curves}
    assert curves["reward"] == ("0.500", "0.300", "▁▃▅▆█")
    assert curves["accuracy"][:2] == ("25 %", "15 %")
    assert curves["KL"][0] == "0.0100"
    assert frame.evaluations == [("0", "validation", "25.0 % [20.0, 30.0]")]
    assert frame.phases == [("rollout", "75 %"), ("update", "25 %")]
    assert frame.guard == ["step 4: rolled back, to step 2"]
    assert frame.samples[0] == ("correct", "1.50", "It is \\boxed{4}.")
    assert frame.question == "user What is 2 + 2?"
    assert not frame.is_over


def test_a_run_that_says_nothing_is_called_silent(run: Path) -> None:
    assert "nothing written for" in read_frame(run, now=time.time() + 1000).state


def test_blocks_follow_the_values() -> None:
    assert blocks([0, 1, 2, 3]) == "▁▃▆█"
    assert blocks([5, 5]) == "▄▄"
    assert blocks([]) == ""


@pytest.mark.parametrize("width", [80, 120])
def test_one_frame_fits_the_terminal(
    run: Path, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["watch", str(run), "--once"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= width
    for text in ("step 5 of 20", "reward", "truncated", "25.0 % [20.0, 30.0]", "rolled back", "correct", "Run folder"):
        assert text in printed


def test_a_run_that_has_only_begun_is_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipe.yaml").write_text("name: new\ntraining: {steps: 3}\n")
    assert main(["watch", str(tmp_path), "--once"]) == 0
    assert "step 0 of 3" in capsys.readouterr().out
    with pytest.raises(DataError, match="is not a run folder"):
        read_frame(tmp_path / "missing")


def test_a_terminal_follows_the_run_until_it_is_over(run: Path) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "frugalrl", "watch", str(run), "--every", "0.2"]
    process = subprocess.Popen(command, stdout=follower, stderr=follower, env={**os.environ, "TERM": "xterm"})
    os.close(follower)
    sent: list[bytes] = []

    def read() -> None:
        while True:
            try:
                sent.append(os.read(leader, 1 << 16))
            except OSError:
                return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    deadline = time.monotonic() + 60
    while b"step 5 of 20" not in b"".join(sent) and time.monotonic() < deadline:
        time.sleep(0.05)
    with (run / "metrics.jsonl").open("a") as file:
        file.write("\n" + step(7, time.time()))
    while b"step 7 of 20" not in b"".join(sent) and time.monotonic() < deadline:
        time.sleep(0.05)
    (run / "summary.json").write_text(json.dumps({"ended_early": None}))
    assert process.wait(timeout=60) == 0
    reader.join(timeout=10)
    seen = b"".join(sent)
    assert b"step 7 of 20" in seen
    assert b"ended" in seen
