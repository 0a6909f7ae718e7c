"""Parses replies of chat and completions servers: a text, or what is wrong with it. Pure.

A reply of status 200 is no answer by that alone: it may hold an error, no choice, a refusal, or a page of another
server.
"""

import json
from dataclasses import dataclass
from typing import Any

from frugalrl.clients.faults import Fault, fault_of_status, one_line


@dataclass(frozen=True)
class Text:
    """What a model said."""

    content: str
    reasoning: str
    """Which some servers send beside the answer."""
    finish_reason: str
    completion_tokens: int | None
    prompt_tokens: int | None
    """None where the server does not count."""
    reasoning_open: bool = False
    """Whether the prompt is known to have opened ``<think>``."""


def read_reply(data: bytes) -> Text | Fault:
    """A text, or why it is none, from the body of a reply of status 200."""
    reply = json_object(data)
    if isinstance(reply, Fault):
        return reply
    choices = reply.get("choices")
    if not isinstance(choices, list):
        return Fault("no_server", f"200 with something that is no completion: {one_line(str(reply))[:200]!r}")
    if not choices or not isinstance(choices[0], dict):
        return Fault("may_pass", "200 without any choice")
    return _read_choice(choices[0], reply.get("usage"))


def json_object(data: bytes) -> dict[str, Any] | Fault:
    """The object in the body of a reply of status 200, unless it is an error."""
    try:
        reply = json.loads(data)
    except (ValueError, RecursionError):
        words = one_line(data[:200].decode("utf-8", "replace"))
        return Fault("no_server", f"200 with a body that is not JSON: {words!r}")
    if not isinstance(reply, dict):
        return Fault("no_server", f"200 with {one_line(str(reply))[:100]!r}")
    return _error_in(reply["error"]) if reply.get("error") else reply


def _read_choice(choice: dict[str, Any], usage: Any) -> Text | Fault:
    reason = str(choice.get("finish_reason") or "stop")
    if choice.get("error") or reason == "error":
        return _error_in(choice.get("error") or "finish_reason error")
    message = choice.get("message", {"content": choice["text"]} if "text" in choice else None)
    if not isinstance(message, dict):
        return Fault("may_pass", "200 with a choice that has no message")
    content, refusal = _content(message.get("content")), message.get("refusal")
    if reason == "content_filter" or (not content and refusal):
        return Fault("content", one_line(str(refusal or "content_filter")))
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    counts = usage if isinstance(usage, dict) else {}
    return Text(
        content,
        reasoning if isinstance(reasoning, str) else "",
        reason,
        _count(counts.get("completion_tokens")),
        _count(counts.get("prompt_tokens")),
    )


def _content(content: Any) -> str:
    """A message's text, which some servers send in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return str(content or "")


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _error_in(error: Any) -> Fault:
    """The fault of an error inside a reply of status 200; the status is the error's own code, if it has one."""
    values = error if isinstance(error, dict) else {"message": str(error)}
    code = str(values.get("code") or values.get("status") or "")
    said = str(values.get("message") or error)
    if code.isdigit() and 400 <= int(code) < 600:
        return fault_of_status(int(code), f"{said} (in a reply of status 200)")
    return Fault("may_pass", f"200 with the error {one_line(said)!r}")
