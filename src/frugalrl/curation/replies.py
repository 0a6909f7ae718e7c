"""Parses a chat-completions reply: an answer, or what is wrong with it. Pure.

A reply of status 200 is no answer by that alone: it may hold an error, no choice, or a page of another server.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal

from frugalrl.curation.solver import REFUSED, Answer

MAY_PASS = frozenset({408, 409, 425, 429})
"""And every status from 500 up."""
OF_THE_CONTENT = frozenset({400, 413, 422})
"""Most often a prompt beyond the context."""
Kind = Literal["may_pass", "content", "settings", "no_server", "no_connection"]
_MOST_CHARS = 300


@dataclass(frozen=True)
class Fault:
    """Why a request has no answer."""

    kind: Kind
    """``may_pass``: another attempt may help; ``content``: the problem is refused; ``settings``: key, model, url;
    ``no_server``: nothing there that speaks of completions; ``no_connection``: nobody there."""
    said: str
    """In the server's own words, with the status."""
    retry_after_seconds: float | None = None


def fault_of_status(status: int, said: str, retry_after_seconds: float | None = None) -> Fault:
    """The fault that a status stands for."""
    words = f"{status}: {one_line(said)}"
    if status in OF_THE_CONTENT:
        return Fault("content", words)
    if status in MAY_PASS or status >= 500:
        return Fault("may_pass", words, retry_after_seconds)
    return Fault("settings", words)


def read_reply(data: bytes) -> Answer | Fault:
    """An answer, or why it is none, from the body of a reply of status 200."""
    try:
        reply = json.loads(data)
    except (ValueError, RecursionError):
        return Fault(
            "no_server", f"200 with a body that is not JSON: {one_line(data[:200].decode('utf-8', 'replace'))!r}"
        )
    if not isinstance(reply, dict):
        return Fault("no_server", f"200 with {one_line(str(reply))[:100]!r}")
    if reply.get("error"):
        return _error_in(reply["error"])
    choices = reply.get("choices")
    if not isinstance(choices, list):
        return Fault("no_server", f"200 with something that is no chat completion: {one_line(str(reply))[:200]!r}")
    if not choices or not isinstance(choices[0], dict):
        return Fault("may_pass", "200 without any choice")
    return _read_choice(choices[0], reply.get("usage"))


def one_line(text: str) -> str:
    """A server's words, short enough for a message."""
    return " ".join(text.split())[:_MOST_CHARS]


def _read_choice(choice: dict[str, Any], usage: Any) -> Answer | Fault:
    reason = str(choice.get("finish_reason") or "stop")
    if choice.get("error") or reason == "error":
        return _error_in(choice.get("error") or "finish_reason error")
    message = choice.get("message")
    if not isinstance(message, dict):
        return Fault("may_pass", "200 with a choice that has no message")
    text = _content(message.get("content"))
    if reason == "content_filter" or (not text and message.get("refusal")):
        return Answer("", REFUSED, 0, said=one_line(str(message.get("refusal") or "content_filter")))
    counts = usage if isinstance(usage, dict) else {}
    return Answer(
        text, reason, _count(counts.get("completion_tokens")), prompt_tokens=_count(counts.get("prompt_tokens"))
    )


def _content(content: Any) -> str:
    """A message's text, which some servers send in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return str(content or "")


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else -1


def _error_in(error: Any) -> Fault:
    """The fault of an error inside a reply of status 200; the status is the error's own code, if it has one."""
    values = error if isinstance(error, dict) else {"message": str(error)}
    code = str(values.get("code") or values.get("status") or "")
    said = str(values.get("message") or error)
    if code.isdigit() and 400 <= int(code) < 600:
        return fault_of_status(int(code), f"{said} (in a reply of status 200)")
    return Fault("may_pass", f"200 with the error {one_line(said)!r}")
