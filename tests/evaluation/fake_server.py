"""An OpenAI-compatible server in a thread: chat, completions and models, faults by request, and what it was asked."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Asked:
    """What the server has seen."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        self.lock = threading.Lock()
        self.now, self.most = 0, 0


@contextmanager
def fake_server(
    reply: Callable[[dict[str, Any], int], dict[str, Any] | tuple[int, dict[str, str]]], context: int | None = 4096
) -> Iterator[tuple[str, Asked]]:
    """Its url, and what it was asked. reply: of the request's body and number a message, or a status with headers."""
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if context is None:
                self._send(404, {}, {})
            else:
                self._send(200, {}, {"data": [{"id": "tiny", "max_model_len": context}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with asked.lock:
                number = len(asked.bodies)
                asked.bodies.append(body)
                asked.paths.append(self.path)
                asked.keys.append(self.headers.get("Authorization"))
                asked.now += 1
                asked.most = max(asked.most, asked.now)
            time.sleep(0.005)
            answer = reply(body, number)
            with asked.lock:
                asked.now -= 1
            if isinstance(answer, tuple):
                self._send(answer[0], answer[1], {"error": {"message": "as told"}})
                return
            reason = answer.pop("finish_reason", "stop")
            part = {"text": answer["content"]} if self.path.endswith("/v1/completions") else {"message": answer}
            usage = {"completion_tokens": 7, "prompt_tokens": 11}
            self._send(200, {}, {"choices": [{**part, "finish_reason": reason}], "usage": usage})

        def _send(self, status: int, headers: dict[str, str], value: object) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            for name, text in headers.items():
                self.send_header(name, text)
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
