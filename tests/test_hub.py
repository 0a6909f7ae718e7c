"""A Hub that cannot be reached: one message within seconds, and what is in the cache is still found."""

import os
import socket
import time
from pathlib import Path

import pytest

from frugalrl import api, hub
from frugalrl.config.schema import ModelSettings, ProblemSource
from frugalrl.errors import DataError, ModelError, OutputError
from frugalrl.tasks.loading import check_sources, load_problems
from frugalrl.training.model.policy import load_policy
from tests.conftest import write_jsonl

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    asked = hub.hub_is_reachable
    asked.cache_clear()
    yield
    asked.cache_clear()


def test_nobody_there_is_found_out_at_once(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", NOBODY)
    began = time.monotonic()
    assert not hub.hub_is_reachable()
    assert time.monotonic() - began < hub.WAIT_SECONDS + 0.5


def test_a_name_that_is_not_looked_up_in_time_is_given_up(monkeypatch):
    monkeypatch.setattr(hub, "WAIT_SECONDS", 0.1)

    def slow(address, wait):
        time.sleep(0.5)
        raise OSError

    monkeypatch.setattr(hub.socket, "create_connection", slow)
    began = time.monotonic()
    assert not hub.hub_is_reachable()
    assert time.monotonic() - began < 0.4
    time.sleep(0.5)  # the thread that was left behind


def test_a_server_or_a_proxy_that_listens_is_reachable(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert hub.hub_is_reachable()
        hub.hub_is_reachable.cache_clear()
        monkeypatch.setenv("HF_ENDPOINT", "http://nowhere.invalid")
        monkeypatch.setenv("http_proxy", address)
        assert hub.hub_is_reachable()


def test_a_data_set_and_a_model_of_the_hub_fail_within_seconds_and_in_one_line(monkeypatch, tmp_path):
    import datasets  # so that only the failure is timed
    import transformers  # noqa: F401

    monkeypatch.setenv("HF_ENDPOINT", NOBODY)
    began = time.monotonic()
    with pytest.raises(DataError, match="the Hub cannot be reached from here, and it is not in the local cache"):
        load_problems(ProblemSource(source="nobody/nothing-of-the-kind"))
    with pytest.raises(ModelError, match="the Hub cannot be reached from here") as caught:
        load_policy(ModelSettings(path="nobody/nothing-of-the-kind"))
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 10  # five retries of each of several requests took 25 s and more
    assert "HF_HUB_OFFLINE" not in os.environ  # offline was for those loads only
    assert not datasets.config.HF_HUB_OFFLINE


def test_paths_are_looked_at_before_the_hub(monkeypatch):
    monkeypatch.setattr(hub, "hub_is_reachable", lambda: pytest.fail("the Hub was asked"))
    with pytest.raises(DataError, match=r"no data file at missing\.jsonl"):
        check_sources([ProblemSource(source="org/name"), None, ProblemSource(source="missing.jsonl")])
    spec = {
        "name": "two", "steps": [{"step": "decontaminate", "benchmarks": ["aime25"]}],
        "pools": [{"name": "a", "path": "org/name"}, {"name": "b", "path": "missing.csv"}],
    }  # fmt: skip
    with pytest.raises(DataError, match=r"no data file at missing\.csv"):
        api.curate(spec)
    with pytest.raises(DataError, match=r"no benchmark file at \./missing\.jsonl"):
        api.evaluate("builtin:tiny", "aime25,./missing.jsonl")


@pytest.mark.parametrize("place", ["model", "checkpoints/step-000005/model", "checkpoints/step-000005"])
def test_a_runs_folder_given_as_a_model_names_the_model_in_it(tmp_path, place):
    inside = tmp_path / "run" / place
    inside.mkdir(parents=True)
    (inside / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=str(inside)):
        load_policy(ModelSettings(path=str(tmp_path / "run")))


def test_scored_rows_never_replace_their_input(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", [{"completion": "\\boxed{2}", "gold": "2"}])
    (tmp_path / "other.jsonl").symlink_to(path)
    before = Path(path).read_bytes()
    for out in (path, tmp_path / "other.jsonl", tmp_path / "." / "rows.jsonl"):
        with pytest.raises(OutputError, match="it would be overwritten"):
            api.score(path, out=out, workers=1)
    assert Path(path).read_bytes() == before
