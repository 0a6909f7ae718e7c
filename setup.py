"""The long description for a package index: README.md with links that lead somewhere outside a checkout."""

import re
from pathlib import Path

from setuptools import setup

PAGES = "https://github.com/frugalrl/frugalrl/blob/main/"
FOLDERS = "https://github.com/frugalrl/frugalrl/tree/main/"


def absolute(link: re.Match[str]) -> str:
    """A relative link as an absolute one; others as they are."""
    target = link[1]
    if target.startswith(("http://", "https://", "mailto:", "#")):
        return link[0]
    path = target.partition("#")[0]
    return f"]({FOLDERS if (Path(__file__).parent / path).is_dir() else PAGES}{target})"


readme = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
setup(
    long_description=re.sub(r"\]\(([^)\s]+)\)", absolute, readme),
    long_description_content_type="text/markdown",
)
