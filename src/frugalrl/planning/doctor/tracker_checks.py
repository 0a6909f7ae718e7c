"""Trackers before a run: installed, logged in, reachable, and allowed to write.

A tracker that fails during a run is a warning; one that fails at the start ends the run there. What is asked over the
network is who the login belongs to, with a limit of seconds.
"""

import base64
import importlib.util
import json
import netrc
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from frugalrl.planning.doctor.finding import Finding

_SECONDS = 4.0
_WANDB = "https://api.wandb.ai"
_KEY_CHARS = 40
"""wandb refuses a shorter key by itself."""
_NONE = "--set trackers=[]"


def tracker_finding(tracker: str, environment: Mapping[str, str]) -> Finding:
    """environment: variables, as in `os.environ`."""
    name = f"environment/tracker {tracker}"
    if importlib.util.find_spec(tracker) is None:
        fix = f"pip install 'frugalrl[{tracker}]', or {_NONE}"
        return Finding(name, "red", f"The recipe logs to {tracker}, which is not installed.", fix)
    wrong = {"wandb": _wandb, "mlflow": _mlflow, "trackio": _trackio}.get(tracker, lambda _: None)(environment)
    if wrong is not None:
        message, fix = wrong
        return Finding(name, "red", message, f"{fix}, or {_NONE}")
    return Finding(name, "green", f"{tracker} is ready")


def _wandb(environment: Mapping[str, str]) -> tuple[str, str] | None:
    if environment.get("WANDB_MODE") in ("offline", "disabled", "dryrun"):
        return None
    url = environment.get("WANDB_BASE_URL", _WANDB).rstrip("/")
    key = environment.get("WANDB_API_KEY") or _stored_key(urlsplit(url).hostname or "", environment)
    if not key:
        why = "no login is found: WANDB_API_KEY is not set, and there is none in .netrc"
        return f"The recipe logs to wandb and {why}.", "wandb login, or export WANDB_MODE=offline"
    if len(key) < _KEY_CHARS:
        why = f"the key has {len(key)} characters, and those of wandb {_KEY_CHARS} or more"
        return f"The recipe logs to wandb and {why}.", "wandb login --relogin, or export WANDB_MODE=offline"
    login = base64.b64encode(f"api:{key}".encode()).decode()
    said = _asked(f"{url}/graphql", {"query": "query { viewer { username } }"}, {"Authorization": f"Basic {login}"})
    if said is None:
        return f"The recipe logs to wandb and {url} cannot be reached from here.", "export WANDB_MODE=offline"
    if said == "401" or '"viewer":null' in said.replace(" ", ""):
        why = f"{url} does not know the key in use"
        return f"The recipe logs to wandb and {why}.", "wandb login --relogin, or export WANDB_MODE=offline"
    return None


def _stored_key(host: str, environment: Mapping[str, str]) -> str | None:
    try:
        found = netrc.netrc(environment.get("NETRC")).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return None if found is None else found[2]


def _mlflow(environment: Mapping[str, str]) -> tuple[str, str] | None:
    uri = environment.get("MLFLOW_TRACKING_URI", "")
    if uri.startswith(("http://", "https://")):
        said = _asked(f"{uri.rstrip('/')}/health", None, {})
        if said is None:
            why = f"MLFLOW_TRACKING_URI={uri} cannot be reached from here"
            return f"The recipe logs to mlflow and {why}.", "Start the server there, or unset MLFLOW_TRACKING_URI"
        if said in ("401", "403") and not environment.get("MLFLOW_TRACKING_TOKEN"):
            fix = "export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            if not all(environment.get(key) for key in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")):
                return f"The recipe logs to mlflow and {uri} asks for a login.", fix
        return None
    if "://" in uri and not uri.startswith(("file://", "sqlite://")):
        return None  # a database server or a vendor's: mlflow itself asks it at the start
    path = Path(unquote(uri.partition("://")[2] or uri) or ".")
    place = path.parent if uri.startswith("sqlite://") else path
    if not _is_writable(place):
        return f"The recipe logs to mlflow and {place} cannot be written.", "export MLFLOW_TRACKING_URI=file:FOLDER"
    return None


def _trackio(environment: Mapping[str, str]) -> tuple[str, str] | None:
    space = environment.get("TRACKIO_SPACE_ID")
    home = Path(environment.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    if space:
        token = environment.get("HF_TOKEN") or environment.get("HUGGING_FACE_HUB_TOKEN")
        file = Path(environment.get("HF_TOKEN_PATH") or home / "token")
        if not token and not (file.is_file() and file.read_text(encoding="utf-8", errors="replace").strip()):
            why = f"TRACKIO_SPACE_ID={space} is on the Hub, for which no login is found"
            return f"The recipe logs to trackio and {why}.", "hf auth login, or unset TRACKIO_SPACE_ID"
        return None
    folder = Path(environment.get("TRACKIO_DIR") or home / "trackio")
    if not _is_writable(folder):
        return f"The recipe logs to trackio and {folder} cannot be written.", "export TRACKIO_DIR=FOLDER"
    return None


def _is_writable(folder: Path) -> bool:
    nearest = folder.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    try:
        with tempfile.NamedTemporaryFile(dir=nearest):
            return os.access(nearest, os.W_OK)
    except OSError:
        return False


def _asked(url: str, body: Mapping[str, str] | None, headers: Mapping[str, str]) -> str | None:
    """What was answered, or the status of a refusal; None if nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json", **headers})
    try:
        with urlopen(request, timeout=_SECONDS) as reply:
            return str(reply.read(10_000).decode("utf-8", "replace"))
    except HTTPError as error:
        return str(error.code)
    except (URLError, OSError, ValueError):
        return None
