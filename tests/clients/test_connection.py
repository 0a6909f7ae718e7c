"""Requests: what a server said, why there is no answer, proxies, and connections that were kept too long."""

import socket
import threading

import pytest

from frugalrl.clients.connection import Answered, Connection
from tests.fake_http import CLOSED, Request, Response, http_server


def sent(url, **more):
    return Connection(url).send("POST", url, {"a": 1}, more.pop("seconds", 5.0), **more)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "content"), (413, "content"), (401, "settings"), (404, "settings"), (307, "settings"),
     (408, "may_pass"), (429, "may_pass"), (500, "may_pass"), (503, "may_pass")],
)  # fmt: skip
def test_a_status_says_what_can_be_done(status, kind):
    answer = Response({"error": {"message": "as  told"}}, status, {"Retry-After": "3", "Location": "/other"})
    with http_server(lambda request: answer) as url:
        fault = sent(url)
    assert (fault.kind, fault.status, fault.said) == (kind, status, f"{status}: as told")
    assert fault.retry_after == ("3" if kind == "may_pass" else None)


def test_who_is_not_there_or_too_slow_or_hangs_up_is_told_apart():
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        nobody = sent(f"http://127.0.0.1:{unheard.getsockname()[1]}")
    assert nobody.kind == "no_connection"
    assert "refused" in nobody.said
    over = threading.Event()
    with http_server(lambda request: Response({}) if over.wait(5) else None) as url:
        slow = sent(url, seconds=0.2)
        over.set()
    assert (slow.kind, slow.said) == ("no_connection", "no reply: it took too long")
    seen: list[Request] = []
    with http_server(lambda request: seen.append(request) or CLOSED) as url:
        assert sent(url).was_closed
        assert len(seen) == 1  # what changes a server is sent once
        assert sent(url, is_repeatable=True).was_closed
        assert len(seen) == 3


def test_a_kept_connection_that_the_server_has_closed_is_no_fault():
    seen: list[int] = []

    def every_second(request: Request) -> Response | None:
        seen.append(1)
        return Response({"n": len(seen)}) if len(seen) % 2 else CLOSED

    with http_server(every_second) as url:
        connection = Connection(url)
        found = [connection.send("POST", url, {}, 5.0, is_repeatable=True) for _ in range(3)]
    assert [one.data for one in found] == [b'{"n": 1}', b'{"n": 3}', b'{"n": 5}']


def test_the_environments_proxy_is_used_with_its_password_where_it_is_asked_for(monkeypatch):
    """The proxy is asked for the whole url; a server that rolls out is always reached directly."""
    seen: list[Request] = []
    with http_server(lambda request: seen.append(request) or Response({})) as url:
        monkeypatch.setenv("http_proxy", url.replace("http://", "http://me:se%40cret@"))
        monkeypatch.delenv("no_proxy", raising=False)
        there = "http://models.example/v1/x"
        asked = Connection("http://models.example/v1", key="k", through_proxy=True).send("GET", there, None, 5.0)
        assert isinstance(asked, Answered)
        assert isinstance(sent(url), Answered)
    assert [one.path for one in seen] == [there, "/"]
    assert seen[0].headers["proxy-authorization"] == "Basic bWU6c2VAY3JldA=="
    assert seen[0].headers["Authorization"] == "Bearer k"
    monkeypatch.setenv("no_proxy", "models.example")
    assert Connection("http://models.example/v1", through_proxy=True)._proxy is None
