"""Seconds and peak memory of `frugalrl curate` on generated pools of growing size.

    python benchmarks/curation_scale.py --rows 10000 --rows 100000 --rows 1000000 [--lean] [--real] [--out FILE]

Each size runs in its own process, since peak memory is per process. The rows are sentences of drawn words and numbers
(a vocabulary of 6,000 words, the frequent ones often), five in a hundred a near copy of an earlier row and two an exact
one, so that duplicates are found and groups are formed; a tenth of the golds differ. `--real` adds
the public pool of 40,315 rows. `--lean` leaves out the steps that look at each row alone (gold_parses, one_question,
language, decontaminate): their seconds are in proportion to the rows, and they keep nothing of them. Memory is of the
main process; that of a verifier's worker stands beside it. One JSON record.
"""

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curation import POOL, measured, spec_of

_FUNCTION_WORDS = (
    "the", "a", "of", "is", "and", "in", "to", "with", "for", "each", "that", "are", "has", "from", "by", "at", "on",
)  # fmt: skip
_ENDS = (
    "How many are there in all?",
    "Find the total.",
    "What is the remainder?",
    "Determine the smallest such number.",
)


def vocabulary(rng: random.Random) -> list[str]:
    """Words that can be spoken, drawn once."""
    syllables = [consonant + vowel for consonant in "bcdfghklmnprstvz" for vowel in "aeiou"]
    return ["".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(6000)]


def rows(count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """So many rows, the same for a seed; a longer pool begins with the shorter one."""
    rng = random.Random(seed)
    words = vocabulary(rng)
    kept: list[dict[str, Any]] = []
    for number in range(count):
        draw = rng.random()
        if kept and draw < 0.07:
            old = rng.choice(kept)
            text = old["problem"] if draw < 0.02 else old["problem"].replace(". ", ".  Please note: ", 1)
            row = {**old, "problem": text}
        else:
            row = {"problem": problem(rng, words), "answer": str(rng.randint(1, max(10, count // 10)))}
            if len(kept) < 20_000:
                kept.append(row)
            else:
                kept[rng.randrange(len(kept))] = row
        yield {"id": f"r{number}", **row, "level": rng.randint(1, 5), "source": f"s{rng.randrange(8)}"}


def problem(rng: random.Random, words: list[str]) -> str:
    """Two to four sentences with numbers and a question."""
    sentences = []
    for _ in range(rng.randint(2, 4)):
        content = [words[min(int(rng.paretovariate(0.6)), 5999)] for _ in range(rng.randint(4, 8))]
        mixed = [part for word in content for part in (rng.choice(_FUNCTION_WORDS), word)]
        mixed.insert(rng.randrange(len(mixed)), f"${rng.randint(2, 9999)}$")
        sentences.append(" ".join(mixed).capitalize() + ".")
    return " ".join([*sentences, rng.choice(_ENDS)])


def one_size(path: str, column: str, lean: bool) -> dict[str, Any]:
    """Seconds by step and peak memory of a pool, in this process."""
    spec = spec_of(path, column)
    if lean:
        kept = tuple(step for step in spec.steps if step.step in ("duplicates", "difficulty", "mix"))
        spec = spec.model_copy(update={"steps": kept})
    lines: list[str] = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("SCALE_FOLDER")) as folder:
        found = measured(spec, Path(folder) / "set", lines)
        manifest = json.loads((Path(folder) / "set" / "manifest.json").read_text(encoding="utf-8"))
        written = sum(file.stat().st_size for file in (Path(folder) / "set").iterdir() if file.is_file())
        ledger = (Path(folder) / "set" / "ledger.jsonl").stat().st_size
    return {
        "rows": sum(one["rows"] for one in manifest["inputs"].values()),
        "forecast": [line.strip() for line in lines if " rows will take " in line],
        **found,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "peak_mb_of_a_child": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        "ledger_mb": ledger >> 20,
        "written_mb": written >> 20,
        "splits": manifest["splits"],
        "left": {step["name"]: step["after"] for step in manifest["steps"]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, action="append", default=[])
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--lean", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("FILE", "COLUMN"), help="measure this pool alone (for itself)")
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(one_size(*chosen.one, chosen.lean)))
        return
    sizes = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("SCALE_FOLDER")) as folder:
        pools = [(Path(folder) / f"{count}.jsonl", count) for count in chosen.rows]
        for path, count in pools:
            with path.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows(count))
        named = [(str(path), "level") for path, _ in pools] + [(POOL, "difficulty_level")] * chosen.real
        for path, column in named:
            command = [sys.executable, __file__, "--one", path, column, *(["--lean"] * chosen.lean)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            pool = "generated" if column == "level" else POOL
            sizes.append({"pool": pool, "lean": chosen.lean, **json.loads(done.stdout)})
            record = {"what": "frugalrl curate, all steps without a model, by size", "cores": os.cpu_count()}
            text = json.dumps({**record, "python": platform.python_version(), "sizes": sizes}, indent=1)
            if chosen.out:
                chosen.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
