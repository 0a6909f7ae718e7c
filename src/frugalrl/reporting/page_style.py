"""The style of every page: colours for light and dark, measures, tables, figures, print.

Decisions:
- Text has a contrast of at least 4.5 to 1 to what it stands on, lines of figures and edges of controls 3 to 1.
- Green, red and yellow mean good, bad and undecided, and nothing else; a sign or a word always says the same.
- The contents wrap, and what is pinned below them stands under as many lines as they have (`--bar`, set by the script).
- From 560 px down a table's rows stand as lists of their cells, and the contents scroll away.
- Paper is light, and folded parts that matter in print are the reader's to open first.
"""

from frugalrl.reporting.figures import DARK_CSS, FIGURE_CSS

_LIGHT = """--ground:#fff;--ink:#1b2026;--muted:#55606c;--rule:#dce0e5;--edge:#7d8894;--panel:#f5f7f9;
--good:#0b6b3a;--bad:#a8261c;--unsure:#6b5900;--accent:#0b62a8"""
_DARK = """--ground:#14171b;--ink:#e4e8ec;--muted:#a3adb8;--rule:#333a42;--edge:#717c88;--panel:#1d2228;
--good:#63d396;--bad:#ff9488;--unsure:#e2c65a;--accent:#6cb6ff"""

PAGE_CSS = (
    f":root{{color-scheme:light dark;{_LIGHT}}}@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}}}}}"
    + """
*{box-sizing:border-box}
html{scroll-padding-top:calc(var(--bar,3.8rem) + .65rem)}
html:has(.legend.pinned){scroll-padding-top:calc(var(--bar,3.8rem) + 4.15rem)}
body{margin:0 auto;max-width:68rem;padding:1.5rem 1rem 4rem;background:var(--ground);color:var(--ink);
font:16px/1.55 system-ui,sans-serif;overflow-wrap:anywhere;-webkit-text-size-adjust:100%}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .3rem}h2{font-size:1.2rem;margin:2.4rem 0 .6rem;line-height:1.3}
h3{font-size:1rem;margin:1.2rem 0 .3rem}p{margin:.4rem 0;max-width:46rem}.lead{color:var(--muted)}
a{color:var(--accent)}
.contents{position:sticky;top:0;z-index:3;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:.8rem 0 0;
padding:.45rem 0;background:var(--ground);border-bottom:1px solid var(--rule);font-size:.88rem}
.contents a{color:var(--muted);text-decoration:none;white-space:nowrap;padding:.1rem 0;
border-bottom:2px solid transparent}
.contents a:hover,.contents a:focus,.contents a[aria-current]{color:var(--ink)}
.contents a[aria-current]{border-color:var(--accent)}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:.5rem;z-index:9;background:var(--ground);padding:.3rem .6rem}
.finding{border-left:4px solid var(--muted);padding:.5rem .9rem;background:var(--panel);margin:.8rem 0;max-width:46rem}
.finding.good{border-color:var(--good)}.finding.bad{border-color:var(--bad)}.finding.unsure{border-color:var(--unsure)}
.badge{display:inline-block;font-size:.8rem;font-weight:600;line-height:1.4;padding:.05rem .5rem;white-space:nowrap;
border:1px solid currentColor;border-radius:1rem;color:var(--muted)}
.badge.good{color:var(--good)}.badge.bad{color:var(--bad)}.badge.unsure{color:var(--unsure)}
.scroll{overflow-x:auto;overflow-wrap:normal;margin:.7rem 0}table{border-collapse:collapse;
font-variant-numeric:tabular-nums;font-size:.93rem}
.caption{color:var(--muted);font-size:.93rem;margin:.8rem 0 -.4rem}
th,td{text-align:right;padding:.3rem .7rem;border-bottom:1px solid var(--rule);white-space:nowrap;vertical-align:top}
th.words,td.words{text-align:left}td.words{white-space:normal;min-width:8rem;max-width:44rem;overflow-wrap:anywhere}
th:first-child,td:first-child{text-align:left;padding-left:0}
thead th{color:var(--muted);font-weight:600;white-space:normal;vertical-align:bottom}
tbody th{font-weight:500;white-space:normal;min-width:7rem;max-width:30rem;overflow-wrap:anywhere}
tbody tr:hover{background:var(--panel)}
.ci{color:var(--muted);font-size:.82rem;display:block}
.fig.bar{width:5rem;margin-top:.35rem}td .fig.bar{margin-left:auto}td.words .fig.bar{margin-left:0}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr));
gap:1.6rem 2rem;align-items:start}
figure{margin:0;min-width:0}.charts figure{display:grid;grid-template-rows:subgrid;grid-row:span 2;row-gap:0}
.drawn{min-width:0}figcaption{font-weight:600;font-size:.95rem;margin-bottom:.25rem}
figcaption span{display:block;font-weight:400;color:var(--muted);font-size:.84rem}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;padding:0;margin:.6rem 0;font-size:.93rem}
.legend li{display:flex;align-items:center;gap:.5rem}.fig.key{width:2.75rem;flex:none}
.legend.pinned{position:sticky;top:var(--bar,2.35rem);background:var(--ground);padding:.4rem 0;
border-bottom:1px solid var(--rule);z-index:1;max-height:30vh;overflow:auto}
details{border:1px solid var(--rule);border-radius:6px;padding:.45rem .8rem;margin:.5rem 0}
summary{cursor:pointer}summary:hover{color:var(--accent)}
details.numbers{border:0;padding:0;margin:.2rem 0;font-size:.8rem;color:var(--muted)}
details.numbers[open]{max-height:16rem;overflow:auto}
details.numbers thead th{position:sticky;top:0;background:var(--ground)}
pre{white-space:pre-wrap;font:.83rem/1.45 ui-monospace,monospace;background:var(--panel);padding:.7rem;margin:.5rem 0;
max-height:26rem;overflow:auto;border-radius:4px}
.verdict{font-weight:600}.correct{color:var(--good)}.incorrect{color:var(--bad)}.unknown{color:var(--unsure)}
ul.notes{padding-left:1.2rem;max-width:70rem}:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
"""
    + FIGURE_CSS
    + DARK_CSS
    + """
@media(max-width:560px){.fig{font-size:14px}.contents{position:static}.contents a{white-space:normal}
html,html:has(.legend.pinned){scroll-padding-top:.5rem}.legend.pinned{position:static;max-height:none}
.scroll thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
.scroll table,.scroll tbody,.scroll tr{display:block}.scroll tr{border-bottom:1px solid var(--rule);padding:.4rem 0}
.scroll tbody th{display:block;border:0;padding:.1rem 0;max-width:none;font-weight:600}
.scroll td{display:flex;justify-content:space-between;gap:1rem;border:0;padding:.1rem 0;white-space:normal;
text-align:right;max-width:none;min-width:0}.scroll td.words{text-align:right}.scroll td:empty{display:none}
.scroll td::before{content:attr(data-head);color:var(--muted);text-align:left;flex:none;max-width:50%;margin-right:auto}
.scroll td .ci{align-self:center}}
@media print{body{max-width:none;padding:0!important;font-size:11pt}.legend.pinned{position:static}pre{max-height:none}
.contents,.tools,.live,.skip,.tip,details.numbers:not([open]),section:has(>#samples){display:none!important}
figure,tr,.finding,.card{break-inside:avoid}h2,h3{break-after:avoid}
.charts,.cards,.cards.broad{grid-template-columns:repeat(2,1fr)!important}.scroll{overflow:visible}table{font-size:9pt}
.finding,.card{background:none}td.words{min-width:0}th,td{padding:.15rem .4rem;white-space:normal}}
"""
)
