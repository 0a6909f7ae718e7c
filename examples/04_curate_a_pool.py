"""A thousand problems from raw pool to training set, with the reason for each that goes. No model, no download.

python examples/04_curate_a_pool.py          generated problems with planted faults
python examples/04_curate_a_pool.py POOL     the first 1,000 rows of a .jsonl(.gz) or .parquet pool of your own,
                                             e.g. ../shared/data/pool/deepscaler_40k.jsonl.gz
"""

import json
import random
import sys
import tempfile
from pathlib import Path

import frugalrl

PEOPLE = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn")
THINGS = ("apples", "stamps", "marbles", "coins", "shells", "books")


def generated_pool(rng: random.Random) -> tuple[list[dict], list[dict]]:
    """1,000 word problems with planted faults, and a benchmark of 20 of them in other words."""
    rows, seen = [], set()
    while len(rows) < 900:
        person, thing = rng.choice(PEOPLE), rng.choice(THINGS)
        a, b, c = rng.randint(11, 99), rng.randint(3, 40), rng.randint(2, 12)
        if (a, b, c) in seen:
            continue
        seen.add((a, b, c))
        text = f"{person} has {a} {thing} and buys {c} boxes with {b} {thing} each. How many {thing} are there now?"
        rows.append({"problem": text, "answer": str(a + b * c), "level": 1 + (c > 5) + (b > 20) + (a > 60)})
    originals = rng.sample(rows, 100)
    rows += [
        {**row, "problem": row["problem"].replace(" ", "  ").upper()} for row in originals[:40]
    ]  # the same, respelt
    rows += [{**row, "answer": row["answer"] + ".0"} for row in originals[40:60]]  # equal golds in two spellings
    rows += [{**row, "answer": str(int(row["answer"]) + 1)} for row in originals[60:80]]  # golds that contradict
    rows.append({"problem": "Prove that the sum of two even numbers is even.", "answer": "4", "level": 1})
    rows += [{"problem": f"Compute ${n}^2$.", "answer": "\\frac{1}{", "level": 1} for n in range(101, 120)]  # unclosed
    rng.shuffle(rows)
    benchmark = [
        {
            "id": f"held-out-{at}",
            "problem": row["problem"].replace("How many", "Determine how many"),
            "answer": row["answer"],
        }
        for at, row in enumerate(originals[80:])
    ]
    return [{"id": f"p{at}", **row} for at, row in enumerate(rows)], benchmark


def write_rows(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def spec_for(pool: dict, benchmarks: list[str], has_level: bool) -> dict:
    steps = [
        {"step": "gold_parses"},
        {"step": "one_question"},
        {"step": "duplicates"},
        {"step": "decontaminate", "benchmarks": benchmarks},
    ]
    if has_level:
        bands = [{"name": "easy", "low": 1, "high": 2}, {"name": "hard", "low": 3, "high": 4}]
        quotas = [{"count": 200, "bands": ["hard"]}, {"count": 100, "bands": ["easy"]}]
        steps += [{"step": "difficulty", "column": "level", "bands": bands}, {"step": "mix", "quotas": quotas}]
    return {"name": "example", "seed": 1, "pools": [pool], "steps": steps, "splits": {"validation": 50}}


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if len(sys.argv) > 1:
            data = Path(sys.argv[1]).parent.parent / "bench"
            benchmarks = [str(data / f"{name}.jsonl") for name in ("aime24", "amc23", "math500")]
            spec = spec_for({"name": "pool", "path": sys.argv[1], "limit": 1000}, benchmarks, has_level=False)
        else:
            rows, benchmark = generated_pool(random.Random(1))
            held_out = write_rows(folder / "held_out.jsonl", benchmark)
            pool = write_rows(folder / "pool.jsonl", rows)
            spec = spec_for({"name": "pool", "path": pool}, [held_out], has_level=True)

        result = frugalrl.curate(spec, out=folder / "set", show=print)

        print("\nOne dropped problem of each reason:")
        for step in result.report.steps:
            for reason, (example, *_) in step.examples.items():
                print(f"  {step.name}, {reason}: {' '.join(example.problem.split())[:70]}")
                if reason.startswith("overlap"):
                    print(f"      in the benchmark: {example.detail['row_text'][:70]}")
        print(f"\nSplits: {result.summary}; also written: ledger.jsonl, report.html, report.md, manifest.json")


if __name__ == "__main__":
    main()
