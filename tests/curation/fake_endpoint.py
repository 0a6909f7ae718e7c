"""An OpenAI-compatible server in a thread, which answers from a function and counts what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Status:
    """A status code with headers."""

    code: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Completion:
    """An answer with the reason for its end."""

    text: str
    finish_reason: str


@dataclass(frozen=True)
class Raw:
    """The body of a reply of status 200."""

    body: str


CLOSED = "\0closed"
"""Instead of a reply the connection is closed."""
Reply = str | int | Status | Completion | Raw
"""A completion's text, a status code, or one of the above."""


class Asked:
    """What the server has seen."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()
        self.now, self.most = 0, 0
        """Requests in flight."""


@contextmanager
def fake_endpoint(reply: Callable[[str, int], Reply]) -> Iterator[tuple[str, Asked]]:
    """Its url, and what it was asked. reply: the last message's text and the number of requests before this one."""
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with asked.lock:
                number = len(asked.bodies)
                asked.bodies.append(body)
                asked.headers.append(dict(self.headers))
                asked.now += 1
                asked.most = max(asked.most, asked.now)
            answer = reply(body["messages"][-1]["content"], number)
            with asked.lock:
                asked.now -= 1
            if answer == CLOSED:
                self.close_connection = True
                return
            status, headers, text = _written(answer)
            data = text.encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _written(answer: Reply) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of a reply."""
    if isinstance(answer, Raw):
        return 200, {}, answer.body
    if isinstance(answer, int):
        answer = Status(answer)
    if isinstance(answer, Status):
        return answer.code, answer.headers, json.dumps({"error": {"message": "as told"}})
    done = answer if isinstance(answer, Completion) else Completion(answer, "stop")
    choice = {"message": {"content": done.text}, "finish_reason": done.finish_reason}
    return 200, {}, json.dumps({"choices": [choice], "usage": {"completion_tokens": 7, "prompt_tokens": 11}})
