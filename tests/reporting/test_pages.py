"""Pages with every sample: what is packed comes out again, nothing a model wrote comes alive, formulas are MathML."""

import base64
import gzip
import json
import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest

from frugalrl.cli import main
from frugalrl.errors import OutputError
from frugalrl.evaluation.records import ProblemRecord, SampleRecord
from frugalrl.evaluation.results import Results, ResultsHeader
from frugalrl.reporting import html_page as html
from frugalrl.reporting.bar_figures import Bars, Interval, bar_chart, interval_chart, length_bins
from frugalrl.reporting.evaluation_page import evaluation_page, score_of_results
from frugalrl.reporting.evaluation_samples import Evaluated, language_of
from frugalrl.reporting.mathml import mathml
from frugalrl.reporting.page_style import PAGE_CSS
from frugalrl.reporting.pages import write_page
from frugalrl.reporting.sample_browser import Samples, ShownProblem, ShownSample, formulas_in, sample_browser
from frugalrl.reporting.score_page import score_page
from frugalrl.text.language_id import load_identifier
from tests.conftest import write_jsonl

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)> $\\text{<img src=x onerror=alert(3)>}$"
HEADER = ResultsHeader("math", "m", None, "h", "p", "d", 0.6, 0.95, 64, 0, "float32", "0.1.0", "0.9.0", 2.0, 2, "v")


def verdict(right):
    return "correct" if right else "incorrect"


def results(problems=4, k=2, text="So $x^2$.</think> \\boxed{4}", skill=2):
    samples = [
        SampleRecord(
            f"p{n}",
            i,
            i,
            10 * n + 5,
            "length" if i else "stop",
            "4",
            "correct" if n < skill else "incorrect",
            "r",
            text,
        )
        for n in range(problems)
        for i in range(k)
    ]
    known = {
        f"p{n}": ProblemRecord(f"p{n}", f"What is {n}? {EVIL}", "$4$", columns={"level": n % 2, "subject": EVIL})
        for n in range(problems)
    }
    return Results(HEADER, tuple(samples), ({"device": "cpu"},), known)


def unpacked(page, name):
    (data,) = re.findall(rf'<script type="application/json\+gzip" id="{name}">([^<]*)</script>', page)
    return json.loads(gzip.decompress(base64.b64decode(data)))


def test_every_sample_is_in_the_page_with_its_problem_and_its_text():
    page = evaluation_page([Evaluated("a", (results(),)), Evaluated("b", (results(skill=4),))], lambda text: "zh")
    index = unpacked(page, "samples-index")
    assert (index["sources"], index["tags"], index["chunks"]) == (["a", "b"], ["level"], 1)
    columns = index["samples"]
    assert len(columns["p"]) == 16
    assert [(columns["p"][at], columns["s"][at], columns["n"][at]) for at in range(4)] == [
        (0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1),
    ]  # fmt: skip
    assert set(columns["l"]) == {"zh"}
    assert [columns["c"][0], columns["c"][1]] == [0, 1]
    assert index["problems"][2]["x"].startswith("What is 2?")
    assert unpacked(page, "samples-text-0")["t"][0] == "So $x^2$.</think> \\boxed{4}"
    assert "x^2" in unpacked(page, "samples-text-0")["m"]
    assert "<math" in index["maths"]["4"]


def test_nothing_a_model_or_a_data_set_wrote_comes_alive():
    page = evaluation_page([Evaluated(EVIL, (results(text=EVIL),))], lambda text: EVIL, [EVIL])
    ours = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(ours) == 2
    assert all("alert(" not in script for script in ours)
    assert "<img" not in page
    assert "default-src 'none'" in page
    assert "unsafe-inline'; img-src data:; script-src 'sha256-" in page
    assert "http:" not in re.sub(r"http://www.w3.org/[A-Za-z0-9/]+", "", page)
    made = {**unpacked(page, "samples-index")["maths"], **unpacked(page, "samples-text-0")["m"]}
    assert all("<img" not in one and "onerror" not in one for one in made.values())


@pytest.mark.parametrize(
    "latex",
    [
        "\\text{<img src=x onerror=alert(1)>}",
        "\\href{javascript:alert(1)}{x}",
        "\\frac{",
        "^",
        "\\unknown{a}",
        "x" * 2000,
    ],
)
def test_what_is_no_formula_stays_as_it_was_written(latex):
    assert mathml(latex) is None


def test_formulas_become_mathml_and_nothing_else():
    for latex in ("\\frac{1}{2}", "\\boxed{5}", "x \\lt 3", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "<script>"):
        made = mathml(latex)
        assert made is not None
        assert {node.tag for node in ElementTree.fromstring(made).iter()} <= {
            "math", "mrow", "mfrac", "mn", "mi", "mo", "menclose", "mtable", "mtr", "mtd",
        }  # fmt: skip
    assert list(formulas_in("$a$ and \\(b\\), \\[c\\] $$d$$; $5 and 7")) == ["a", "b", "c", "d"]
    assert list(formulas_in("It is \\boxed{\\frac{1}{2}}. \\boxed{")) == ["\\boxed{\\frac{1}{2}}"]


def test_long_texts_lie_in_several_chunks():
    samples = tuple(ShownSample(0, 0, n, "correct", "", 9, False, None, f"{n}" * 400_000) for n in range(9))
    page = sample_browser(Samples(("m",), "model", (ShownProblem("p", "b", "t", "g"),), samples), lambda tex: None)
    index = unpacked(page, "samples-index")
    assert index["chunks"] == 3
    for at in range(9):
        chunk, offset = index["samples"]["h"][at], index["samples"]["o"][at]
        assert unpacked(page, f"samples-text-{chunk}")["t"][offset][0] == str(at)


def test_other_languages_are_named():
    language = language_of(load_identifier())
    assert language("We add the two numbers, and the sum of both is twelve. So the answer is 12.") == ""
    assert language("Let us see. 我们需要计算两个数的和，然后再检查一遍答案是否正确。") == "zh"


def test_figures_say_their_values_as_tooltips_and_as_tables():
    chart = interval_chart("A & B", [Interval("<b>", 0.5, 0.4, 0.6), Interval("c", 0.7, 0.65, 0.8, 1)])
    svg, table = chart.split("<details", 1)
    assert [node.text for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}title")] == [
        "A & B", "<b>: 50.0 % [40.0 %, 60.0 %]", "c: 70.0 % [65.0 %, 80.0 %]",
    ]  # fmt: skip
    assert " ".join(re.findall(r"<td>([\d.]+)</td>", table)) == "50.00 40.00 60.00 70.00 65.00 80.00"
    bars = bar_chart("B", ["0", "10"], [Bars("right", [3, 1]), Bars("wrong", [1, 0], 1)], "tokens")
    key, svg = bars.split("<details")[0].split("</ul>")
    assert key.index("wrong") < key.index("right"), "as in the figure, from above"
    ElementTree.fromstring(svg)
    assert "<title>0, right: 3</title>" in bars
    shared = interval_chart("S", [Interval("a", 0.5, 0.4, 0.6, 0, "m"), Interval("a", 0.7, float("nan"), 1.0, 1, "n")])
    assert shared.count(">a</text>") == 1, "two rows of one label stand beside it together"
    assert "<title>a, n: 70.0 %</title>" in shared
    edges, labels = length_bins([3, 950])
    assert (edges[0], edges[-1] > 950, len(labels) <= 15) == (0, True, True)


def test_the_score_of_a_file_is_that_of_its_samples():
    found = score_of_results(results())
    assert (found.accuracy.value, found.problems, found.samples, found.max_completion_tokens) == (0.5, 4, 2, 64)
    assert [(part.column, part.value, part.accuracy.value) for part in found.parts] == [
        ("level", "0", 0.5), ("level", "1", 0.5),
    ]  # fmt: skip


def test_only_our_own_pages_are_replaced(tmp_path):
    page = evaluation_page([Evaluated("a", (results(),))], lambda text: "")
    assert write_page(write_page(tmp_path / "a.html", page), page).read_text() == page
    (tmp_path / "b.html").write_text("somebody's")
    with pytest.raises(OutputError, match="is not a report"):
        write_page(tmp_path / "b.html", page)
    with pytest.raises(OutputError, match=r"does not end in \.html"):
        write_page(tmp_path / "b.txt", page)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium here")
def test_a_browser_unpacks_lists_and_shows_the_samples(tmp_path):
    text = f"{EVIL} </think> So $x^2$. {EVIL}"
    models = [Evaluated("a", (results(text=text),)), Evaluated("b", (results(text=text, skill=4),))]
    (tmp_path / "page.html").write_text(evaluation_page(models, lambda text: ""))
    command = [
        "chromium",
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=4000",
        "--dump-dom",
    ]
    url = f"file://{tmp_path}/page.html#sample-5"
    done = subprocess.run(
        [*command, f"--user-data-dir={tmp_path}/profile", url], capture_output=True, text=True, timeout=60, check=False
    )
    shown = done.stdout
    assert "16 of 16 samples, 75.0 % correct" in shown
    assert shown.count('role="option"') == 16
    assert 'class="row on"' in shown
    assert "<msup>" in shown, "the answer's formula"
    assert "<img" not in shown
    assert "better (8)" in shown
    assert shown.count('class="tools"') >= 3


def test_scored_rows_have_a_page_with_their_rewards(tmp_path, capsys):
    rows = [
        {"problem": "1+1?", "completion": "\\boxed{2}", "gold": "2", "level": 1},
        {"problem": "1+1?", "completion": [{"role": "assistant", "content": "\\boxed{3}"}], "gold": "2"},
        {"problem": "2+2?", "completion": EVIL, "gold": ["4", "four"]},
    ]
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    page = tmp_path / "rows.html"
    out = ["--out", str(tmp_path / "out.jsonl"), "--page", str(page)]
    assert main(["score", str(file), "--reward", "accuracy,format", *out]) == 0
    assert f"Page: {page}" in capsys.readouterr().out
    index = unpacked(page.read_text(), "samples-index")
    assert [one["g"] for one in index["problems"]] == ["2", "4 or four"]
    assert index["samples"]["v"] == ["correct", "incorrect", "incorrect"]
    assert index["samples"]["n"] == [0, 1, 0]
    assert index["samples"]["f"][0]["accuracy"] == 1.0
    assert "<img" not in page.read_text()


def test_tables_align_words_to_the_left_and_name_their_cells_for_a_phone():
    rows = [["a", html.cell("46.7 %", "[39.0, 54.5]"), "2,024", "different"], ["b", "–", "", "<b>7</b>"]]
    table = html.html_table(["run", "accuracy", "n", 'why "so"'], rows)
    assert re.findall(r"<td([^>]*)>", table)[:3] == [
        ' data-head="accuracy"', ' data-head="n"', ' class="words" data-head="why &quot;so&quot;"',
    ]  # fmt: skip
    assert re.findall(r'<th scope="col"([^>]*)>', table) == [' class="words"', "", "", ' class="words"']


def test_every_id_stands_once_and_every_link_within_a_page_leads_somewhere():
    parts = [html.section(name) for name in ("Samples", "Costs", "Costs", "样本", "模型")]
    page = html.page("t", "", parts)
    ids = re.findall(r' id="([^"]*)"', page)
    assert ids == ["main", "section-samples", "costs", "costs-2", "section", "section-2"]
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(ids)


def luminance(colour):
    digits = colour if len(colour) == 6 else "".join(2 * digit for digit in colour)
    values = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(first, second):
    """WCAG 2's ratio of two colours."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_told_from_what_they_stand_on_in_light_and_dark():
    assert round(contrast("767676", "fff"), 2) == 4.54, "the grey that the guideline's readers quote"
    found = re.findall(r"--([a-z]+\d?):#([0-9a-f]{6}|[0-9a-f]{3})\b", PAGE_CSS)
    names = [name for name, _ in found]
    assert names.count("ground") == names.count("s5") == 2
    for at in (0, 1):
        own = {name: [colour for other, colour in found if other == name][at] for name in names}
        for ground in (own["ground"], own["panel"]):
            for name in ("ink", "muted", "good", "bad", "unsure", "accent"):
                assert contrast(own[name], ground) >= 4.5, (at, name)
            for name in ("edge", *(f"s{slot}" for slot in range(6))):
                assert contrast(own[name], ground) >= 3, (at, name)


def test_rewards_that_are_no_numbers_do_not_break_a_page():
    rewards = (1.0, float("nan"), float("inf"))
    samples = tuple(
        ShownSample(0, 0, n, "correct", "", 9, False, None, "t", reward=value, terms={"a": value})
        for n, value in enumerate(rewards)
    )
    page = sample_browser(Samples(("m",), "model", (ShownProblem("p", "b", "t", "g"),), samples), lambda tex: None)
    columns = unpacked(page, "samples-index")["samples"]
    assert columns["w"] == [1.0, "nan", "inf"]
    assert columns["f"] == [{"a": 1.0}, {"a": "nan"}, {"a": "inf"}]


def test_pages_of_nothing_and_of_one_sample_open():
    assert "No row." in score_page("a.jsonl", [], ["accuracy"], "0 rows", lambda text: "")
    assert unpacked(evaluation_page([Evaluated("a", ())], lambda text: ""), "samples-index")["problems"] == []
    one = evaluation_page([Evaluated("a", (results(problems=1, k=1),))], lambda text: "")
    assert len(unpacked(one, "samples-index")["samples"]["p"]) == 1


def test_bars_beside_each_other_share_a_bin():
    shown = bar_chart("B", ["0", "1"], [Bars("a", [3, 1], 0), Bars("b", [2, 2], 1)], beside=True)
    places = [(float(x), float(width)) for x, width in re.findall(r'x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', shown)]
    (first, wide), (second, _) = places[:2]
    assert second == pytest.approx(first + wide, abs=0.11)
    assert '<path class="grid"' in shown
    assert ">3</text>" in shown
    assert ">5</text>" not in shown, "the axis ends above the highest bar, not above their sum"
