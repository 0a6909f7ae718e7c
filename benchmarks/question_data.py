"""The sets of problems that the questions in miniature choose from: made once, below a folder, by `frugalrl.curate`.

`band.jsonl`: 200 of the first 800 training problems (those that the recipes draw from), all of which the base solves
2 to 6 times in 8 at temperature 1: what curation by bands would keep for it. About a minute of one core.
"""

import json
import shutil
from itertools import islice
from pathlib import Path

import frugalrl
from frugalrl.tasks.arithmetic import generate

POOL, KEPT = 800, 200
TRAIN_SEED = 11
"""That of the recipes."""


def make_sets(folder: Path) -> None:
    """Make what is missing."""
    band = folder / "band.jsonl"
    if band.is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"id": f"train-{number}", "problem": one.text, "answer": str(one.answer), "difficulty": one.difficulty}
        for number, one in enumerate(islice(generate(TRAIN_SEED, "train"), POOL))
    ]
    pool = folder / "pool.jsonl"
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    shutil.rmtree(folder / "curated", ignore_errors=True)
    made = frugalrl.curate(_spec(pool), out=folder / "curated")
    kept = next(Path(made.folder).glob("train*.jsonl"))
    shutil.copy(kept, band)


def _spec(pool: Path) -> dict[str, object]:
    bands = ({"name": "hard", "low": 0, "high": 0.2}, {"name": "band", "low": 0.2, "high": 0.8})
    return {
        "name": "band",
        "seed": 1,
        "pools": [{"name": "pool", "path": str(pool)}],
        "solvers": {
            "base": {
                "kind": "engine",
                "model": "builtin:tiny",
                "template": "{problem}",
                "temperature": 1.0,
                "max_completion_tokens": 128,
            }
        },
        "steps": [
            {
                "step": "difficulty",
                "solvers": ["base"],
                "samples": 8,
                "bands": [*bands, {"name": "easy", "low": 0.8, "high": 1.0}],
                "drop": ["hard", "easy"],
            },
            {"step": "mix", "quotas": [{"count": KEPT, "bands": ["band"]}]},
        ],
    }
