"""An OpenAI-compatible server in a thread, which answers from a function and counts what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = str | int
"""A completion's text, or a status code."""


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
            status = answer if isinstance(answer, int) else 200
            choice = {"message": {"content": answer}, "finish_reason": "stop"}
            values = {"choices": [choice], "usage": {"completion_tokens": 7}}
            data = json.dumps(values if status == 200 else {"error": {"message": "as told"}}).encode()
            with asked.lock:
                asked.now -= 1
            self.send_response(status)
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
