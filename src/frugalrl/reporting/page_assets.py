"""What a page with samples carries inside: style and scripts from `assets/page`, read once."""

import functools
from importlib import resources

BROWSER, FIGURES, FOLLOW = "browser.js", "figures.js", "follow.js"
_STYLE = "browser.css"


@functools.cache
def asset(name: str) -> str:
    """A file of `assets/page`."""
    return (resources.files("frugalrl") / "assets" / "page" / name).read_text(encoding="utf-8")


def style() -> str:
    """The style of pages with samples, after that of every page."""
    return asset(_STYLE)


def figure_scripts() -> tuple[str, ...]:
    """The scripts of pages with figures and no samples."""
    return (asset(FIGURES),)


def scripts(is_followed: bool = False) -> tuple[str, ...]:
    """The scripts of pages with samples, in order. is_followed: with the one that asks the server for what is new."""
    return asset(FIGURES), asset(BROWSER), *((asset(FOLLOW),) if is_followed else ())
