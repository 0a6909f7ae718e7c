"""`frugalrl view FOLDER`: the page of a run or evaluation in the browser, which follows one that is going on."""

import argparse
from pathlib import Path
from typing import Any

from frugalrl.commands.running import show


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "view",
        help="a run or evaluation in the browser, live while it is going on",
        description="Serve the page of a run, of an evaluation, or of a folder of them, on this machine only. A page "
        "of something that is going on takes over what is new; filters and place stay.",
    )
    parser.add_argument("folder", type=Path, help="a run's folder, results of `frugalrl eval`, or a folder of these")
    parser.add_argument("--port", type=int, default=8765, help="on the loopback address (default: 8765; 0: a free one)")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C. Raises UserErrors for a folder without pages, or a port that is taken."""
    from frugalrl.reporting.viewer import server

    with server(arguments.folder, arguments.port) as serving:
        show(f"http://127.0.0.1:{serving.server_address[1]}/  (Ctrl-C ends it)")
        try:
            serving.serve_forever()
        except KeyboardInterrupt:
            show("")
    return 0
