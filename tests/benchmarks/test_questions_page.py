"""docs/what-works.md shows what the record has, and says nothing of it that the record lacks."""

import json
import re
from xml.etree import ElementTree

import question_power
import question_prompts
import questions
from doc_tables import DOCS
from question_arms import QUESTIONS
from question_verdicts import by_arm

PAGE = (DOCS / "what-works.md").read_text(encoding="utf-8")
DECIMAL = re.compile(r"(?<![\w.])[+-]?\d+\.\d+(?![\w.]*\d)")


MARKED = re.compile(r"<!-- ([a-z -]+) -->\n(.*?)<!-- /\1 -->\n", re.DOTALL)
SHOWN = {found[1]: found[2] for found in MARKED.finditer(PAGE)}


def test_the_page_shows_what_the_record_has():
    rows = [json.loads(line) for line in questions.RECORD.read_text(encoding="utf-8").splitlines()]
    texts, figures = questions.tables(rows)
    for name, text in texts.items():
        assert SHOWN[name] == text, name
    for name, figure in figures.items():
        assert drawn((DOCS / "figures" / name).read_text(encoding="utf-8")) == drawn(figure), name
    runs = by_arm(rows)
    noise = json.loads(question_power.NOISE.read_text(encoding="utf-8"))
    found = question_power.spreads(runs, noise["variance_of_a_sample"] / noise["problems"])
    assert SHOWN["power"] == question_power.spread_table(found)
    prompts = question_prompts.PROMPTS
    known = prompts.is_file()
    shown = question_prompts.prompt_table(json.loads(prompts.read_text(encoding="utf-8"))) if known else ""
    assert SHOWN["prompts"] == shown


def drawn(figure):
    """What is written in it, in order: titles, labels, ticks. Style and layout are shared with other figures."""
    return [one.text for one in ElementTree.fromstring(figure).iter() if one.tag.endswith(("title", "text"))]


def decimals(text):
    return {one.lstrip("+-") for one in DECIMAL.findall(text)}


def test_what_is_said_of_a_question_has_no_number_that_its_tables_lack():
    sections = PAGE.partition("## The open questions, one by one\n")[2].partition("\n## ")[0].split("\n### ")
    assert len(sections) > len(QUESTIONS), "one for each, and an introduction"
    said = 0
    for section in sections:
        tables = "".join(found[2] for found in MARKED.finditer(section))
        prose = MARKED.sub("", section).replace("1.5B", "")
        said += len(decimals(prose))
        assert decimals(prose) <= decimals(tables), section.splitlines()[0]
    assert said > 5


def test_intervals_in_the_readme_and_in_recipes_are_those_of_the_page():
    root = DOCS.parent
    texts = [
        (root / "README.md").read_text(encoding="utf-8").partition("**What works, in five lines**")[2][:1500],
        *((root / "recipes" / name).read_text(encoding="utf-8") for name in ("frugal.yaml", "mini/best.yaml")),
    ]
    stated = [one for text in texts for one in re.findall(r"\[[+-][\d.]+, [+-][\d.]+\]", text)]
    assert stated
    assert {one for one in stated if one not in PAGE} == set()
