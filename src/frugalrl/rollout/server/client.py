"""One vLLM server over HTTP: connections that are kept, faults told from mistakes, and what it must be started with.

A `ServerFault` may pass (no connection, a time-out, a 5xx): whoever asked decides whether to try again. A mistake of
configuration is a ModelError that says how to start the server.
"""

import json
from typing import Any

from frugalrl.clients.connection import Connection
from frugalrl.clients.faults import Fault
from frugalrl.errors import ModelError
from frugalrl.rollout.server.worker.frugalrl_worker import PROTOCOL

CONTROL_SECONDS = 600.0
"""Time limit of a call that moves weights."""
_GREETING_SECONDS = 5.0
"""A server that is up answers these at once, and a wrong url should not take longer to be found."""
_ADVICE = "Start it with VLLM_SERVER_DEV_MODE=1 and the flags in docs/servers.md."


class ServerFault(Exception):  # noqa: N818 - not an error until nobody can help
    """The server did not answer, or answered that it failed; it may be there again later."""


class Server:
    """A server at a url. Safe to use from several threads."""

    def __init__(self, url: str, connections: int, request_seconds: float) -> None:
        self.url = url
        self._request_seconds = request_seconds
        self._connection = Connection(url, connections)

    def generate(self, body: dict[str, Any]) -> Any:
        """The reply to a request for tokens. Raises ServerFault and ModelError."""
        return self._call("POST", "/inference/v1/generate", body, self._request_seconds, is_repeatable=True)

    def control(self, path: str, body: dict[str, Any] | None = None, seconds: float = CONTROL_SECONDS) -> Any:
        """POST to one of the routes that change the server. Raises ServerFault and ModelError."""
        return self._call("POST", path, {} if body is None else body, seconds)

    def look(self, path: str, seconds: float = _GREETING_SECONDS) -> Any:
        """GET what a route says. Raises ServerFault and ModelError."""
        return self._call("GET", path, None, seconds)

    @property
    def is_healthy(self) -> bool:
        """Whether it says so, within seconds."""
        try:
            self.look("/health")
        except (ServerFault, ModelError):
            return False
        return True

    def reports(self) -> list[dict[str, Any]]:
        """What each of its workers is and has received, see `Extension.frugalrl_report`."""
        try:
            found = self.control("/collective_rpc", {"method": "frugalrl_report"}, seconds=60.0)
        except ServerFault as fault:
            if "frugalrl_report" not in str(fault):
                raise
            raise ModelError(f"The server {self.url} runs without frugalrl's worker extension. {_ADVICE}") from None
        results = found.get("results") if isinstance(found, dict) else None
        if not isinstance(results, list) or not results:
            raise ModelError(f"The server {self.url} does not say what its workers are. {_ADVICE}")
        return results

    def greet(self, vocab_size: int, needed_tokens: int) -> str:
        """Check that this is a server to train with, within seconds; returns its dtype.

        needed_tokens: the longest prompt and completion together. Raises ServerFault if it cannot be reached,
        ModelError for what it was started with.
        """
        self.look("/health")
        report = self.reports()[0]
        if report["protocol"] != PROTOCOL:
            raise ModelError(
                f"The server {self.url} has the worker extension of another release of frugalrl. Restart it with this "
                "one's."
            )
        if report["logprobs_mode"] != "processed_logprobs":
            raise ModelError(
                f"The server {self.url} reports {report['logprobs_mode']}, which leave out the temperature. Start it "
                "with --logprobs-mode processed_logprobs."
            )
        if report["vocab_size"] != vocab_size:
            raise ModelError(
                f"The server {self.url} has a vocabulary of {report['vocab_size']:,} tokens and the policy one of "
                f"{vocab_size:,}. Start it with the model of the recipe."
            )
        if report["max_model_len"] < needed_tokens:
            raise ModelError(
                f"The server {self.url} takes {report['max_model_len']:,} tokens and prompt and completion may have "
                f"{needed_tokens:,}. Start it with --max-model-len {needed_tokens}."
            )
        # A run that was killed in the middle of an update leaves it paused or asleep.
        if self.look("/is_sleeping")["is_sleeping"]:
            self.control("/wake_up")
        self.control("/resume")
        # The first request of a fresh server compiles for up to a minute.
        self._call("POST", "/inference/v1/generate", {"token_ids": [0], "sampling_params": {"max_tokens": 1}}, 300.0)
        return str(report["dtype"])

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def _call(self, method: str, path: str, body: Any, seconds: float, is_repeatable: bool = False) -> Any:
        given = self._connection.send(method, self.url + path, body, seconds, is_repeatable)
        if isinstance(given, Fault):
            if given.kind == "no_connection":
                raise ServerFault(f"the server {self.url} does not answer {path}: {given.said}")
            if given.kind == "may_pass":
                raise ServerFault(f"the server {self.url} answers {path} with {given.said}")
            raise ModelError(_mistake(self.url, path, given))
        if "json" not in given.content_type:
            return given.data.decode("utf-8", "replace")  # some routes answer with a sentence
        return _decoded(self.url, path, given.data)


def _mistake(url: str, path: str, fault: Fault) -> str:
    if fault.status == 403 and path == "/inference/v1/generate":
        return f"The server {url} refuses token ids (403). Start it with --enable-scale-out."
    if fault.status == 404:
        return f"The server {url} has no route {path} (404): it is no vLLM 0.32, or not in development mode. {_ADVICE}"
    if fault.status in (401, 403):
        return f"The server {url} refuses {path} ({fault.said}). Start it without an API key, bound to 127.0.0.1."
    return f"The server {url} refuses {path} ({fault.said}). Check that it has the model of the recipe."


def _decoded(url: str, path: str, data: bytes) -> Any:
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError:
        raise ServerFault(f"the server {url} answers {path} with something that is no JSON") from None
