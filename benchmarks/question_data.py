"""What the questions in miniature choose from or start from, made once below a folder through the public API.

`band.jsonl`: 200 of the first 800 training problems (those that the recipes draw from), all of which the base solves
2 to 6 times in 8 at temperature 1: what curation by bands would keep for it. About a minute of one core.

`long/model`: the tiny base after supervised fine-tuning on 4,000 completions most of which are verbose (a first pass
that slips, then a second that is right), so that its good solutions are too long for a cap that suits the careful
ones. About a minute of one core.

`drifted/model`: what open-rs3 in miniature leads to, nearly all in Chinese: 120 steps of it. Some 90 seconds.

`bilingual/model`: the tiny base after supervised fine-tuning on 9,000 completions of its own mixture of strategies: a
third in English and asked so by a system prompt, a third in Chinese and asked so, a third without one, in the tiny
base's mixture of both. Three minutes.

`domains/`, `domains-large/`: test problems of arithmetic, logic and programs, a file each, in seconds.

A maker's folder or file is there once it is whole.
"""

import json
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from question_domains import DOMAIN_TESTS
from question_gentle import GENTLE_TESTS
from question_second import IN_ENGLISH
from seeded_runs import MINI

import frugalrl
from frugalrl.config.schema import ProblemSource
from frugalrl.tasks.arithmetic import ArithmeticProblem, generate
from frugalrl.tasks.loading import load_problems
from frugalrl.tasks.strategies import STRATEGY_MIX, Language, Strategy, draw_strategy, write_completion

POOL, KEPT = 800, 200
TRAIN_SEED = 11
"""That of the recipes."""
EXAMPLES, LONG_SEED = 4000, 31
TESTS: Mapping[tuple[str, ...], int] = {DOMAIN_TESTS: 102, GENTLE_TESTS: 408}
"""Problems in each file."""
TEST_SEED = 6
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
IN_CHINESE = "请用中文回答。"
A_THIRD, BILINGUAL_SEED = 3000, 32
SECOND_LANGUAGE = 0.12
"""Of the tiny base's own completions (recipes/tiny-base.yaml)."""
DRIFT_STEPS, DRIFT_SEED = 120, 21
"""A seed of no question."""


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
    if _is_made("long", folder):
        return
    rng = random.Random(LONG_SEED)
    rows = [
        {
            "prompt": problem.text,
            "completion": write_completion(rng, problem, draw_strategy(rng, problem, LONG_MIX), "en"),
        }
        for problem in islice(generate(LONG_SEED, "train"), EXAMPLES)
    ]
    _fine_tuned("long", rows, folder)


def make_drifted_base(folder: Path) -> None:
    """Make drifted/model if it is missing."""
    out = folder / "drifted"
    if _is_made("drifted", folder):
        return
    shutil.rmtree(out, ignore_errors=True)
    settings = [
        "name=drifted-base",
        f"seed={DRIFT_SEED}",
        f"training.steps={DRIFT_STEPS}",
        "training.micro_batch_tokens=1024",
        "data.validation=null",
        "data.test=null",
        "evaluation.every=null",
        "guard.enabled=false",
    ]
    frugalrl.train(frugalrl.load_recipe(MINI / "open-rs3.yaml", settings), out=out, ignore_doctor=True)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)


def make_bilingual_base(folder: Path) -> None:
    """Make bilingual/model if it is missing."""
    if _is_made("bilingual", folder):
        return
    rng = random.Random(BILINGUAL_SEED)
    problems = list(islice(generate(BILINGUAL_SEED, "train"), 3 * A_THIRD))
    systems = [IN_ENGLISH, IN_CHINESE, None] * A_THIRD
    rng.shuffle(systems)  # families of problems come in turn, too: in turn, the family would tell the language
    rows = [_bilingual_row(rng, problem, system) for problem, system in zip(problems, systems, strict=True)]
    _fine_tuned("bilingual", rows, folder, {"batch_tokens": 2048})


def _bilingual_row(rng: random.Random, problem: ArithmeticProblem, system: str | None) -> dict[str, object]:
    drawn: Language = "zh" if rng.random() < SECOND_LANGUAGE else "en"
    asked: Mapping[str | None, Language] = {IN_ENGLISH: "en", IN_CHINESE: "zh"}
    language = asked.get(system, drawn)
    user = {"role": "user", "content": problem.text}
    strategy = draw_strategy(rng, problem, STRATEGY_MIX)
    return {
        "prompt": [user] if system is None else [{"role": "system", "content": system}, user],
        "completion": write_completion(rng, problem, strategy, language),
    }


MAKERS: Mapping[str, Callable[[Path], None]] = {
    "$DATA/band": make_band,
    "$DATA/long": make_long_base,
    "$DATA/drifted": make_drifted_base,
    "$DATA/bilingual": make_bilingual_base,
}
"""By what a recipe names."""


def make_domain_tests(folder: Path) -> None:
    """Make the files of TESTS that are missing."""
    for test, count in ((test, count) for files, count in TESTS.items() for test in files):
        if not (folder / test).is_file():
            source = ProblemSource(
                source=Path(test).stem, split="test", limit=count, seed=TEST_SEED, difficulties=DOMAIN_DIFFICULTIES
            )
            rows = [  # with the task, whose prompt is the bare problem, as in training
                {**one.columns, "id": one.id, "problem": one.text, "answer": one.gold, "task": one.check.task}
                for one in load_problems(source)
            ]
            _written(folder / test, rows)


def _is_made(name: str, folder: Path) -> bool:
    """A model's folder appears whole or not at all."""
    return (folder / name / "model").is_dir()


def _fine_tuned(
    name: str, rows: Sequence[Mapping[str, object]], folder: Path, training: Mapping[str, int] | None = None
) -> None:
    shutil.rmtree(folder / name, ignore_errors=True)
    recipe = _fine_tuning(name, _written(folder / f"{name}.jsonl", rows))
    recipe["training"] = {"batch_tokens": 8192, "pack_tokens": 384, **(training or {})}
    frugalrl.sft(recipe, out=folder / name)


def _written(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _fine_tuning(name: str, completions: Path) -> dict[str, object]:
    return {
        "name": f"{name}-base",
        "seed": 1,
        "model": {"path": "builtin:tiny"},
        "phases": [{"source": str(completions)}],
        "optimizer": {"learning_rate": 1.0e-3, "schedule": "linear", "min_lr_fraction": 0.0, "warmup_fraction": 0.05},
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
