"""HTTP to a server of models: what it said, or why there is no answer.

Redirects are not followed: a key would go along.
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from frugalrl.clients.faults import Fault, fault_of_status, one_line

CONNECT_SECONDS = 10.0
"""A machine that is there answers within; a wrong address should not take longer to be found."""


@dataclass(frozen=True)
class Answered:
    """The body of a reply of status 200."""

    data: bytes
    content_type: str


class Connection:
    """To one server. Safe to use from several threads."""

    def __init__(self, url: str, kept: int = 1, key: str | None = None, through_proxy: bool = False) -> None:
        """kept: connections that stay open between requests. through_proxy: whether the environment's proxies apply."""
        self._url, self._kept = url, kept
        self._headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._proxy = _proxy_for(url) if through_proxy else None
        self._pool = self._manager()

    def send(self, method: str, url: str, body: Any, seconds: float, is_repeatable: bool = False) -> Answered | Fault:
        """One request. seconds: limit of each wait for data.

        is_repeatable: it may go over a connection that was kept, and again if the server had just closed that;
        otherwise it has a connection of its own, and arrives at most once.
        """
        if is_repeatable:
            outcome = self._sent(self._pool, method, url, body, seconds)
            if not isinstance(outcome, Fault) or not outcome.was_closed:
                return outcome
        with self._manager() as alone:
            return self._sent(alone, method, url, body, seconds)

    def close(self) -> None:
        """Close what was kept."""
        self._pool.clear()

    def _manager(self) -> urllib3.PoolManager:
        if self._proxy is None:
            return urllib3.PoolManager(maxsize=self._kept, retries=False)
        parts = urlsplit(self._proxy)
        login = None if parts.username is None else f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=login) if login else None
        return urllib3.ProxyManager(self._proxy, maxsize=self._kept, retries=False, proxy_headers=headers)

    def _sent(self, pool: urllib3.PoolManager, method: str, url: str, body: Any, seconds: float) -> Answered | Fault:
        try:
            response = pool.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=self._headers,
                timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, seconds), read=seconds),
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            closed = isinstance(error, urllib3.exceptions.ProtocolError)
            return Fault("no_connection", _reason(error), was_closed=closed)
        if response.status == 200:
            return Answered(response.data, response.headers.get("Content-Type", ""))
        said = _message(response.data[:2000].decode("utf-8", "replace")) or str(response.reason or "no message")
        return fault_of_status(response.status, said, response.headers.get("Retry-After"))


def _message(said: str) -> str:
    """The message inside an error's JSON, or its first words."""
    try:
        error = json.loads(said)["error"]
        said = str(error["message"]) if isinstance(error, dict) else str(error)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return one_line(said)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        return "no reply: it took too long"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "no reply: the connection was closed"
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return f"no connection: {one_line(str(error).rpartition(': ')[2])}"
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError):
        return "no connection: nobody answers"
    return f"no connection: {one_line(str(error))}"


def _proxy_for(url: str) -> str | None:
    """The proxy that the environment names for a url."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(parts.hostname or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
