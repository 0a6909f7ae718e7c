"""A problem told in other words is found by what it keeps; a sibling with one answer is not."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from frugalrl.data.decontamination import build_index, find_overlap
from frugalrl.data.formula_runs import read_formulas, shared_weight
from frugalrl.data.restated import telling, things_are_exchanged, without_examples
from frugalrl.data.restated_index import find_restated, index_of
from frugalrl.data.same_answer import comparable_key
from frugalrl.data.statements import read_statement
from frugalrl.data.word_rarity import UNLISTED, word_rarity

LIGHTHOUSE = (
    "A lighthouse keeper owns 137 lanterns in a row, numbered from 1 to 137. Every evening he swaps two neighbouring "
    "lanterns if the left one burns brighter. Find the maximal number of evenings until no swap is possible.",
    "There are 137 lanterns standing in one line beside a lighthouse. Once per evening the keeper may exchange two "
    "neighbouring lanterns provided that the brighter of them burns on the left. What is the largest possible count of "
    "evenings on which lanterns are exchanged?",
    "9316",
)
FRACTIONS = (
    r"Let $a_1, \ldots, a_{50}$ be nonnegative numbers with $3a_i + a_{i+1}^2 \le 7$ for all $i = 1, \ldots, 49$. "
    r"Determine the maximum of $\sum a_i a_{i+1} - 4a_{i+3}$.",
    r"Suppose that fifty reals $b_1, \ldots, b_{50}$, none of them negative, satisfy the condition "
    r"$3b_k + b_{k+1}^2 \le 7$ whenever $k = 1, \ldots, 49$. How large can the expression "
    r"$\sum b_k b_{k+1} - 4b_{k+3}$ become?",
    r"\frac{343}{19}",
)


def found(one: str, other: str, gold: str, other_gold: str | None = None, **asked):
    index = index_of([(one, gold)])
    return find_restated(index, other, gold if other_gold is None else other_gold, **asked)


def test_a_problem_in_other_words_with_the_same_answer_is_found():
    one, other, gold = LIGHTHOUSE
    index = build_index({"exam": [("7", one, gold)]})

    overlap = find_overlap(index, other, gold=f"${gold}$")

    assert overlap is not None
    assert (overlap.row_id, overlap.kind) == ("7", "restated")
    assert "score" in overlap.evidence
    assert find_overlap(index, other, gold="12345") is None
    assert find_overlap(index, other) is None


@pytest.mark.parametrize(
    ("change", "to"),
    [("137", "139"), ("largest", "smallest"), ("137 lanterns", "137 lanterns and 12 candles, of 3 kinds,")],
)
def test_another_number_or_a_contrary_makes_another_problem(change, to):
    one, other, gold = LIGHTHOUSE
    changed = other.replace(change, to)

    assert found(one, other, gold) is not None
    if change == "137 lanterns":
        one = one.replace("137 lanterns", "137 lanterns and 8 candles")
    assert found(one, changed, gold) is None


@pytest.mark.parametrize(
    ("this", "that"),
    [
        (r"3b_k + b_{k+1}^2 \le 7", r"3b_k - b_{k+1}^3 \ge 7"),
        (r"3b_k + b_{k+1}^2 \le 7", r"2b_k + b_{k+1}^2 \le 7"),
    ],
)
def test_another_formula_makes_another_problem(this, that):
    one, other, gold = FRACTIONS

    assert this in other
    assert found(one, other, gold) is not None
    assert found(one, other.replace(this, that), gold) is None


def test_a_sentence_about_other_things_is_a_sibling():
    ours, theirs = (
        read_statement(f"Two cards are dealt from a deck of 52. How likely is a {first} and then a {second}?").gist
        for first, second in (("spade", "queen"), ("heart", "jack"))
    )

    assert things_are_exchanged(ours, theirs)
    assert not things_are_exchanged(ours, ours)
    assert not things_are_exchanged(read_statement(LIGHTHOUSE[0]).gist, read_statement(LIGHTHOUSE[1]).gist)


def test_numbers_of_examples_are_not_the_problems():
    text = (
        "Call a number shy (for example 53 (or 59) is shy) if it is odd. For instance, 3.5 is not. Count them up to 80."
    )

    assert without_examples(text).split() == [
        "Call",
        "a",
        "number",
        "shy",
        "if",
        "it",
        "is",
        "odd.",
        "Count",
        "them",
        "up",
        "to",
        "80.",
    ]
    assert without_examples("Count to 80.") == "Count to 80."


def test_formulas_agree_up_to_one_renaming():
    def weight(one, other):
        left, right = (read_formulas(read_statement(text).stem) for text in (one, other))
        return shared_weight(left, right) / max(left.weight, right.weight)

    assert weight("Solve $7^k - 3^n = 5$ here", "Find when $7^a - 3^b = 5$ holds") == 1
    assert weight("Let $xf(y) + yf(x) = 9$ hold", "Let $xf(x) + yf(y) = 9$ hold") < 0.75
    assert weight("Let $x^5 + 7 = 3y$ hold", "no formula at all") == 0
    ellipse = r"Given $\frac{x^2}{a^2} + \frac{y^2}{b^2} = 1$ $(a > b > 0)$ find it"
    assert read_formulas(read_statement(ellipse).stem).weight == 0, "what every textbook says tells nothing"


@pytest.mark.parametrize(("few", "many"), [("", "3"), ("3", "17"), ("17", "1003"), ("\\sqrt{2}", "\\frac{39}{210}")])
def test_rare_answers_tell_more(few, many):
    assert telling(comparable_key(few)) < telling(comparable_key(many)) <= 8


@pytest.mark.parametrize(
    ("one", "other"),
    [("0.09", "\\frac{9}{100}"), ("2/4", "0.5"), ("0.5 \\text{ or } \\frac12", "1/2"), ("007", "7"), ("c=2", "2")],
)
def test_numbers_of_any_spelling_have_one_key(one, other):
    assert comparable_key(one) == comparable_key(other) != ""


def test_different_answers_keep_different_keys():
    golds = ["1 or 2", "1", "2", "1/0", "x+1", "-1/2", "1/2", "0.333", "1/3", ""]

    assert len({comparable_key(gold) for gold in golds}) == len(golds)


def test_golds_that_no_key_unites_are_asked_about_and_only_for_close_texts():
    one, other, _ = LIGHTHOUSE
    asked = []

    def equivalent(mine, theirs):
        asked.append((mine, theirs))
        return True

    assert found(one, other, "2n^2-2n+1", "2n(n-1)+1", equivalent=equivalent) is not None
    assert asked == [("2n^2-2n+1", "2n(n-1)+1")]
    assert found(one, "How many planes carry 12 letters?", "2n^2-2n+1", "2n(n-1)+1", equivalent=equivalent) is None
    assert len(asked) == 1
    assert found(one, other, "2n^2-2n+1", "n", equivalent=lambda mine, theirs: False) is None


@pytest.mark.parametrize("gold", ["", "B"])
def test_without_an_answer_only_a_witness_decides(gold):
    one, other, _ = LIGHTHOUSE
    asked = []

    def witness(mine, theirs):
        asked.append((mine, theirs))
        return gold == ""

    assert found(one, other, gold) is None
    restatement = found(one, other, gold, witness=witness)
    assert asked == [(one, other)]
    assert (restatement is not None) == (gold == "")


def test_words_of_every_problem_weigh_less_than_rare_ones():
    assert word_rarity("integer") < word_rarity("hexagon") < word_rarity("lanterns") == UNLISTED


LABELS = Path(__file__).with_name("restated_pairs.csv")


def test_labelled_pairs_of_real_benchmarks(shared_data):
    """Ids and verdicts by eye; the texts are not ours to keep. Recall 20 of 25, nothing innocent of 54 flagged."""
    tables: dict[str, dict[str, dict]] = {}

    def row(name, row_id):
        if name not in tables:
            bench, pool = shared_data / f"bench/{name}.jsonl", shared_data / f"pool/{name}.jsonl.gz"
            text = bench.read_bytes() if bench.exists() else gzip.decompress(pool.read_bytes())
            tables[name] = {str(one["id"]): one for one in map(json.loads, text.decode().split("\n")[:-1])}
        return tables[name][row_id]

    verdicts: dict[bool, list[bool]] = {True: [], False: []}
    for label in csv.DictReader(LABELS.read_text().splitlines()):
        if (shared_data / f"bench/{label['file']}.jsonl").exists():
            mine, theirs = row(label["file"], label["row"]), row(label["pool"], label["pool_row"])
            index = build_index({"b": [(label["row"], mine["problem"], mine["answer"])]})
            hit = find_overlap(
                index,
                theirs["problem"],
                gold=theirs["answer"],
                equivalent=lambda one, other: {one, other} == {"$2 n^{2}-2 n+1$", "2n(n - 1) + 1"},
            )
            verdicts[label["same"] == "1"].append(hit is not None)
    assert (len(verdicts[True]), len(verdicts[False])) == (25, 54)
    assert sum(verdicts[True]) >= 20
    assert not any(verdicts[False])
