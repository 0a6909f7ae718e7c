"""A hook of mkdocs: links from a page to files outside docs/ lead to the repository; links inside stay as they are."""

import posixpath
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """The page with absolute links to what the site does not hold."""
    folder = posixpath.dirname(page.file.src_uri)
    place = config["repo_url"].rstrip("/")
    return re.sub(r"\]\(([^)\s]+)\)", lambda link: _outward(link, folder, place), markdown)


def _outward(link: re.Match[str], folder: str, place: str) -> str:
    target, hash_, anchor = link[1].partition("#")
    if not target or "://" in target or target.startswith("mailto:"):
        return link[0]
    path = posixpath.normpath(posixpath.join("docs", folder, target))
    inside = path.startswith("docs/") and not path.endswith(".py")
    if inside and (DOCS.parent / path).is_file():
        return link[0]
    kind = "tree" if (DOCS.parent / path).is_dir() else "blob"
    return f"]({place}/{kind}/main/{path}{hash_}{anchor})"
