"""Why a request to a server of models has no answer, told apart by what can be done about it. Pure."""

from dataclasses import dataclass
from typing import Literal

MAY_PASS = frozenset({408, 409, 425, 429})
"""And every status from 500 up."""
OF_THE_CONTENT = frozenset({400, 413, 422})
"""Most often a prompt beyond the context."""
_MOST_CHARS = 300
Kind = Literal["may_pass", "content", "settings", "no_server", "no_connection"]


@dataclass(frozen=True)
class Fault:
    """Why a request has no answer."""

    kind: Kind
    """``may_pass``: another attempt may help; ``content``: this request is refused; ``settings``: key, model, url;
    ``no_server``: nothing there that speaks of models; ``no_connection``: nobody there, or no reply in time."""
    said: str
    """In the server's own words, with the status."""
    status: int | None = None
    retry_after: str | None = None
    """The header, if there was one."""
    was_closed: bool = False
    """Whether the connection broke before an answer came."""
    tries: int = 1


def fault_of_status(status: int, said: str, retry_after: str | None = None) -> Fault:
    """The fault that a status stands for."""
    words = f"{status}: {one_line(said)}"
    if status in OF_THE_CONTENT:
        return Fault("content", words, status)
    if status in MAY_PASS or status >= 500:
        return Fault("may_pass", words, status, retry_after)
    return Fault("settings", words, status)


def one_line(text: str) -> str:
    """A server's words, short enough for a message."""
    return " ".join(text.split())[:_MOST_CHARS]
