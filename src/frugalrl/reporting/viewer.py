"""Pages of a folder, made when they are asked for and served on this machine only: a run that is going on is followed.

Decisions:
- Loopback only, GET only, and only for requests to this machine by name: a page of another site cannot read it.
- A page is made anew when a file below its folder has changed, and a page of a run without summary.json, or of results
  that changed within a minute, asks the browser to load it again.
- Children of a folder are addressed by their number in its list: no path in a request reaches the disk.
"""

import threading
import time
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from frugalrl.errors import DataError, OutputError, UserError
from frugalrl.evaluation.completion_rows import is_results_file
from frugalrl.evaluation.results import SUFFIX
from frugalrl.reporting import html_page as html
from frugalrl.reporting.evaluation_page import evaluation_page
from frugalrl.reporting.pages import evaluated, language
from frugalrl.reporting.run_page import run_page
from frugalrl.reporting.run_reader import read_run
from frugalrl.reporting.run_samples import run_samples

REFRESH_SECONDS = 15
_LIVE_SECONDS = 60.0
_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class Viewer:
    """The pages of a folder: its own, or those of the runs and evaluations in it."""

    def __init__(self, folder: Path) -> None:
        """Raises DataError if there is nothing to show."""
        self._folder = folder
        self._lock = threading.Lock()
        self._made: dict[Path, tuple[float, str]] = {}
        if not folder.is_dir() or not (_is_shown(folder) or self._children()):
            raise DataError(f"{folder} holds neither a run nor results. Name a folder that train or eval wrote.")

    def page(self, number: int | None) -> tuple[str, bool] | None:
        """The page of the folder, or of one of its children; whether it is still growing. None: there is none."""
        if number is None and not _is_shown(self._folder):
            return self._index(), True
        children = [self._folder] if number is None else self._children()
        at = number or 0
        if at >= len(children):
            return None
        return self._page_of(children[at])

    def _children(self) -> list[Path]:
        return [child for child in sorted(self._folder.iterdir()) if child.is_dir() and _is_shown(child)]

    def _index(self) -> str:
        rows = [
            f'<li><a href="/{at}">{escape(child.name)}</a>: {"a run" if _is_run(child) else "results"}</li>'
            for at, child in enumerate(self._children())
        ]
        return html.page(self._folder.name, "Runs and evaluations in this folder.", [f"<ul>{''.join(rows)}</ul>"])

    def _page_of(self, folder: Path) -> tuple[str, bool]:
        changed = max((path.stat().st_mtime for path in folder.rglob("*.json*") if path.is_file()), default=0.0)
        with self._lock:  # one page at a time: two browsers need not make it twice
            if folder not in self._made or self._made[folder][0] != changed:
                self._made[folder] = changed, _made(folder)
            text = self._made[folder][1]
        is_going = not (folder / "summary.json").is_file() if _is_run(folder) else time.time() - changed < _LIVE_SECONDS
        return text, is_going


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server on the loopback address that is ready to serve; port 0 takes a free one.

    Raises DataError if there is nothing to show, OutputError if the port is taken.
    """
    viewer = Viewer(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if (self.headers.get("Host") or "").rsplit(":", 1)[0] not in _HOSTS:
                self._send(403, "This address is not served.", False)
                return
            name = self.path.split("?")[0].strip("/")
            found = viewer.page(int(name) if name else None) if name.isdecimal() or not name else None
            if found is None:
                self._send(404, "There is no such page.", False)
            else:
                self._send(200, *found)

        def _send(self, status: int, text: str, is_going: bool) -> None:
            data = text.encode("utf-8", "replace")
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Cache-Control", "no-store")
            if is_going:
                self.send_header("Refresh", str(REFRESH_SECONDS))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            """Requests are not worth a line."""

    try:
        return ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise OutputError(f"Port {port} cannot be used: {error.strerror}. Choose another with --port.") from None


def _is_run(folder: Path) -> bool:
    return (folder / "recipe.yaml").is_file() or (folder / "metrics.jsonl").is_file()


def _is_shown(folder: Path) -> bool:
    return _is_run(folder) or any(is_results_file(path) for path in folder.glob(f"*{SUFFIX}"))


def _made(folder: Path) -> str:
    """The page; of what cannot be read, a page that says so."""
    try:
        if _is_run(folder):
            return run_page([read_run(folder, folder.name)], run_samples(folder, language()))
        files = [path for path in sorted(folder.glob(f"*{SUFFIX}")) if is_results_file(path)]
        return evaluation_page([evaluated(folder.name, files)], language())
    except UserError as error:
        return html.page(folder.name, "This folder cannot be shown.", [html.finding(str(error), "bad")])
