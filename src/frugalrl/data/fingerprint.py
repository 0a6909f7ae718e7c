"""A hash of problems as they were loaded: the same for a file that was moved, another for any change that counts."""

import hashlib
import json
from collections.abc import Sequence

from frugalrl.types import Prompt


def prompts_hash(prompts: Sequence[Prompt]) -> str:
    """SHA-256 over id, prompt tokens, gold and columns of each problem, in order."""
    digest = hashlib.sha256()
    for prompt in prompts:
        problem = prompt.problem
        row = [problem.id, list(prompt.token_ids), problem.gold, dict(problem.columns)]
        digest.update(json.dumps(row, default=str, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
