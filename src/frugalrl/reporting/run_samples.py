"""Every sample that a run kept, for its page: the evaluations of each step, and the logged groups of training.

The sources are steps, so that one problem can be read at step 0, 50 and 100 side by side.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from frugalrl.errors import UserError
from frugalrl.evaluation.results import SUFFIX, read_results
from frugalrl.reporting.evaluation_samples import Language, shown_problem, shown_sample
from frugalrl.reporting.sample_browser import Samples, ShownProblem, ShownSample
from frugalrl.text.reasoning import prefills_think

_FILE = re.compile(r"(?P<split>[a-z]+)-step-(?P<step>\d+)")
_TRAINING = "training"
_SPLITS = ("validation", "test")
_MOST_SAMPLES = 20_000
"""Of the last steps where there are more: a page of about 20 MB at a thousand tokens each."""


def run_samples(folder: Path, language: Language) -> Samples | None:
    """The samples of a run's folder; None if there are none. Files that cannot be read are left out."""
    found = [*_evaluations(folder), *_groups(folder)]
    found = found[-_MOST_SAMPLES:]
    steps = sorted({step for step, *_ in found})
    problems: dict[tuple[str, str], ShownProblem] = {}
    places: dict[tuple[str, str], int] = {}
    shown = []
    for step, split, problem, sample in found:
        key = split, problem.id
        if key not in places:
            places[key] = len(places)
            problems[key] = problem
        shown.append(_placed(sample, places[key], steps.index(step), language))
    shown.sort(key=lambda one: (one.problem, one.source, one.number))
    names = tuple(f"step {step}" for step in steps)
    return Samples(names, "step", tuple(problems.values()), tuple(shown)) if shown else None


_Found = tuple[int, str, ShownProblem, ShownSample]


def _placed(sample: ShownSample, problem: int, source: int, language: Language) -> ShownSample:
    values = {**vars(sample), "problem": problem, "source": source, "language": language(sample.text)}
    return ShownSample(**values)


def _evaluations(folder: Path) -> Iterator[_Found]:
    for path in sorted((folder / "evaluations").glob(f"*{SUFFIX}")):
        match = _FILE.fullmatch(path.stem)
        if match is None or match["split"] not in _SPLITS:
            continue
        try:
            results = read_results(path)
        except UserError:
            continue
        for one in results.samples:
            record = results.problems.get(one.problem_id)
            if record is not None:
                problem = shown_problem(match["split"], record)
                yield int(match["step"]), match["split"], problem, shown_sample(one, record, 0, 0, "")


def _groups(folder: Path) -> Iterator[_Found]:
    """The first group of each training step; what is in another form than ours is left out."""
    try:
        lines = (folder / "samples.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            group = json.loads(line)
            step, prompt, gold = int(group["step"]), str(group["prompt"]), str(group["gold"])
            completions = [one for one in group["completions"] if isinstance(one, dict)]
        except (ValueError, KeyError, TypeError):
            continue
        problem = ShownProblem(f"step {step}", _TRAINING, _asked(prompt), gold, prompt)
        for number, one in enumerate(completions):
            yield step, _TRAINING, problem, _of_group(one, number, prefills_think(prompt))


def _of_group(one: Mapping[str, Any], number: int, reasoning_open: bool) -> ShownSample:
    terms = one.get("breakdown")
    reward = one.get("reward")
    text = str(one.get("text", ""))
    tokens = one.get("tokens", one.get("completion_tokens"))
    return ShownSample(
        problem=0,
        source=0,
        number=number,
        verdict=str(one.get("verdict", "")),
        reason=str(one.get("reason", "")),
        tokens=tokens if isinstance(tokens, int) else len(text) // 4,
        truncated=one.get("finish_reason") == "length" or one.get("truncated") is True,
        answer=one.get("extracted") if isinstance(one.get("extracted"), str) else None,
        text=text,
        reasoning_open=reasoning_open,
        reward=float(reward) if isinstance(reward, int | float) else None,
        terms={str(name): value for name, value in terms.items() if isinstance(value, int | float)}
        if isinstance(terms, Mapping)
        else {},
    )


def _asked(prompt: str) -> str:
    """The last user's turn of a rendered prompt, as far as common templates show it; else all of it."""
    text = re.sub(r"<think>\s*$", "", prompt)
    parts = [part.strip() for part in re.split(r"<[|｜][^>]*[|｜]>(?:system|user|assistant)?", text) if part.strip()]
    return parts[-1] if parts else prompt
