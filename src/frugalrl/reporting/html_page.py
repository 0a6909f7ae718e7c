"""The frame of a report page and its small parts: values in, HTML out.

Decisions:
- One file without fonts or links: it opens from a disk without a network. A Content-Security-Policy forbids everything
  but the page's own style, and the scripts whose hashes it names, should a text ever escape its escaping.
- Everything passed as text is escaped here; only parameters named `html` or `parts` are taken as markup.
- Wide tables scroll inside their own box; on a phone each row of one stands as a list of its cells, so that nothing
  is out of sight. Columns of words are aligned to the left, columns of numbers to the right.
"""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from html import escape

from frugalrl.reporting.page_style import PAGE_CSS

GENERATOR = "frugalrl report"
"""Stands in every file a report writes; only such files are replaced."""


def page(
    title: str,
    lead: str,
    parts: Sequence[str],
    style: str = "",
    scripts: Sequence[str] = (),
    is_followed: bool = False,
) -> str:
    """A whole HTML document.

    parts: markup, each a section. style: added to the page's own. scripts: of ours, run after the page is there.
    is_followed: the page may ask the server that it came from for its next state.
    """
    body = _told_apart("\n".join(part for part in parts if part))
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    policy = "default-src 'none'; style-src 'unsafe-inline'" + (
        f"; img-src data:; script-src {hashes}" if hashes else ""
    )
    policy += "; connect-src 'self'" if is_followed else ""
    tail = "".join(f"<script>{script}</script>\n" for script in scripts)
    wide = ' class="wide"' if scripts else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="generator" content="{GENERATOR}">\n'
        f"<title>{escape(title)}</title>\n<style>{PAGE_CSS}{style}</style>\n</head>\n<body{wide}>\n"
        f'<a class="skip" href="#main">to the content</a>\n<header><h1>{escape(title)}</h1>'
        + (f'<p class="lead">{escape(lead)}</p>' if lead else "")
        + f'</header>\n{_contents(body)}<main id="main">\n{body}\n</main>\n{tail}</body>\n</html>\n'
    )


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


_TAKEN = ("", "main", "samples")
"""Ids of other parts of a page."""


def section(heading: str, *parts: str) -> str:
    """A heading and markup under it."""
    name = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")
    name = f"section-{name}".rstrip("-") if name in _TAKEN else name
    return f'<section id="{name}">\n<h2>{escape(heading)}</h2>\n{"".join(parts)}\n</section>'


_HEADING = re.compile(r'<section id="([a-z0-9-]*)">\n<h2>([^<]*)</h2>')
_FEWEST_LISTED = 3


def _told_apart(body: str) -> str:
    """The same with sections of one name numbered: an id stands once on a page."""
    seen = Counter[str]()

    def numbered(found: re.Match[str]) -> str:
        seen[found[1]] += 1
        number = f"-{seen[found[1]]}" if seen[found[1]] > 1 else ""
        return f'<section id="{found[1]}{number}">\n<h2>{found[2]}</h2>'

    return _HEADING.sub(numbered, body)


def _contents(body: str) -> str:
    """Links to the sections, where there are several."""
    found = dict(_HEADING.findall(body))
    if len(found) < _FEWEST_LISTED:
        return ""
    links = "".join(f'<a href="#{name}">{heading}</a>' for name, heading in found.items())
    return f'<nav class="contents" aria-label="on this page">{links}</nav>\n'


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def finding(text: str, kind: str = "") -> str:
    """A sentence that matters. kind: good, bad or unsure; the words say the same as the colour."""
    return f'<p class="finding {kind}">{escape(text)}</p>'


def notes(sentences: Sequence[str]) -> str:
    return f'<ul class="notes">{"".join(f"<li>{escape(one)}</li>" for one in sentences)}</ul>' if sentences else ""


def html_table(heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table of markup cells (make text safe with `cell`); the first cell of a row is its heading."""
    kinds = ["" if all(_is_number(row[at]) for row in rows) else ' class="words"' for at in range(len(heads))]
    head = "".join(f'<th scope="col"{kind}>{escape(one)}</th>' for one, kind in zip(heads, kinds, strict=True))
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f'<td{kinds[at]} data-head="{escape(heads[at])}">{row[at]}</td>' for at in range(1, len(row)))
        + "</tr>"
        for row in rows
    )
    above = f'<p class="caption">{escape(caption)}</p>' if caption else ""
    frame = f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption or heads[0] or "table")}">'
    return f"{above}{frame}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


_MARKUP = re.compile(r'<span class="ci">.*?</span>|<svg.*?</svg>|<[^>]*>', re.DOTALL)
_NUMBER = re.compile(
    r"(?:at least )?[-+–−$]?[\d.,]*(?: ?(?:%|points|h|x|s|min|GB|MB))?(?: \([\d.,]+ %\))?|(?:\d+[hms])+"
)


def _is_number(cell_html: str) -> bool:
    """Whether a cell holds a number with its unit, a dash, or nothing."""
    return _NUMBER.fullmatch(_MARKUP.sub("", cell_html).strip()) is not None


def cell(text: str, below: str = "") -> str:
    """A cell's text and, smaller below it, an interval or remark."""
    return escape(text) + (f'<span class="ci">{escape(below)}</span>' if below else "")


def figure(heading: str, remark: str, html: str) -> str:
    """A chart under its caption."""
    said = f"<span>{escape(remark)}</span>" if remark else ""
    return f'<figure><figcaption>{escape(heading)}{said}</figcaption><div class="drawn">{html}</div></figure>'


def charts(figures: Sequence[str]) -> str:
    return f'<div class="charts">{"".join(figures)}</div>'


def cards(bodies: Sequence[tuple[str, str, str]]) -> str:
    """Small boxes at the top of a page: a heading, a number that matters, a remark below it."""
    boxes = [
        f'<article class="card"><h3>{escape(heading)}</h3><p class="score"><b>{escape(number)}</b></p>'
        f'<p class="about">{escape(remark)}</p></article>'
        for heading, number, remark in bodies
    ]
    return f'<div class="cards">{"".join(boxes)}</div>'


def beside(*parts: str) -> str:
    """Parts side by side where there is room: a figure and its table."""
    return f'<div class="beside">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def folded(summary_html: str, *parts: str) -> str:
    """Markup that opens on a click."""
    return f"<details><summary>{summary_html}</summary>{''.join(parts)}</details>"


def preformatted(text: str, most_chars: int = 8000) -> str:
    """Preformatted text; of a very long one the beginning, and how much is left out."""
    more = f"\n... {len(text) - most_chars:,} more characters" if len(text) > most_chars else ""
    return f'<pre tabindex="0">{escape(text[:most_chars] + more)}</pre>'
