"""A tracker's login, reach and write access, against a server that answers as wandb's and mlflow's do."""

import base64

import pytest

from frugalrl.planning.doctor import tracker_checks
from frugalrl.planning.doctor.tracker_checks import tracker_finding
from tests.fake_http import Response, http_server

KEY = "k" * 40
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _all_installed(monkeypatch):
    monkeypatch.setattr(tracker_checks.importlib.util, "find_spec", lambda name: object())


def wandb_reply(request):
    login = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
    if login == f"api:{KEY}":
        return Response({"data": {"viewer": {"username": "someone"}}})
    return Response({"data": {"viewer": None}}) if login.endswith("n") else Response({"errors": []}, 401)


def test_wandb_wants_a_key_that_its_server_knows(tmp_path):
    with http_server(wandb_reply) as url:
        base = {"NETRC": str(tmp_path / "netrc"), "WANDB_BASE_URL": url}
        (tmp_path / "netrc").write_text("")
        assert tracker_finding("wandb", {**base, "WANDB_API_KEY": KEY}).level == "green"
        wrong = {
            "no login": {},
            "characters": {"WANDB_API_KEY": "short"},
            "does not know": {"WANDB_API_KEY": "u" * 40},
            "does not know the key": {"WANDB_API_KEY": "n" * 40},
            "cannot be reached": {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": NOBODY},
        }
        for why, changed in wrong.items():
            found = tracker_finding("wandb", {**base, **changed})
            assert found.level == "red", why
            assert why in found.message
            assert tracker_finding("wandb", {**base, **changed, "WANDB_MODE": "offline"}).level == "green"
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login user password {KEY}\n")
        (tmp_path / "netrc").chmod(0o600)
        assert tracker_finding("wandb", base).level == "green"


def test_mlflow_needs_its_server_or_a_folder(tmp_path):
    with http_server(lambda request: Response("OK")) as url:
        assert tracker_finding("mlflow", {"MLFLOW_TRACKING_URI": url}).level == "green"
    with http_server(lambda request: Response("who are you", 401)) as url:
        refused = tracker_finding("mlflow", {"MLFLOW_TRACKING_URI": url})
        assert "asks for a login" in refused.message
        known = {"MLFLOW_TRACKING_USERNAME": "a", "MLFLOW_TRACKING_PASSWORD": "b"}
        assert tracker_finding("mlflow", {"MLFLOW_TRACKING_URI": url, **known}).level == "green"
    assert "cannot be reached" in tracker_finding("mlflow", {"MLFLOW_TRACKING_URI": NOBODY}).message
    assert tracker_finding("mlflow", {"MLFLOW_TRACKING_URI": f"file://{tmp_path}/runs"}).level == "green"
    (tmp_path / "taken").write_text("")
    taken = tracker_finding("mlflow", {"MLFLOW_TRACKING_URI": f"file://{tmp_path}/taken/runs"})
    assert taken.level == "red"


def test_trackio_on_the_hub_needs_a_login(tmp_path):
    assert tracker_finding("trackio", {"TRACKIO_DIR": str(tmp_path)}).level == "green"
    away = {"TRACKIO_SPACE_ID": "org/space", "HF_HOME": str(tmp_path)}
    assert tracker_finding("trackio", away).level == "red"
    (tmp_path / "token").write_text("hf_x\n")
    assert tracker_finding("trackio", away).level == "green"


def test_what_is_not_installed_is_said_with_the_command(monkeypatch):
    monkeypatch.setattr(tracker_checks.importlib.util, "find_spec", lambda name: None)
    assert "pip install 'frugalrl[mlflow]'" in tracker_finding("mlflow", {}).fix
