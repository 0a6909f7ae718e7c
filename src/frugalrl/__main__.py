"""`python -m frugalrl`, and the installed command."""

import sys


def run() -> int:
    """The command line; Ctrl-C while it is still being imported ends it without a traceback."""
    try:
        from frugalrl.cli import main
    except KeyboardInterrupt:
        sys.stderr.write("\nfrugalrl: stopped before it started.\n")
        return 130
    return main()


if __name__ == "__main__":
    raise SystemExit(run())
