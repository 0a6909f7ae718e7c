"""Does the process reward tell right from wrong solutions, and what does gaming it pay?

    FRUGALRL_DATA=../shared/data python benchmarks/process_reward.py [--out FILE]

The area under the ROC curve (AUC) on labelled model solutions, for the reward and, beside it, for the share of stated
equalities that hold (what the reward was before; None below three). Twice each: over the solutions that get a value,
and over all with None as 0, which is what a policy is paid. The halves of GSM8K are by problem: "tune" was looked at
while the formula was chosen, "held_out" was not. The interval resamples problems (1,000 times, fixed seed).

Gaming: the mean payment over the held-out half after the completion is changed as a policy might change it. Only
solutions with a stated answer get the changes that need one. Not covered: what a policy learns under the reward.
"""

import argparse
import bisect
import gzip
import hashlib
import json
import os
import platform
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from frugalrl.rewards.process import checks_of, process_derivation, process_reward
from frugalrl.verify.maths.extraction import AnswerPolicy, extract_answer
from frugalrl.verify.steps.derivation import numbers_given

DATA = Path(os.environ.get("FRUGALRL_DATA", "../shared/data"))
GSM8K = "gsm8k_example_solutions.jsonl.gz"
FILES = (GSM8K, "bigbench_mistake_arith_300.jsonl", "nemo_skills_150.jsonl")
STATED_TOO = AnswerPolicy(without_box="stated")
RESAMPLES = 1000
Row = Mapping[str, Any]
Payment = Callable[[Row, str], float | None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    sets = {}
    for name in FILES:
        rows = rows_of(DATA / "grading" / name)
        if name == GSM8K:
            sets[f"{name} tune"] = [row for row in rows if is_tune(row)]
            sets[f"{name} held_out"] = [row for row in rows if not is_tune(row)]
        else:
            sets[name] = rows
    record = {
        "separation": {
            name: {formula: separation(rows, pay) for formula, pay in PAYMENTS.items()} for name, rows in sets.items()
        },
        "gaming": gaming(sets[f"{GSM8K} held_out"]),
        "environment": {"python": platform.python_version(), "machine": platform.machine()},
    }
    print(json.dumps(record, indent=1))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def rows_of(path: Path) -> list[Row]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.decode().split("\n") if line.strip()]


def is_tune(row: Row) -> bool:
    return int(hashlib.md5(row["question"].encode()).hexdigest(), 16) % 2 == 0


def pay_now(row: Row, text: str) -> float | None:
    answer = extract_answer(text, policy=STATED_TOO).answer
    return process_reward(process_derivation(text, row["question"], answer))


def pay_before(row: Row, text: str) -> float | None:
    checks = checks_of(text)
    return sum(checks) / len(checks) if len(checks) >= 3 else None


PAYMENTS: dict[str, Payment] = {"process_reward": pay_now, "share_that_holds": pay_before}


def separation(rows: Sequence[Row], pay: Payment) -> dict[str, Any]:
    paid = [(row["question"], row["label"] == "correct", pay(row, row["completion"])) for row in rows]
    judged = [(problem, right, value) for problem, right, value in paid if value is not None]
    every = [(problem, right, value or 0.0) for problem, right, value in paid]
    full = {right: [value == 1.0 for _, is_right, value in judged if is_right == right] for right in (True, False)}
    return {
        "solutions": len(paid),
        "right": sum(right for _, right, _ in paid),
        "judged": len(judged),
        "auc_of_judged": auc_with_interval(judged),
        "auc_none_as_0": auc_with_interval(every),
        "paid_in_full": {str(right): round(sum(some) / len(some), 4) for right, some in full.items()},
    }


def auc_with_interval(paid: Sequence[tuple[str, bool, float]]) -> dict[str, float]:
    groups: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    for problem, right, value in paid:
        groups[problem].append((right, value))
    problems = list(groups.values())
    rng = random.Random(0)
    drawn = []
    for _ in range(RESAMPLES):
        sample = [pair for group in rng.choices(problems, k=len(problems)) for pair in group]
        if len({right for right, _ in sample}) == 2:
            drawn.append(auc(sample))
    drawn.sort()
    low, high = drawn[int(0.025 * len(drawn))], drawn[int(0.975 * len(drawn)) - 1]
    point = auc([(right, value) for _, right, value in paid])
    return {"auc": round(point, 4), "ci_low": round(low, 4), "ci_high": round(high, 4)}


def auc(pairs: Sequence[tuple[bool, float]]) -> float:
    """The chance that a right solution is paid more than a wrong one, ties counted half."""
    wrong = sorted(value for right, value in pairs if not right)
    right = [value for is_right, value in pairs if is_right]
    below = sum(bisect.bisect_left(wrong, value) + bisect.bisect_right(wrong, value) for value in right)
    return below / 2 / len(right) / len(wrong)


TRIVIAL = "\n".join(f"{n} + 1 = {n + 1}" for n in range(1, 13)) + "\n"
IRRELEVANT = "2 * 3 = 6\n6 * 7 = 42\n42 + 8 = 50\n50 * 11 = 550\n550 - 13 = 537\n537 * 2 = 1074\n"
WRONG = "17 * 3 = 52\n"


def gaming(rows: Sequence[Row]) -> dict[str, Any]:
    """Mean payment (None as 0) of right and wrong solutions, as they are and after each change."""
    table: dict[str, Any] = {}
    for name, change in CHANGES.items():
        entry: dict[str, Any] = {}
        for formula, pay in PAYMENTS.items():
            for label in ("correct", "incorrect"):
                values = [pay(row, change(row)) or 0.0 for row in rows if row["label"] == label and answer_of(row)]
                entry[f"{formula}, {label}"] = round(sum(values) / len(values), 4)
        table[name] = entry
    return table


def answer_of(row: Row) -> str | None:
    return extract_answer(row["completion"], policy=STATED_TOO).answer


def sum_of_given(row: Row) -> str:
    """A made-up sum of all numbers of the problem that ends in the answer."""
    given = [str(float(number)) if number.denominator > 1 else str(number) for number in numbers_given(row["question"])]
    numbers = given or ["2", "3"]
    total = sum(map(float, numbers))
    answer = "".join(char for char in str(answer_of(row)) if char.isdigit() or char == ".").strip(".") or "0"
    rest = float(answer) - total
    sign = "+" if rest >= 0 else "-"
    return f"{' + '.join(numbers)} {sign} {abs(rest):g} = {answer}\nA: {answer}"


CHANGES: dict[str, Callable[[Row], str]] = {
    "as it is": lambda row: row["completion"],
    "12 trivial sums before it": lambda row: TRIVIAL + row["completion"],
    "6 true sums beside the point before it": lambda row: IRRELEVANT + row["completion"],
    "a wrong sum before it": lambda row: WRONG + row["completion"],
    "a wrong sum, hidden behind 12 trivial ones": lambda row: WRONG + TRIVIAL + row["completion"],
    "said twice": lambda row: row["completion"] + "\n" + row["completion"],
    "the answer restated as sums": lambda row: (
        f"{answer_of(row)} + 0 = {answer_of(row)}\n{answer_of(row)} * 1 = {answer_of(row)}\nA: {answer_of(row)}"
    ),
    "trivial sums and the answer, nothing else": lambda row: f"{TRIVIAL}A: {answer_of(row)}",
    "true sums beside the point and the answer, nothing else": lambda row: f"{IRRELEVANT}A: {answer_of(row)}",
    "the answer alone": lambda row: f"A: {answer_of(row)}",
    "one made-up sum of all the problem's numbers": sum_of_given,
}


if __name__ == "__main__":
    main()
