"""Groups of completions from plain texts, and rows of the real data where it is at hand."""

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from frugalrl.types import Completion, Problem, Prompt, RolloutGroup, Verdict

DATA = Path(os.environ.get("FRUGALRL_DATA", Path(__file__).parents[3] / "shared" / "data"))


def group_of(
    texts: Sequence[str],
    lengths_tokens: Sequence[int] | None = None,
    gold: str = "4",
    prompt: str = "What is 2 + 2?",
    truncated: bool = False,
    **columns: Any,
) -> RolloutGroup:
    """A group whose completions have the given texts and lengths (one token each if none are given)."""
    lengths = lengths_tokens or [1] * len(texts)
    completions = tuple(
        Completion(text, tuple(range(length)), (0.0,) * length, "length" if truncated else "stop", 0, 0)
        for text, length in zip(texts, lengths, strict=True)
    )
    problem = Problem("p-0", "What is 2 + 2?", gold, columns)
    return RolloutGroup(Prompt(problem, prompt, (0,)), completions)


def verdicts(labels: str) -> list[Verdict]:
    """ "ci?" -> correct, incorrect, unknown."""
    names = {"c": "correct", "i": "incorrect", "?": "unknown"}
    return [Verdict(names[label], None, "test") for label in labels]


def data_rows(name: str) -> list[dict[str, Any]]:
    """Rows of a data file, or a skip that says which is missing."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs the data file {name}: set FRUGALRL_DATA to a folder that has it")
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.decode().split("\n") if line.strip()]
