"""The frame of a report page and its small parts: values in, HTML out.

Decisions:
- One file without fonts or links: it opens from a disk without a network. A Content-Security-Policy forbids everything
  but the page's own style, and the scripts whose hashes it names, should a text ever escape its escaping.
- Everything passed as text is escaped here; only parameters named `html` or `parts` are taken as markup.
- Wide tables scroll inside their own box, so a phone never scrolls the page sideways.

Not covered: printing.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from html import escape

from frugalrl.reporting.figures import FIGURE_CSS

GENERATOR = "frugalrl report"
"""Stands in every file a report writes; only such files are replaced."""

_CSS = (
    """
:root{color-scheme:light dark;--ground:#fff;--ink:#1b2026;--muted:#55606c;--rule:#dce0e5;--panel:#f5f7f9;
--good:#0b6b3a;--bad:#a8261c;--unsure:#6b5900}
@media(prefers-color-scheme:dark){:root{--ground:#14171b;--ink:#e4e8ec;--muted:#a3adb8;--rule:#333a42;--panel:#1d2228;
--good:#63d396;--bad:#ff9488;--unsure:#e2c65a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:68rem;padding:1.5rem 1rem 4rem;background:var(--ground);color:var(--ink);
font:16px/1.55 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .3rem}h2{font-size:1.2rem;margin:2.4rem 0 .6rem;line-height:1.3}
h3{font-size:1rem;margin:1.2rem 0 .3rem}p{margin:.4rem 0;max-width:46rem}.lead{color:var(--muted)}
.contents{position:sticky;top:0;z-index:3;display:flex;gap:.2rem 1.2rem;margin:.8rem 0 0;padding:.45rem 0;
background:var(--ground);border-bottom:1px solid var(--rule);font-size:.88rem;overflow-x:auto;white-space:nowrap}
.contents a{color:var(--muted);text-decoration:none}.contents a:hover,.contents a:focus{color:var(--ink)}
section{scroll-margin-top:2.6rem}body:has(.legend.pinned) section{scroll-margin-top:5.2rem}
.finding{border-left:4px solid var(--muted);padding:.5rem .9rem;background:var(--panel);margin:.8rem 0;max-width:46rem}
.finding.good{border-color:var(--good)}.finding.bad{border-color:var(--bad)}.finding.unsure{border-color:var(--unsure)}
.scroll{overflow-x:auto;overflow-wrap:normal;margin:.7rem 0}table{border-collapse:collapse;
font-variant-numeric:tabular-nums;font-size:.93rem}
.caption{color:var(--muted);font-size:.93rem;margin:.8rem 0 -.4rem}
th,td{text-align:right;padding:.3rem .7rem;border-bottom:1px solid var(--rule);white-space:nowrap;vertical-align:top}
th:first-child,td:first-child{text-align:left;padding-left:0}
thead th{color:var(--muted);font-weight:600;white-space:normal}
tbody th{font-weight:500}.ci{color:var(--muted);font-size:.82rem;display:block}
.fig.bar{width:5rem;margin-top:.35rem}td .fig.bar{margin-left:auto}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr));
gap:1.4rem 2rem;align-items:end}
figure{margin:0;min-width:0}figcaption{font-weight:600;font-size:.95rem;margin-bottom:.25rem}
figcaption span{display:block;font-weight:400;color:var(--muted);font-size:.84rem}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;padding:0;margin:.6rem 0;font-size:.93rem}
.legend li{display:flex;align-items:center;gap:.5rem}.fig.key{width:2.75rem;flex:none}
.legend.pinned{position:sticky;top:2.2rem;background:var(--ground);padding:.4rem 0;
border-bottom:1px solid var(--rule);z-index:1}
details{border:1px solid var(--rule);border-radius:6px;padding:.45rem .8rem;margin:.5rem 0}summary{cursor:pointer}
pre{white-space:pre-wrap;font:.83rem/1.45 ui-monospace,monospace;background:var(--panel);padding:.7rem;margin:.5rem 0;
max-height:26rem;overflow:auto;border-radius:4px}
.verdict{font-weight:600}.correct{color:var(--good)}.incorrect{color:var(--bad)}.unknown{color:var(--unsure)}
ul.notes{padding-left:1.2rem}:focus-visible{outline:2px solid var(--s0);outline-offset:2px}
"""
    + FIGURE_CSS
    + "@media(max-width:480px){.fig{font-size:14px}th,td{padding:.3rem .45rem}"
    "tbody th{white-space:normal;min-width:6.5rem;overflow-wrap:anywhere}}"
)


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
    body = "\n".join(part for part in parts if part)
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
        f"<title>{escape(title)}</title>\n<style>{_CSS}{style}</style>\n</head>\n<body{wide}>\n"
        f'<header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></header>\n{_contents(body)}'
        f"<main>\n{body}\n</main>\n"
        f"{tail}</body>\n</html>\n"
    )


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def section(heading: str, *parts: str) -> str:
    """A heading and markup under it; what is called alike on a page is one place in its contents."""
    name = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")
    return f'<section id="{name}">\n<h2>{escape(heading)}</h2>\n{"".join(parts)}\n</section>'


_HEADING = re.compile(r'<section id="([a-z0-9-]*)">\n<h2>([^<]*)</h2>')
_FEWEST_LISTED = 3


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
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{one}</td>" for one in row[1:])}</tr>' for row in rows
    )
    above = f'<p class="caption">{escape(caption)}</p>' if caption else ""
    frame = f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption or heads[0] or "table")}">'
    return f"{above}{frame}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def cell(text: str, below: str = "") -> str:
    """A cell's text and, smaller below it, an interval or remark."""
    return escape(text) + (f'<span class="ci">{escape(below)}</span>' if below else "")


def figure(heading: str, remark: str, html: str) -> str:
    """A chart under its caption."""
    return f"<figure><figcaption>{escape(heading)}<span>{escape(remark)}</span></figcaption>{html}</figure>"


def charts(figures: Sequence[str]) -> str:
    return f'<div class="charts">{"".join(figures)}</div>'


def folded(summary_html: str, *parts: str) -> str:
    """Markup that opens on a click."""
    return f"<details><summary>{summary_html}</summary>{''.join(parts)}</details>"


def preformatted(text: str, most_chars: int = 8000) -> str:
    """Preformatted text; of a very long one the beginning, and how much is left out."""
    more = f"\n... {len(text) - most_chars:,} more characters" if len(text) > most_chars else ""
    return f'<pre tabindex="0">{escape(text[:most_chars] + more)}</pre>'
