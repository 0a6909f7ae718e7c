"""Agreement with labelled data under FRUGALRL_DATA; docs/rewards/answers.md explains every disagreement."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from frugalrl.verify.golds import check_golds
from frugalrl.verify.maths.extraction import AnswerPolicy
from frugalrl.verify.workers.pool import AnswerItem, VerifierPool

DATA = Path(os.environ.get("FRUGALRL_DATA", "../shared/data"))
needs_data = pytest.mark.skipif(not (DATA / "grading").exists(), reason=f"no data under FRUGALRL_DATA ({DATA})")

NOT_OURS = {
    "upstream-28",
    "upstream-29",
    "upstream-181",
    "upstream-301",
    "upstream-308",
    "upstream-441",
    "upstream-448",
}
"""Labelled incorrect, and right by our policy: see the page."""
NEEDS_A_BOX = {"upstream-463", "upstream-464", "upstream-473"}
"""Labelled incorrect for want of a box; refused too, by the policy that training uses."""


@pytest.fixture(scope="module")
def reader() -> Iterator[VerifierPool]:
    with VerifierPool(cpu_seconds=20.0, policy=AnswerPolicy(without_box="stated")) as pool:
        yield pool


def _rows(name: str) -> list[dict[str, Any]]:
    path = DATA / name
    with gzip.open(path, "rt", encoding="utf-8") if name.endswith(".gz") else path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _labels(pool: VerifierPool, rows: list[dict[str, Any]]) -> list[str]:
    items = [AnswerItem(row.get("completion", row.get("prediction")), row["gold"]) for row in rows]
    return [verdict.label for verdict in pool.judge_many(items)]


@needs_data
@pytest.mark.parametrize(
    ("name", "false_accepts", "least_agreement"),
    [
        ("grading/gsm8k_example_solutions.jsonl.gz", set(), 1.0),
        ("grading/bigbench_mistake_arith_300.jsonl", set(), 1.0),
        ("grading/nemo_skills_150.jsonl", {"nemo-rs0-23", "nemo-rs0-41", "nemo-rs2-16"}, 0.98),
        ("grading/upstream_test_pairs.jsonl", NOT_OURS | NEEDS_A_BOX, 0.82),
    ],
)
def test_verdicts_agree_with_labels(
    reader: VerifierPool, name: str, false_accepts: set[str], least_agreement: float
) -> None:
    rows = _rows(name)
    labels = _labels(reader, rows)
    wrong = [row for row, label in zip(rows, labels, strict=True) if label != row["label"]]
    accepted = {row["id"] for row, label in zip(rows, labels, strict=True) if label == "correct" != row["label"]}
    assert accepted == false_accepts
    assert 1 - len(wrong) / len(rows) >= least_agreement


@needs_data
def test_a_policy_that_wants_a_box_refuses_what_has_none(patient_pool: VerifierPool) -> None:
    rows = [row for row in _rows("grading/upstream_test_pairs.jsonl") if row["id"] in NEEDS_A_BOX]
    assert _labels(patient_pool, rows) == ["incorrect"] * 3


@needs_data
@pytest.mark.parametrize(
    ("name", "unfit"),
    [
        ("aime24", set()),
        ("amc23", set()),
        ("math500", set()),
        ("minerva_math", {"minerva-5"}),
        ("olympiadbench", {"olympiadbench-2045"}),
        ("gsm8k_test", set()),
    ],
)
def test_the_golds_of_benchmarks_are_fit_for_use(patient_pool: VerifierPool, name: str, unfit: set[str]) -> None:
    rows = _rows(f"bench/{name}.jsonl")
    checks = check_golds([str(row["answer"]) for row in rows], patient_pool, slow_seconds=5.0)
    assert {str(row["id"]) for row, check in zip(rows, checks, strict=True) if check.problems} == unfit
