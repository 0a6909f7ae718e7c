"""Benchmark problems are found in a pool whatever they wear; phrases that all problems share are no overlap."""

import gzip
import json

import pytest

from frugalrl.data.decontamination import build_index, find_overlap

TAIL = r"can be written as $\frac{m}{n}$, where $m$ and $n$ are relatively prime positive integers. Find $m+n$."
INDEX = build_index(
    {
        "contest": [
            (
                "c-1",
                f"A frog jumps on the vertices of a regular heptagon for 19 steps. The chance that it is home {TAIL}",
            ),
            ("c-2", "Find the remainder when $7^{2024}$ is divided by $1000$."),
            (
                "c-3",
                "Nine hikers cross 4 bridges in turn, and no hiker crosses a bridge twice in a row. In how many ways?",
            ),
        ],
        "school": [("s-1", "What is $\\sqrt{53}$ in simplest radical form?")],
    }
)


@pytest.mark.parametrize(
    ("text", "row", "kind"),
    [
        ("What is \\( \\sqrt{ 53 } \\) in simplest radical form", "s-1", "exact"),
        ("Problem 9. Find the remainder when $7^{2024}$ is divided by 1,000.", "c-2", "exact"),
        ("Determine the remainder if the number $7^{2024}$ is divided by $1000$.", "c-2", "near"),
        (
            "A frog jumps on the vertices of a regular heptagon for 19 steps. The chance that it is home "
            f"{TAIL} (Here home is the vertex where the frog was put down by a child at noon.)",
            "c-1",
            "ngram",
        ),
    ],
)
def test_an_overlap_names_the_row_and_its_kind(text, row, kind):
    overlap = find_overlap(INDEX, text)
    assert overlap is not None
    assert (overlap.row_id, overlap.kind) == (row, kind)
    assert overlap.row_text
    assert overlap.evidence


@pytest.mark.parametrize(
    "text",
    [
        f"A coin is thrown 6 times. The chance of three heads {TAIL}",
        "Find the remainder when $7^{2023}$ is divided by $1000$.",
        "Find the quotient when $7^{2024}$ is divided by $1000$.",
        "What is $\\sqrt{54}$ in simplest radical form?",
        "Nine hikers cross 5 bridges in turn, and no hiker crosses a bridge twice in a row. In how many ways?",
        "",
    ],
)
def test_a_shared_phrase_or_another_number_is_no_overlap(text):
    assert find_overlap(INDEX, text) is None


def test_a_real_pool_with_its_real_benchmark(shared_data):
    """Every benchmark row finds itself, and problems of the training part hardly ever one of the test part."""
    rows = [json.loads(line) for line in (shared_data / "bench/math500.jsonl").read_text().splitlines()]
    index = build_index({"math500": [(row["id"], row["problem"]) for row in rows]})
    assert all(find_overlap(index, row["problem"]).kind == "exact" for row in rows)
    with gzip.open(shared_data / "pool/math_train_7500.jsonl.gz", "rt") as file:
        train = [json.loads(line)["problem"] for line, _ in zip(file, range(1000), strict=False)]
    hits = [text for text in train if find_overlap(index, text)]
    assert len(hits) <= 5, "MATH's train and test parts share hardly a problem"
