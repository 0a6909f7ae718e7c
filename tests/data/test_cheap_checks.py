"""The cheap checks in front of dear patterns change no outcome: against the patterns alone, on hostile texts."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.curation.ledger import exhausted, read_part, write_part
from frugalrl.curation.records import Deciding, Decision, Ending, ledger_line
from frugalrl.data import answer_options, question_rules, statements
from frugalrl.data.decontamination import build_index, find_overlap
from frugalrl.data.duplicates import near_duplicate_matches
from frugalrl.data.normalise import with_blank_figures, without_figures, words
from frugalrl.data.prompt_language import prompt_language
from frugalrl.data.statements import read_statement
from frugalrl.text.prose import sentences_of
from frugalrl.text.scripts import script_counts

GUARDED = [
    (question_rules._IMAGE, question_rules._IMAGE_HINTS),
    (question_rules._PROVE, question_rules._PROVE_HINTS),
    (question_rules._FIGURE, question_rules._FIGURE_HINTS),
]
PIECES = """Prove|that|show|SHOW that|ſhow that|disprove|or|Demonstrate that|verify that|establish that|give a proof
given|shown|depicted|pictured|graphed|illustrated|drawn|marked|in|on|the|following|accompanying|this|see|above|below
shows|at right|to the left|is|are|as|figure|Figures|diagram|picture|graph|ılluſtration|illustration|drawing|sketch|chart
pie chart|bar graph|histogram|image|maps|Fig. 3|fig.7|FIGURE 2|![](a.png)|\\includegraphics|<img src=a>|[img]|https://a.b/c.PNG
http://a/images/b|What is $x$?|.|,|:|(|)|*|A|B|C|(A)|(B)|(C)|A.|B.|C.|A)|B)|C)|[A]|[B]|[C]|\\textbf{(A)}
[asy] A B C [/asy]|7|é"""
BETWEEN = st.sampled_from([" ", "\n", "  "])
TEXTS = st.builds(str.join, BETWEEN, st.lists(st.sampled_from(PIECES.replace("\n", "|").split("|")), max_size=14))


@given(TEXTS)
def test_a_text_without_a_hint_has_no_match_of_the_pattern_behind_it(text: str) -> None:
    for pattern, hints in GUARDED:
        plain, guarded = pattern.search(text), question_rules._search(pattern, text, hints)
        assert (guarded and guarded.span()) == (plain and plain.span())


@pytest.mark.parametrize("text", ["The graph as ſhown below", "PICTURED ABOVE", "see fıgure", "See the DIAGRAM"])
def test_letters_that_a_pattern_takes_for_others_are_left_to_the_pattern(text: str) -> None:
    plain = question_rules._FIGURE.search(text)
    guarded = question_rules._search(question_rules._FIGURE, text, question_rules._FIGURE_HINTS)
    assert (guarded and guarded.span()) == (plain and plain.span())


@given(TEXTS)
def test_drawing_code_is_asked_for_after_the_words_and_the_outcome_is_that_of_asking_first(text: str) -> None:
    has_drawing = question_rules._DRAWING.search(text) is not None
    refers = question_rules._FIGURE.search(text) is not None
    assert (question_rules._needs_figure(text, True) is not None) == (refers and not has_drawing)


@given(TEXTS)
def test_options_start_where_the_patterns_alone_say(text: str) -> None:
    expected = None
    blanked = with_blank_figures(text)
    for kind in answer_options._PATTERNS:
        at, start = 0, None
        for letter in kind:
            found = letter.search(blanked, at)
            if found is None:
                break
            start, at = found.start() if start is None else start, found.end()
        else:
            expected = start
            break
    assert answer_options.options_start(text) == expected


@given(st.text(st.characters(max_codepoint=127)))
def test_latin_letters_of_an_ascii_text_are_a_to_z(text: str) -> None:
    count = len(re.findall("[A-Za-z]", text))
    assert script_counts(text) == ({"latin": count} if count else {})


@given(st.one_of(TEXTS, st.text()))
def test_a_text_without_sentences_has_no_language(text: str) -> None:
    if not sentences_of(without_figures(text)):
        assert prompt_language(text, lambda sentence: ("fr", 1.0)) == ("unknown", 0.0)


GIST_TOKENS = st.sampled_from(
    [
        "a",
        "s",
        "i",
        "x",
        "of",
        "the",
        "find",
        "numbers",
        "minimum",
        "choices",
        "zeros",
        "classes",
        "buses",
        "squares",
        "+",
        "3",
        "(",
        ")",
        "=",
    ]
)


@given(st.lists(GIST_TOKENS, max_size=12))
def test_a_gist_is_synonyms_then_fillers_out_then_endings_off(stem: list[str]) -> None:
    expected = []
    for at, token in enumerate(stem):
        token = statements._SYNONYMS.get(token, token)
        is_letter = len(token) == 1 and not statements.is_article(stem, at)
        if token not in statements._FILLER or is_letter:
            expected.append(statements._stemmed(token))
    while expected and expected[-1] == "=":
        expected.pop()
    assert statements._gist(stem) == tuple(expected)


def test_equal_tokens_of_two_texts_are_one_object() -> None:
    assert words("How many parallelograms are there?")[2] is words("Draw 2 parallelograms.")[2]


def test_a_reader_that_remembers_gives_the_matches_and_the_overlap_of_one_that_does_not() -> None:
    texts = ["What is $3+4$ of the 12 pens?", "What is $3 + 4$ of the 12 pens", "A cat has 9 lives. How many have two?"]
    asked: list[str] = []
    known = {text: read_statement(text) for text in texts}

    def remembered(text: str) -> statements.Statement:
        asked.append(text)
        return known[text]

    index = build_index({"bench": [("b1", texts[1])]})
    assert near_duplicate_matches(texts, read=remembered) == near_duplicate_matches(texts)
    overlaps = [find_overlap(index, text, read=remembered) for text in texts]
    assert overlaps == [find_overlap(index, text) for text in texts]
    assert [overlap is not None for overlap in overlaps] == [True, True, False]
    assert asked == texts * 2


def test_a_part_holds_the_lines_that_json_dumps_writes(tmp_path: Path) -> None:
    decision = Decision("a", False, "no_box", {"why": 'π \u2028 "x"', "n": 0.1}, {"gold": None})

    def deciding() -> Deciding:
        yield decision
        return Ending(("Ein Satz ü",))

    exhausted(write_part(tmp_path / "part.jsonl", "step", deciding()))
    first = (tmp_path / "part.jsonl").read_text(encoding="utf-8").split("\n")[0]
    assert first == json.dumps(ledger_line("step", decision), ensure_ascii=False)
    assert exhausted(read_part(tmp_path / "part.jsonl")) == ([decision], Ending(("Ein Satz ü",)))
