"""An OpenAI-compatible server: chat, completions and models, faults by request, and a count of what it was asked."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.fake_http import Request, Response, http_server


@dataclass(frozen=True)
class Status:
    """A status code with headers."""

    code: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Completion:
    """A text with the reason for its end, and the reasoning beside it."""

    text: str
    finish_reason: str = "stop"
    reasoning: str = ""


@dataclass(frozen=True)
class Raw:
    """The body of a reply of status 200."""

    body: str


CLOSED = "\0closed"
"""Instead of a reply the connection is closed."""
Reply = str | int | Status | Completion | Raw
"""A text, a status code, or one of the above."""


class Asked:
    """What the server has seen."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()
        self.now, self.most = 0, 0
        """Requests in flight."""


@contextmanager
def text_server(
    reply: Callable[[str, int], Reply], context: int | None = None, seconds: float = 0.0
) -> Iterator[tuple[str, Asked]]:
    """Its url, and what it was asked.

    reply: of the prompt, or the last message, and the number of requests before this one. context: what it states of
    its model `tiny`; None: there is no list of models. seconds: that each reply takes.
    """
    asked = Asked()

    def answer(request: Request) -> Response | None:
        if request.method == "GET":
            listed = {"data": [{"id": "tiny", "max_model_len": context}]}
            return Response({}, 404) if context is None else Response(listed)
        with asked.lock:
            number = len(asked.bodies)
            asked.bodies.append(request.body)
            asked.paths.append(request.path)
            asked.headers.append(dict(request.headers))
            asked.now += 1
            asked.most = max(asked.most, asked.now)
        time.sleep(seconds)
        found = reply(_prompt(request.body), number)
        with asked.lock:
            asked.now -= 1
        return None if found == CLOSED else _written(found, request.path.endswith("/chat/completions"))

    with http_server(answer) as url:
        yield f"{url}/v1", asked


def _prompt(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"] if "messages" in body else body["prompt"])


def _written(found: Reply, is_chat: bool) -> Response:
    if isinstance(found, Raw):
        return Response(found.body)
    if isinstance(found, int):
        found = Status(found)
    if isinstance(found, Status):
        return Response({"error": {"message": "as told"}}, found.code, found.headers)
    done = found if isinstance(found, Completion) else Completion(found)
    beside = {"reasoning_content": done.reasoning} if done.reasoning else {}
    part = {"message": {"content": done.text, **beside}} if is_chat else {"text": done.text}
    usage = {"completion_tokens": 7, "prompt_tokens": 11}
    return Response({"choices": [{**part, "finish_reason": done.finish_reason}], "usage": usage})
