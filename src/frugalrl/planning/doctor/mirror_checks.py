"""The mirror before a run: can it be opened, is it free, and may this machine write there?

A run goes on without a mirror that fails, and says so; whoever rents a machine that may die notices too late. What is
tried has a limit of seconds: object stores try again for minutes where there is no network.
"""

import secrets
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from frugalrl.errors import UserError
from frugalrl.planning.doctor.finding import Finding
from frugalrl.training.mirror.hub_store import HUB_SCHEME, hub_user
from frugalrl.training.mirror.opening import open_store
from frugalrl.training.mirror.store import Store

_NAME = "environment/mirror"
_NONE = "--set training.mirror=null"
_SECONDS = 10.0
_DISK = "file://"
_WRITES = ("admin", "write", "contributor")
"""Roles of the Hub in an organisation that may make repositories."""


def mirror_finding(url: str, out: Path | None, who_am_i: Callable[[], Mapping[str, Any]] | None = None) -> Finding:
    """out: the run's folder, if it is known. who_am_i: of the Hub; None asks it."""
    if url.startswith("memory://"):
        message = f"The mirror {url} lies in the memory of the run's own process, and is gone with it."
        return Finding(_NAME, "red", message, f"{_NONE}, or the URL of another machine (s3://, gs://, hf://org/name)")
    place = Path(url.removeprefix(_DISK)) if url.startswith(_DISK) or "://" not in url else None
    if place is not None and out is not None and place.absolute().is_relative_to(out.absolute()):
        message = f"The mirror {url} lies inside the run's own folder {out} and is lost with it."
        return Finding(_NAME, "red", message, f"{_NONE}, or a folder on another disk")
    found: list[Finding] = []
    thread = threading.Thread(target=lambda: found.append(_tried(url, place, who_am_i)), daemon=True)
    thread.start()
    thread.join(_SECONDS)
    fix = f"Check address, network and credentials; or {_NONE}"
    return found[0] if found else _red(f"The mirror {url} did not answer within {_SECONDS:.0f} s.", fix)


def _red(message: str, fix: str) -> Finding:
    return Finding(_NAME, "red", message, fix)


def _tried(url: str, place: Path | None, who_am_i: Callable[[], Mapping[str, Any]] | None) -> Finding:
    try:
        store = open_store(url)
        names = store.names()
        wrong = _cannot_write(store, url, place, who_am_i)
    except UserError as error:
        message, _, fix = str(error).rpartition(". ")
        return _red(f"{message}.", f"{fix.rstrip('.')}; or {_NONE}")
    except Exception as error:  # of any store
        why = f"{type(error).__name__}: {error}".replace("\n", " ")[:200].rstrip(". ")
        return _red(f"The mirror {url} cannot be used: {why}.", f"Check address and credentials; or {_NONE}")
    if wrong is not None:
        return _red(f"The mirror {url} cannot be written: {wrong}.", f"Give a place of your own; or {_NONE}")
    if names:
        message = f"The mirror {url} is not empty ({len(names)} files): a new run is refused there."
        return Finding(_NAME, "yellow", message, "frugalrl train RECIPE --resume, or give another URL")
    return Finding(_NAME, "green", f"{url} is empty and can be written")


def _cannot_write(
    store: Store, url: str, place: Path | None, who_am_i: Callable[[], Mapping[str, Any]] | None
) -> str | None:
    """Why not, or None. Nothing stays: on a disk not even a folder, on the Hub no commit."""
    if url.startswith(HUB_SCHEME):
        return _without_right(url.removeprefix(HUB_SCHEME).partition("/")[0], (who_am_i or hub_user)())
    if place is not None:
        return _closed(place)
    name = f".doctor-{secrets.token_hex(8)}"
    store.put([(name, b"")])
    store.remove([name])
    return None


def _closed(place: Path) -> str | None:
    nearest = place.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    try:
        if not nearest.is_dir():
            return f"{nearest} is a file"
        with tempfile.NamedTemporaryFile(dir=nearest):
            return None
    except OSError as error:
        return str(error)


def _without_right(owner: str, user: Mapping[str, Any]) -> str | None:
    roles = {org.get("name"): org.get("roleInOrg", "write") for org in user.get("orgs", ())}
    if owner == user.get("name") or roles.get(owner) in _WRITES:
        return None
    return f"{user.get('name')}, who is logged in, may not write to {owner}"
