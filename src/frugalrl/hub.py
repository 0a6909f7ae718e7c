"""Whether the Hugging Face Hub can be reached: asked once, in about a second, instead of five retries of each request.

Where it cannot, the Hub's client is put into its own offline mode for the time of one load: what is in its cache is
found, and what is not there fails at once.
"""

import os
import queue
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

WAIT_SECONDS = 1.0
_DEFAULT = "https://huggingface.co"
UNREACHABLE = "the Hub cannot be reached from here, and it is not in the local cache"


@contextmanager
def hub_access() -> Iterator[bool]:
    """Around a load from the Hub: whether it can be reached; if not, the client is offline inside the block."""
    reachable = hub_is_reachable()
    if reachable:
        yield True
        return
    before = {name: getattr(module, name) for module, name in _switches()}
    _set_offline(dict.fromkeys(before, True))
    previous = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        yield False
    finally:
        if previous is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = previous
        _set_offline({name: before.get(name, False) for _, name in _switches()})


@cache
def hub_is_reachable() -> bool:
    """Whether something answers where the Hub, or the proxy to it, should be. Asked once in a process."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    host, port = _address(os.environ.get("HF_ENDPOINT") or _DEFAULT)
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    # Looking a name up has no time limit of its own, so it is left behind where it does not return.
    threading.Thread(target=_knock, args=(host, port, answers), daemon=True).start()
    try:
        return answers.get(timeout=WAIT_SECONDS)
    except queue.Empty:
        return False


def _address(endpoint: str) -> tuple[str, int]:
    parts = urlsplit(endpoint)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _knock(host: str, port: int, answers: "queue.SimpleQueue[bool]") -> None:
    try:
        socket.create_connection((host, port), WAIT_SECONDS).close()
    except OSError:
        answers.put(False)
    else:
        answers.put(True)


def _switches() -> list[tuple[object, str]]:
    """The flags that the loaded client libraries read; those that are not loaded yet read the environment."""
    places = (("huggingface_hub.constants", "HF_HUB_OFFLINE"), ("datasets.config", "HF_HUB_OFFLINE"))
    return [(sys.modules[module], name) for module, name in places if module in sys.modules]


def _set_offline(values: dict[str, bool]) -> None:
    for module, name in _switches():
        if name in values:
            setattr(module, name, values[name])
