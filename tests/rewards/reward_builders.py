"""Groups of completions from plain texts, and rows of the real data."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from frugalrl.types import Completion, Problem, Prompt, RolloutGroup, Verdict


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
        Completion(text, tuple(range(length)), (0.0,) * length, "length" if truncated else "stop", (0,) * length, 0)
        for text, length in zip(texts, lengths, strict=True)
    )
    problem = Problem("p-0", "What is 2 + 2?", gold, columns)
    return RolloutGroup(Prompt(problem, prompt, (0,)), completions)


def verdicts(labels: str) -> list[Verdict]:
    """ "ci?" -> correct, incorrect, unknown."""
    names = {"c": "correct", "i": "incorrect", "?": "unknown"}
    return [Verdict(names[label], None, "test") for label in labels]


def data_rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """Rows of a data file, plain or gzip."""
    data = (folder / name).read_bytes()
    text = (gzip.decompress(data) if name.endswith(".gz") else data).decode()
    return [json.loads(line) for line in text.split("\n") if line.strip()]
