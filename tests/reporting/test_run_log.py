"""The run log: always JSONL; trackers that fail are dropped, trackers that cannot start stop the run."""

import json
import logging
import sys
import types

import pytest

from frugalrl.config.schema import TrackerSettings
from frugalrl.errors import RecipeError
from frugalrl.reporting.run_log import RunLog, read_metrics, seconds_logged, without_times

WANDB = (TrackerSettings(name="wandb", project="p"),)


def fake_wandb(monkeypatch, log=lambda values, step: None, init=lambda **settings: None):
    module = types.ModuleType("wandb")
    module.init, module.log, module.finish = init, log, lambda: None
    monkeypatch.setitem(sys.modules, "wandb", module)


def test_every_line_is_json_and_what_is_not_finite_is_null(tmp_path):
    with RunLog(tmp_path, (), "run") as log:
        log.write(1, {"reward/mean": 0.5, "verdict/x": float("nan")})
        log.write_sample(json.dumps({"step": 1, "text": "…"}))
        assert read_metrics(tmp_path)[0]["reward/mean"] == 0.5  # readable while the run goes on
    (row,) = read_metrics(tmp_path)
    assert (row["step"], row["verdict/x"]) == (1, None)


def test_a_resumed_log_drops_what_it_will_write_again(tmp_path):
    with RunLog(tmp_path, (), "run") as log:
        for step in (1, 2):
            log.write(step, {"reward/mean": float(step)})
        log.write_sample('{"step": 2}')
        lengths = log.lengths()
        log.write(2, {"validation/avg_at_k": 0.5})  # of the same step, after the checkpoint
        log.write_sample('{"step": 3}')
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "rew')  # cut short by a kill
    with RunLog(tmp_path, (), "run") as log:
        assert log.cut(lengths, 2) == []
        log.write(3, {"reward/mean": 30.0})
    assert [row["reward/mean"] for row in read_metrics(tmp_path)] == [1.0, 2.0, 30.0]
    assert (tmp_path / "samples.jsonl").read_text() == '{"step": 2}\n'


def test_a_log_that_was_changed_meanwhile_keeps_its_lines_up_to_the_step_and_says_so(tmp_path):
    with RunLog(tmp_path, (), "run") as log:
        for step in (1, 2, 3):
            log.write(step, {"reward/mean": float(step)})
        log.write_sample('{"step": 3}')
        lengths = log.lengths()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    (tmp_path / "metrics.jsonl").write_text(lines[0] + "\n" + lines[2] + "\n")
    (tmp_path / "samples.jsonl").unlink()
    with RunLog(tmp_path, (), "run") as log:
        changed, gone = log.cut(lengths, 2)
        log.write(3, {"reward/mean": 30.0})
    assert "metrics.jsonl is not as the checkpoint left it" in changed
    assert "samples.jsonl is missing" in gone
    assert [row["reward/mean"] for row in read_metrics(tmp_path)] == [1.0, 30.0]


def test_what_the_clock_said_is_left_out_and_how_long_a_run_had_been_going_is_read_back(tmp_path):
    with RunLog(tmp_path, (), "run") as log:
        log.write(1, {"cost/seconds": 12.5, "cost/usd": 0.1, "cost/tokens": 640, "time/update": 1.0, "loss/total": 0.5})
        log.write(1, {"validation/avg_at_k": 0.5})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "cost/seconds": 99')
    assert seconds_logged(tmp_path) == 12.5
    (first, *_) = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines()[:2])
    assert without_times(first) == {"step": 1, "cost/tokens": 640, "loss/total": 0.5}
    assert seconds_logged(tmp_path / "nowhere") == 0.0


def test_a_tracker_gets_every_step(tmp_path, monkeypatch):
    seen = []
    fake_wandb(monkeypatch, log=lambda values, step: seen.append((step, values)))
    with RunLog(tmp_path, WANDB, "run") as log:
        log.write(7, {"reward/mean": 0.5})
    assert seen == [(7, {"reward/mean": 0.5})]


def test_a_failing_tracker_is_dropped_with_a_warning_and_the_run_goes_on(tmp_path, monkeypatch, caplog):
    def fail(values, step):
        raise ConnectionError("no network")

    fake_wandb(monkeypatch, log=fail)
    with caplog.at_level(logging.WARNING), RunLog(tmp_path, WANDB, "run") as log:
        log.write(1, {"a": 1.0})
        log.write(2, {"a": 2.0})
    assert len(read_metrics(tmp_path)) == 2
    assert [record.message for record in caplog.records] == ["The tracker wandb failed and is dropped: no network"]


def test_a_tracker_that_is_missing_or_misconfigured_stops_the_run_before_it_starts(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(RecipeError, match=r"pip install 'frugalrl\[wandb\]'"):
        RunLog(tmp_path, WANDB, "run")

    def refuse(**settings):
        raise ValueError("no API key")

    fake_wandb(monkeypatch, init=refuse)
    with pytest.raises(RecipeError, match="does not start: no API key"):
        RunLog(tmp_path, WANDB, "run")


def test_tensorboard_writes_events(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is an optional sink")
    with RunLog(tmp_path, (TrackerSettings(name="tensorboard"),), "run") as log:
        log.write(1, {"reward/mean": 0.5})
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_mlflow_gets_every_finite_number(tmp_path, monkeypatch):
    seen: list[object] = []
    module = types.ModuleType("mlflow")
    module.set_experiment = lambda name: seen.append(name)
    module.start_run = lambda run_name: seen.append(run_name)
    module.log_metrics = lambda values, step: seen.append((step, values))
    module.end_run = lambda: seen.append("end")
    monkeypatch.setitem(sys.modules, "mlflow", module)
    with RunLog(tmp_path, (TrackerSettings(name="mlflow", project="p"),), "run") as log:
        log.write(1, {"reward/mean": 0.5, "policy/kl": float("nan")})
    assert seen == ["p", "run", (1, {"reward/mean": 0.5}), "end"]
