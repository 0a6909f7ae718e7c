"""No answer stalls, crashes, fools or takes over the verifier."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from frugalrl.verify.workers.pool import DEFAULT_CPU_SECONDS, AnswerItem, Judgement, VerifierPool
from tests.verify.hostile_cases import CASES, Case

DATA = Path(os.environ.get("FRUGALRL_DATA", "../shared/data"))
SLACK_SECONDS = 1.0
"""The parent looks at the worker's clock many times a second, and later while other tests keep the machine busy."""


def _sample() -> list[Case]:
    path = DATA / "grading" / "hostile_sample.jsonl.gz"
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Case(f"{row['id']} {row['note']}", row["completion"], row["gold"], row["expected"]) for row in rows]


LIMIT_SECONDS = 0.5
"""For what is not right: whoever is cut off sooner is cut off. What is right has the default limit."""


@pytest.fixture(scope="module")
def judged(pool: VerifierPool) -> list[tuple[Case, Judgement]]:
    right = [case for case in [*CASES, *_sample()] if case.is_right]
    others = [case for case in [*CASES, *_sample()] if not case.is_right]
    with VerifierPool(workers=2, cpu_seconds=LIMIT_SECONDS) as hasty:
        found = hasty.judge_timed(AnswerItem(case.completion, case.gold) for case in others)
    found += pool.judge_timed(AnswerItem(case.completion, case.gold) for case in right)
    return list(zip([*others, *right], found, strict=True))


def test_the_table_has_more_than_two_hundred_cases() -> None:
    assert len(CASES) >= 200
    assert len({case.name for case in CASES}) == len(CASES)


def test_no_hostile_answer_is_accepted(judged: list[tuple[Case, Judgement]]) -> None:
    accepted = [
        case.name for case, judgement in judged if case.is_right is False and judgement.verdict.label == "correct"
    ]
    assert accepted == []


def test_a_right_answer_is_accepted_however_odd(judged: list[tuple[Case, Judgement]]) -> None:
    rejected = [
        (case.name, judgement.verdict)
        for case, judgement in judged
        if case.is_right and judgement.verdict.label != "correct"
    ]
    assert rejected == []


def test_every_answer_comes_within_the_limit(judged: list[tuple[Case, Judgement]]) -> None:
    late = [
        (case.name, judgement.cpu_seconds)
        for case, judgement in judged
        if judgement.cpu_seconds > (DEFAULT_CPU_SECONDS if case.is_right else LIMIT_SECONDS) + SLACK_SECONDS
    ]
    assert late == []


def test_few_answers_are_left_without_a_verdict(judged: list[tuple[Case, Judgement]]) -> None:
    """`unknown` is for golds that cannot be read and for what a limit cut off; the rest is decided."""
    unknown = [case.name for case, judgement in judged if judgement.verdict.label == "unknown"]
    assert len(unknown) <= 40, unknown


def test_the_reasons_are_a_closed_list(judged: list[tuple[Case, Judgement]]) -> None:
    reasons = {judgement.verdict.reason for _, judgement in judged}
    assert reasons <= {
        "equal", "equivalent", "different", "no_box", "unclosed_reasoning", "empty_box", "too_long", "too_deep",
        "unbalanced", "unreadable_characters", "beyond_limits", "unparseable_gold", "empty_gold", "gold_beyond_limits",
        "cpu_limit", "memory_limit", "recursion_limit", "symbolic_error", "worker_died",
    }  # fmt: skip


@pytest.mark.skipif(not _sample(), reason=f"no hostile sample under FRUGALRL_DATA ({DATA})")
def test_the_sample_of_known_attacks_is_among_them(judged: list[tuple[Case, Judgement]]) -> None:
    assert sum(case.name.startswith("hostile-") for case, _ in judged) == 84


def test_nothing_in_an_answer_executes(tmp_path: Path) -> None:
    """In a folder of its own: the payloads would leave a file there."""
    script = (
        "import json, sys\n"
        "from frugalrl.verify.workers.pool import AnswerItem, VerifierPool\n"
        "with VerifierPool(workers=1, cpu_seconds=20) as pool:\n"
        "    print([v.label for v in pool.judge_many(AnswerItem(*pair) for pair in json.load(sys.stdin))])\n"
    )
    pairs = [(case.completion, case.gold) for case in CASES if "PWNED" in case.completion + case.gold]
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(pairs),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert len(pairs) >= 6
    assert "'correct'" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_gmpy2_is_never_imported_even_where_it_is_installed(tmp_path: Path) -> None:
    """With it some inputs ignore every limit, or abort the interpreter."""
    (tmp_path / "gmpy2.py").write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'imported')!r}).touch()\nraise RuntimeError('imported')\n"
    )
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from frugalrl.verify.workers.pool import AnswerItem, VerifierPool\n"
        "items = [AnswerItem(r'\\boxed{\\frac{2}{\\sqrt2}}', r'\\sqrt{2}'),"
        " AnswerItem(r'\\boxed{(10^{14})!}', r'\\pi')]\n"
        "with VerifierPool(workers=1, cpu_seconds=20) as pool:\n"
        "    print([verdict.label for verdict in pool.judge_many(items)])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['correct', 'incorrect']"
    assert not (tmp_path / "imported").exists()
