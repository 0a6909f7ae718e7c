"""A small generated pool with known dirt, and specs over it."""

import json
from pathlib import Path
from typing import Any

from frugalrl.config.curation_schema import CurationSpec
from frugalrl.config.loading import parse_recipe

LEVELS = 5


def pool_rows(count: int = 40) -> list[dict[str, Any]]:
    """Problems that differ in their numbers, with solutions, levels 1 to 5 and two sources."""
    return [
        {
            "id": f"p{at}",
            "problem": f"A shop sells {at + 3} boxes with {2 * at + 5} pens each. How many pens does it sell in all?",
            "answer": str((at + 3) * (2 * at + 5)),
            "solution": f"We multiply: ${at + 3} \\cdot {2 * at + 5} = \\boxed{{{(at + 3) * (2 * at + 5)}}}$.",
            "level": f"Level {at % LEVELS + 1}",
            "source": "shop" if at % 4 else "market",
        }
        for at in range(count)
    ]


def write_pool(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def spec_of(pool: Path, *steps: dict[str, Any], **more: Any) -> CurationSpec:
    given = {"name": "test", "pools": [{"name": "pool", "path": str(pool)}], "steps": list(steps), **more}
    return parse_recipe(json.loads(json.dumps(given)), CurationSpec)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
