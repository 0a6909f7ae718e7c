"""A server in a thread that answers from a function, or closes the connection without an answer."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    """With its query."""
    body: Any
    """From JSON; None if there is none."""
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Response:
    """What goes out. value: text as it is, None as no body, anything else as JSON."""

    value: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


CLOSED = None
"""Instead of a response the connection is closed."""


@contextmanager
def http_server(answer: Callable[[Request], Response | None]) -> Iterator[str]:
    """Its url, without a slash at the end."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self.respond(None)

        def do_POST(self) -> None:
            self.respond(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def respond(self, body: Any) -> None:
            response = answer(Request(self.command, self.path, body, dict(self.headers)))
            if response is CLOSED:
                self.close_connection = True
                return
            is_text = isinstance(response.value, str)
            text = response.value if is_text else "" if response.value is None else json.dumps(response.value)
            self.send_response(response.status)
            if not is_text:  # vLLM names no type for a sentence
                self.send_header("Content-Type", "application/json")
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
