"""How many reworded problems are found in a pool, and how many false positives are flagged.

    FRUGALRL_DATA=... python benchmarks/restated.py [--out benchmarks/records/restated.json]
    FRUGALRL_DATA=... python benchmarks/restated.py --table src/frugalrl/data/word_rarity.py

Three measurements: labelled pairs (`tests/data/restated_pairs.csv`: ids, a verdict by eye and its reason in a word),
found by the rules before `restated` and with it; rows of whole pools flagged against six benchmarks, by kind; and the
processor seconds of both. `--table` counts the words of `word_rarity` again.
"""

import argparse
import csv
import gzip
import json
import math
import os
import platform
import re
import textwrap
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frugalrl.curation.gold_steps import equivalence
from frugalrl.data.decontamination import build_index, find_overlap
from frugalrl.data.statements import Statement, read_statement
from frugalrl.verify.workers.pool import VerifierPool

DATA = Path(os.environ.get("FRUGALRL_DATA", "../shared/data"))
LABELS = Path(__file__).parents[1] / "tests" / "data" / "restated_pairs.csv"
BENCHMARKS = ("aime24", "amc23", "math500", "minerva_math", "olympiadbench", "gsm8k_test")
POOLS = ("deepscaler_40k", "s1like_mixture", "bigmath_10k_solve_rate", "math_train_7500", "gsm8k_train_7473",
         "aime_1983_2023_975")  # fmt: skip
COUNTED = ("deepscaler_40k", "math_train_7500", "gsm8k_train_7473")
Row = tuple[str, str, str]


def rows_of(name: str) -> list[Row]:
    """Id, problem and answer of each row of a benchmark or a pool."""
    bench, pool = DATA / "bench" / f"{name}.jsonl", DATA / "pool" / f"{name}.jsonl.gz"
    text = bench.read_bytes() if bench.exists() else gzip.decompress(pool.read_bytes())
    rows = map(json.loads, text.decode().split("\n")[:-1])
    return [(str(row["id"]), str(row["problem"] or ""), str(row["answer"] or "")) for row in rows]


def labelled(equivalent: Any) -> Iterator[dict[str, Any]]:
    """Each labelled pair, and by which rule it is found: the benchmark row alone is the index."""
    tables: dict[str, dict[str, Row]] = {}
    for label in csv.DictReader(LABELS.read_text(encoding="utf-8").splitlines()):
        for name in (label["file"], label["pool"]):
            if name not in tables:
                tables[name] = {row[0]: row for row in rows_of(name)}
        mine, theirs = tables[label["file"]][label["row"]], tables[label["pool"]][label["pool_row"]]
        found = find_overlap(build_index({"b": [mine]}), theirs[1], gold=theirs[2], equivalent=equivalent)
        half = zlib.crc32(label["row"].encode()) % 2
        yield {**label, "same": label["same"] == "1", "kind": found.kind if found else None, "half": half}


def counts(pairs: list[dict[str, Any]]) -> dict[str, int]:
    same, other = [one for one in pairs if one["same"]], [one for one in pairs if not one["same"]]
    return {
        "same": len(same),
        "same_found": sum(one["kind"] is not None for one in same),
        "different": len(other),
        "different_flagged": sum(one["kind"] is not None for one in other),
    }


def whole_pool(name: str, index: Any, equivalent: Any) -> dict[str, Any]:
    """Rows of a pool that are flagged, by kind, and the ids of the restated ones."""
    rows = rows_of(name)
    start = time.process_time()
    statements = {problem: read_statement(problem) for _, problem, _ in rows}
    read_seconds = time.process_time() - start

    def read(text: str) -> Statement:
        return statements.get(text) or read_statement(text)

    start = time.process_time()
    kinds: Counter[str] = Counter()
    restated = []
    for row_id, problem, answer in rows:
        found = find_overlap(index, problem, gold=answer, read=read, equivalent=equivalent)
        if found is not None:
            kinds[found.kind] += 1
            if found.kind == "restated":
                restated.append([row_id, found.benchmark, found.row_id, round(found.similarity, 2)])
    return {
        "rows": len(rows),
        "flagged": dict(kinds),
        "restated": restated,
        "read_cpu_seconds": round(read_seconds, 1),
        "overlap_cpu_seconds": round(time.process_time() - start, 1),
    }


def table() -> str:
    """The lines of `word_rarity`'s table, counted again."""
    held: Counter[str] = Counter()
    total = 0
    for name in COUNTED:
        for _, problem, _ in rows_of(name):
            held.update({token for token in read_statement(problem).gist if len(token) > 1 and token.isalpha()})
            total += 1
    levels: dict[int, list[str]] = {}
    for word, count in held.items():
        if count * 1500 >= total and word.isascii():
            levels.setdefault(round(math.log(total / count)), []).append(word)
    lines = []
    for level in sorted(levels):
        wrapped = textwrap.wrap(" ".join(sorted(levels[level])), 104, break_long_words=False)
        lines += [
            f"    {level}: (",
            *(f'        "{line} "' for line in wrapped[:-1]),
            f'        "{wrapped[-1]}"',
            "    ),",
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path, help="say whether the table in this file is the one counted here")
    chosen = parser.parse_args()
    if chosen.table:
        counted, held = (set(re.findall(r"\b[a-z]+\b|\d: ", text)) for text in (table(), chosen.table.read_text()))
        print("every counted word is in the table" if counted <= held else table())
        return
    load_before = os.getloadavg()[0]
    with VerifierPool(workers=1) as pool:
        equivalent = equivalence(pool)
        pairs = list(labelled(equivalent))
        start = time.process_time()
        index = build_index({name: rows_of(name) for name in BENCHMARKS})
        index_seconds = round(time.process_time() - start, 1)
        pools = {name: whole_pool(name, index, equivalent) for name in POOLS}
    kinds = {
        "benchmarks": [one for one in pairs if one["file"] in BENCHMARKS],
        "pools as benchmarks": [one for one in pairs if one["file"] not in BENCHMARKS],
    }
    record = {
        "what": "problems told in other words: labelled pairs, and rows flagged against six benchmarks",
        "labels": {
            name: {"all": counts(some), **{f"half {half}": counts([one for one in some if one["half"] == half])
                                           for half in (0, 1)}}
            for name, some in kinds.items()
        },
        "wrong": [one for one in pairs if one["same"] != (one["kind"] is not None)],
        "index_cpu_seconds": index_seconds,
        "pools": pools,
        "load_before_and_after": [round(load_before, 1), round(os.getloadavg()[0], 1)],
        "python": platform.python_version(),
    }  # fmt: skip
    text = json.dumps(record, indent=1)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
