"""Tables that a command writes into a page of docs/, between two marks, so that no number there is typed."""

from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def put(page: str, name: str, table: str) -> None:
    """Replace the text between the marks ``<!-- NAME -->`` and ``<!-- /NAME -->`` of a page. Exits without marks."""
    path = DOCS / page
    before, opening, rest = path.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    _, closing, after = rest.partition(f"<!-- /{name} -->\n")
    if not opening or not closing:
        raise SystemExit(f"{path} has no marks for {name}: <!-- {name} --> and <!-- /{name} --> on lines of their own.")
    path.write_text(f"{before}{opening}{table}{closing}{after}", encoding="utf-8")
