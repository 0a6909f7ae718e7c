"""Duplicates of a pool, ours against a plain MinHash pipeline: `FRUGALRL_DATA=... python benchmarks/minhash.py`.

Ours is what `curate` does in its step `duplicates` (golds given) on DeepScaleR's 40,315 problems. The other side is
what most pipelines do: words in lower case, shingles of five, datasketch's MinHash of 128 permutations, its LSH at a
threshold of 0.7, groups by connection; it runs in an environment of its own (`--datasketch-python`, or one made under
`.bench`).

Of what only one side takes out the record holds how many pairs have equal answers, and a dozen to be looked at: a pair
with different answers is two problems, such as one wording with other numbers.
"""

import argparse
import gzip
import json
import os
import random
import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any

PEER = len(sys.argv) == 4 and sys.argv[3] == "peer"
if not PEER:
    sys.path.insert(0, str(Path(__file__).parents[1]))

RECORD = Path(__file__).parent / "records" / "minhash.json"
DATASKETCH = ("datasketch==1.6.5",)
PERMUTATIONS, THRESHOLD, SHINGLE = 128, 0.7, 5
SHOWN = 12


def read_pool(limit: int | None) -> tuple[list[str], list[str]]:
    """Problems and answers."""
    file = Path(os.environ["FRUGALRL_DATA"]) / "pool" / "deepscaler_40k.jsonl.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row["problem"] for row in rows[:limit]], [str(row["answer"]) for row in rows[:limit]]


def run_ours(settings: dict[str, Any]) -> dict[str, Any]:
    """`near_duplicate_groups`, as `curate` calls it."""
    from frugalrl.data.duplicates import near_duplicate_groups

    began, busy = time.perf_counter(), time.process_time()
    groups = near_duplicate_groups(settings["texts"], golds=settings["golds"])
    return {"cpu_seconds": time.process_time() - busy, "wall_seconds": time.perf_counter() - began, "groups": groups}


def run_peer(settings: dict[str, Any]) -> dict[str, Any]:
    """datasketch; imports nothing of frugalrl."""
    from datasketch import MinHash, MinHashLSH

    began, busy = time.perf_counter(), time.process_time()
    index, owner = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS), list(range(len(settings["texts"])))

    def root(one: int) -> int:
        while owner[one] != one:
            owner[one] = owner[owner[one]]
            one = owner[one]
        return one

    for position, text in enumerate(settings["texts"]):
        words = re.findall(r"\w+", text.lower())
        hashed = MinHash(num_perm=PERMUTATIONS)
        shingles = {" ".join(words[at : at + SHINGLE]) for at in range(max(1, len(words) - SHINGLE + 1))}
        hashed.update_batch([shingle.encode() for shingle in shingles])
        for other in index.query(hashed):
            owner[root(position)] = root(other)
        index.insert(position, hashed)
    groups: dict[int, list[int]] = {}
    for position in range(len(owner)):
        groups.setdefault(root(position), []).append(position)
    found = [group for group in groups.values() if len(group) > 1]
    return {"cpu_seconds": time.process_time() - busy, "wall_seconds": time.perf_counter() - began, "groups": found}


def only_in(groups: list[list[int]], others: list[list[int]], texts: list[str], golds: list[str]) -> dict[str, Any]:
    """The pairs (a group's first problem and another) that the other side leaves apart."""
    together = {member: number for number, group in enumerate(others) for member in group}
    pairs = [
        (group[0], other)
        for group in groups
        for other in group[1:]
        if together.get(other, -1) != together.get(group[0], -2)
    ]
    equal = [pair for pair in pairs if golds[pair[0]] == golds[pair[1]]]
    shown = random.Random(0).sample(pairs, min(SHOWN, len(pairs)))
    return {
        "pairs": len(pairs),
        "with_equal_answers": len(equal),
        "some": [
            {"texts": [texts[one][:300] for one in pair], "golds": [golds[one] for one in pair]} for pair in shown
        ],
    }


def main() -> None:
    """Both sides in turns, a few lines, the record."""
    from benchmarks.grpo_step import run_side
    from benchmarks.machine import description, environment

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, help="of problems; default: all")
    parser.add_argument(
        "--datasketch-python", type=Path, help="of an environment with datasketch; default: one is made"
    )
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    peer = environment("datasketch", DATASKETCH, arguments.datasketch_python)
    texts, golds = read_pool(arguments.limit)
    settings = {"texts": texts, "golds": golds}
    rounds = [
        {
            "ours": run_side(Path(sys.executable), "minhash.py", settings, 1),
            "datasketch": run_side(peer, "minhash.py", settings, 1, "peer"),
        }
        for _ in range(arguments.rounds)
    ]
    ours, theirs = rounds[0]["ours"]["groups"], rounds[0]["datasketch"]["groups"]
    record = {
        "machine": description(),
        "peer": [*DATASKETCH, f"{PERMUTATIONS} permutations, threshold {THRESHOLD}, shingles of {SHINGLE} words"],
        "rows": len(texts),
        "removed": {"ours": sum(len(one) - 1 for one in ours), "datasketch": sum(len(one) - 1 for one in theirs)},
        "only_ours": only_in(ours, theirs, texts, golds),
        "only_datasketch": only_in(theirs, ours, texts, golds),
        "ratio_cpu": statistics.median(one["datasketch"]["cpu_seconds"] / one["ours"]["cpu_seconds"] for one in rounds),
        "rounds": [
            {side: {name: value for name, value in one.items() if name != "groups"} for side, one in both.items()}
            for both in rounds
        ],
    }
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for side in ("ours", "datasketch"):
        seconds = statistics.median(one[side]["cpu_seconds"] for one in rounds)
        extra = record["only_ours" if side == "ours" else "only_datasketch"]
        print(
            f"{side:10} {seconds:6.1f} s of processor time, {record['removed'][side]} taken out; "
            f"{extra['pairs']} not by the other side, of which {extra['with_equal_answers']} with equal answers"
        )
    print(f"record: {arguments.out}")


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1].endswith("settings.json"):
        chosen = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        result = run_peer(chosen) if PEER else run_ours(chosen)
        Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
    else:
        main()
