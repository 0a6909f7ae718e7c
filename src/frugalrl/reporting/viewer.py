"""Pages of a folder, made when they are asked for and served on this machine only: a run that is going on is followed.

Decisions:
- Loopback only, GET only, and only for requests to this machine by name: a page of another site cannot read it.
- A page is made anew when a file below its folder has changed. The page itself asks for its next state and takes over
  what changed, so that filters, search and place stay; an unchanged page is answered with 304.
- A run is going on until it has a summary.json, results for a minute after they changed last.
- Children of a folder are addressed by their number in its list: no path in a request reaches the disk.
"""

import json
import threading
import time
from dataclasses import dataclass
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from frugalrl.errors import DataError, OutputError, UserError
from frugalrl.evaluation.completion_rows import is_results_file
from frugalrl.evaluation.results import SUFFIX
from frugalrl.reporting import html_page as html
from frugalrl.reporting import page_assets
from frugalrl.reporting.console import estimate
from frugalrl.reporting.evaluation_page import evaluation_page, score_of_results
from frugalrl.reporting.findings import comparison, progress
from frugalrl.reporting.pages import evaluated, language
from frugalrl.reporting.run_page import run_page
from frugalrl.reporting.run_reader import read_run
from frugalrl.reporting.run_samples import run_samples
from frugalrl.reporting.runs_beside import badge

_LIVE_SECONDS = 60.0
_HOSTS = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Served:
    """A page as it is now."""

    tag: str
    """Another one as soon as the page may be another."""
    is_going: bool
    """Whether it is still growing."""


class Viewer:
    """The pages of a folder: its own, or those of the runs and evaluations in it."""

    def __init__(self, folder: Path) -> None:
        """Raises DataError if there is nothing to show."""
        self._folder = folder
        self._lock = threading.Lock()
        self._made: dict[Path, tuple[str, str]] = {}
        if not folder.is_dir() or not (_is_shown(folder) or self._children()):
            raise DataError(f"{folder} holds neither a run nor results. Name a folder of train, eval or curate.")

    def state(self, number: int | None) -> Served | None:
        """What is known of a page without making it: of the folder, or of one of its children. None: there is none."""
        folder = self._shown(number)
        if folder is None:
            return None
        changed = _changed(folder)
        is_recent = time.time() - changed < _LIVE_SECONDS
        is_going = not (folder / "summary.json").is_file() if _is_run(folder) else is_recent
        return Served(f'"{changed:.6f}"', is_going)

    def page(self, number: int | None, tag: str) -> str:
        """The page that `state` told of."""
        folder = self._shown(number)
        assert folder is not None
        with self._lock:  # one page at a time: two browsers need not make it twice
            if folder not in self._made or self._made[folder][0] != tag:
                text = _made(folder) if _is_shown(folder) else self._index()
                self._made[folder] = tag, text if number is None else self._with_way_back(text)
            return self._made[folder][1]

    def _with_way_back(self, text: str) -> str:
        link = f'<p class="lead"><a href="/">‹ {escape(self._folder.resolve().name)}</a></p>'
        return text.replace("<header>", f"<header>{link}", 1)

    def _shown(self, number: int | None) -> Path | None:
        if number is None:
            return self._folder
        children = self._children()
        return children[number] if number < len(children) else None

    def _children(self) -> list[Path]:
        return [child for child in sorted(self._folder.iterdir()) if child.is_dir() and _is_shown(child)]

    def _index(self) -> str:
        rows = [
            [f'<a href="/{at}">{escape(child.name)}</a>', *_cells(child)] for at, child in enumerate(self._children())
        ]
        table = html.html_table(["folder", "what", "verdict", "result", "changed"], rows)
        parts = [html.section("Runs and evaluations", table)]
        scripts = page_assets.scripts(is_followed=True)
        return html.page(self._folder.resolve().name, "", parts, page_assets.style(), scripts, is_followed=True)


def _changed(folder: Path) -> float:
    return max((path.stat().st_mtime for path in folder.rglob("*.json*") if path.is_file()), default=0.0)


def _cells(folder: Path) -> list[str]:
    """A folder's row after its name."""
    what, verdict, result = _summary(folder)
    changed = time.strftime("%Y-%m-%d\u00a0%H:%M", time.localtime(_changed(folder)))
    return [what, verdict, html.cell(result), changed]


def _summary(folder: Path) -> tuple[str, str, str]:
    """What a folder holds, the verdict on it as markup, and its result in a few words."""
    try:
        if _is_curation(folder):
            splits = json.loads((folder / "manifest.json").read_text(encoding="utf-8")).get("splits", {})
            return "curated set", "", ", ".join(f"{name} {count:,}" for name, count in splits.items() if count)
        if _is_run(folder):
            run = read_run(folder, folder.name)
            state = badge(run) if run.summary else '<span class="badge">going on</span>'
            said = comparison(run).text if run.summary else ""
            return "run", state, f"{progress(run)} {said}".removeprefix(f"{folder.name}: ").strip()
        one = evaluated(folder.name, _files(folder))
        scores = [f"{own.header.benchmark} {estimate(score_of_results(own).accuracy)}" for own in one.results]
        return "evaluation", "", ", ".join(scores)
    except (UserError, OSError, ValueError) as error:
        return "unreadable", "", str(error)


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server on the loopback address that is ready to serve; port 0 takes a free one.

    Raises DataError if there is nothing to show, OutputError if the port is taken.
    """
    viewer = Viewer(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if (self.headers.get("Host") or "").rsplit(":", 1)[0] not in _HOSTS:
                self._send(403, "This address is not served.")
                return
            name = self.path.split("?")[0].strip("/")
            number = int(name) if name.isdecimal() else None
            found = viewer.state(number) if name.isdecimal() or not name else None
            if found is None:
                self._send(404, "There is no such page.")
            elif self.headers.get("If-None-Match") == found.tag:
                self._send(304, "", found)
            else:
                self._send(200, viewer.page(number, found.tag), found)

        def _send(self, status: int, text: str, state: Served | None = None) -> None:
            data = text.encode("utf-8", "replace")
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Cache-Control", "no-store")
            if state is not None:
                self.send_header("ETag", state.tag)
                self.send_header("X-Going", "yes" if state.is_going else "no")
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


def _is_curation(folder: Path) -> bool:
    return (folder / "manifest.json").is_file() and (folder / "report.html").is_file()


def _is_shown(folder: Path) -> bool:
    return _is_run(folder) or _is_curation(folder) or any(is_results_file(path) for path in folder.glob(f"*{SUFFIX}"))


def _made(folder: Path) -> str:
    """The page; of what cannot be read, a page that says so."""
    try:
        if _is_curation(folder):
            return (folder / "report.html").read_text(encoding="utf-8")
        if _is_run(folder):
            return run_page([read_run(folder, folder.name)], run_samples(folder, language()), is_followed=True)
        return evaluation_page([evaluated(folder.name, _files(folder))], language(), is_followed=True)
    except (UserError, OSError, ValueError) as error:
        parts = [html.section("This folder cannot be shown", html.finding(str(error), "bad"))]
        scripts = page_assets.scripts(is_followed=True)
        return html.page(folder.name, "", parts, page_assets.style(), scripts, is_followed=True)


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob(f"*{SUFFIX}")) if is_results_file(path)]
