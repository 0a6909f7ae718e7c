"""Pages served on this machine: made anew when files change, live while a run is going on, closed to everybody else."""

import json
import re
import threading
import urllib.error
import urllib.request

import pytest

from frugalrl.errors import DataError
from frugalrl.reporting.viewer import server
from tests.evaluation.test_regrading import BOXED, saved


@pytest.fixture
def serve():
    started = []

    def start(folder):
        one = server(folder, 0)
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        started.append((one, thread))
        return f"http://127.0.0.1:{one.server_address[1]}"

    yield start
    for one, thread in started:
        one.shutdown()
        one.server_close()
        thread.join()


def got(url, host=None, tag=None):
    headers = ({"Host": host} if host else {}) | ({"If-None-Match": tag} if tag else {})
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read().decode(), response.headers


def running(folder, steps):
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text("name: mine\n")
    lines = [{"step": step, "reward/mean": 0.1 * step} for step in range(1, steps + 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_a_run_is_followed_until_it_has_a_summary(tmp_path, serve):
    url = serve(running(tmp_path / "run", 2))
    page, headers = got(url)
    assert headers["X-Going"] == "yes"
    assert "connect-src 'self'" in page, "the page may ask for its next state"
    with pytest.raises(urllib.error.HTTPError) as unchanged:
        got(url, tag=headers["ETag"])
    assert (unchanged.value.code, unchanged.value.read()) == (304, b"")
    unchanged.value.close()
    running(tmp_path / "run", 3)
    assert got(url, tag=headers["ETag"])[0] != page
    (tmp_path / "run" / "summary.json").write_text("{}")
    assert got(url)[1]["X-Going"] == "no"


def test_a_folder_of_runs_and_evaluations_lists_them(tmp_path, serve):
    running(tmp_path / "b-run", 1)
    saved(tmp_path / "a.jsonl", BOXED)
    (tmp_path / "a-eval").mkdir()
    (tmp_path / "a.jsonl").rename(tmp_path / "a-eval" / "own.jsonl")
    (tmp_path / "other").mkdir()
    url = serve(tmp_path)
    page, _ = got(url)
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", page)
    shown = [re.sub(r"<[^>]*>", "|", row) for row in rows]
    assert [row.startswith(start) for row, start in zip(shown, ("|a-eval|", "|b-run|"), strict=True)] == [True, True]
    assert "|evaluation|" in shown[0]
    assert "|own " in shown[0]
    assert "|run|" in shown[1]
    assert "|1 steps, not finished.|" in shown[1]
    assert "|going on|" in shown[1]
    assert 'href="/1"' in rows[1]
    assert "1 judged samples" in got(f"{url}/0")[0]
    assert f'<header><p class="lead"><a href="/">‹ {tmp_path.name}</a></p>' in got(f"{url}/0")[0]
    for path in ("/2", "/../../etc/passwd", "/x"):
        with pytest.raises(urllib.error.HTTPError) as failed:
            got(url + path)
        assert failed.value.code == 404
        failed.value.close()


def test_only_this_machine_is_answered(tmp_path, serve):
    url = serve(running(tmp_path / "run", 1))
    with pytest.raises(urllib.error.HTTPError) as failed:
        got(url, host="evil.example.com")
    assert failed.value.code == 403
    failed.value.close()
    with pytest.raises(urllib.error.HTTPError) as failed:
        urllib.request.urlopen(urllib.request.Request(url, data=b"x"), timeout=10)
    assert failed.value.code == 501
    failed.value.close()


def test_a_folder_without_anything_to_show_is_refused(tmp_path):
    with pytest.raises(DataError, match="neither a run nor results"):
        server(tmp_path, 0)
