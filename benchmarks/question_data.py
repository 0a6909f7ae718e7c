"""What the questions in miniature choose from or start from, made once below a folder through the public API.

`band.jsonl`: 200 of the first 800 training problems (those that the recipes draw from), all of which the base solves
2 to 6 times in 8 at temperature 1: what curation by bands would keep for it. About a minute of one core.

`long/model`: the tiny base after supervised fine-tuning on 4,000 completions most of which are verbose (a first pass
that slips, then a second that is right), so that its good solutions are too long for a cap that suits the careful
ones. About a minute of one core.

`domains/`: test problems of arithmetic, logic and programs, a file each, in seconds.
"""

import json
import random
import shutil
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from question_domains import DOMAIN_TESTS

import frugalrl
from frugalrl.config.schema import ProblemSource
from frugalrl.tasks.arithmetic import generate
from frugalrl.tasks.loading import load_problems
from frugalrl.tasks.strategies import Strategy, draw_strategy, write_completion

POOL, KEPT = 800, 200
TRAIN_SEED = 11
"""That of the recipes."""
EXAMPLES, LONG_SEED = 4000, 31
TESTS, TEST_SEED = 102, 6
"""Of each domain."""
DOMAIN_DIFFICULTIES: tuple[Literal[1, 2, 3], ...] = (1, 2)
"""Those that the base of three domains was taught."""
_LONG: dict[Strategy, float] = {
    "verbose": 0.6,
    "careful": 0.05,
    "slip": 0.1,
    "misconception": 0.05,
    "hasty": 0.15,
    "no_format": 0.05,
}
LONG_MIX = dict.fromkeys((1, 2, 3), _LONG)


def make_band(folder: Path) -> None:
    """Make band.jsonl if it is missing."""
    band = folder / "band.jsonl"
    if band.is_file():
        return
    rows = [
        {"id": f"train-{number}", "problem": one.text, "answer": str(one.answer), "difficulty": one.difficulty}
        for number, one in enumerate(islice(generate(TRAIN_SEED, "train"), POOL))
    ]
    pool = _written(folder / "pool.jsonl", rows)
    shutil.rmtree(folder / "curated", ignore_errors=True)
    frugalrl.curate(_spec(pool), out=folder / "curated")
    shutil.copy(folder / "curated" / "train.jsonl", band)


def make_long_base(folder: Path) -> None:
    """Make long/model if it is missing."""
    if (folder / "long" / "summary.json").is_file():
        return
    rng = random.Random(LONG_SEED)
    rows = [
        {
            "prompt": problem.text,
            "completion": write_completion(rng, problem, draw_strategy(rng, problem, LONG_MIX), "en"),
        }
        for problem in islice(generate(LONG_SEED, "train"), EXAMPLES)
    ]
    shutil.rmtree(folder / "long", ignore_errors=True)
    frugalrl.sft(_long_recipe(_written(folder / "long.jsonl", rows)), out=folder / "long")


def make_domain_tests(folder: Path) -> None:
    """Make the files of DOMAIN_TESTS that are missing."""
    for test in DOMAIN_TESTS:
        if not (folder / test).is_file():
            source = ProblemSource(
                source=Path(test).stem, split="test", limit=TESTS, seed=TEST_SEED, difficulties=DOMAIN_DIFFICULTIES
            )
            rows = [
                {**one.columns, "id": one.id, "problem": one.text, "answer": one.gold} for one in load_problems(source)
            ]
            _written(folder / test, rows)


def _written(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _long_recipe(completions: Path) -> dict[str, object]:
    return {
        "name": "long-base",
        "seed": 1,
        "model": {"path": "builtin:tiny"},
        "phases": [{"source": str(completions)}],
        "optimizer": {"learning_rate": 1.0e-3, "schedule": "linear", "min_lr_fraction": 0.0, "warmup_fraction": 0.05},
        "training": {"batch_tokens": 8192, "pack_tokens": 384},
    }


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
