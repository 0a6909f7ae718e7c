"""The problems that a run is measured on: golds that can be verified, nothing that is trained on in other words."""

import random
from collections.abc import Callable, Sequence

from frugalrl.config.schema import TrainRecipe
from frugalrl.config.task_table import TASKS
from frugalrl.data.duplicates import near_duplicate_matches
from frugalrl.planning.doctor.finding import Finding
from frugalrl.training.problem_sets import ProblemSets
from frugalrl.types import Problem

_COMPARED = 2000
"""Training problems compared with the held-out ones: about a millisecond each."""
_MANY, _SOME = 0.05, 0.01
"""Of the held-out problems, with a twin in training: a score may be wrong by about as much."""


def held_out_findings(
    recipe: TrainRecipe, problems: ProblemSets, judge: Callable[[str, Sequence[Problem]], list[Finding]]
) -> list[Finding]:
    """judge: what is wrong with the golds of a split. A task's own problems are right and apart by construction."""
    found = []
    for split, prompts in (("validation", problems.validation), ("test", problems.test)):
        source = getattr(recipe.data, split)
        if prompts and source is not None and source.source not in TASKS:
            found.append(_as_one(split, judge(split, [prompt.problem for prompt in prompts])))
    if recipe.data.train.source not in TASKS:
        train = [prompt.problem for prompt in problems.train]
        held_out = [prompt.problem for prompt in [*problems.validation, *problems.test]]
        found += [near_finding(train, held_out, recipe.seed)] if held_out else []
    return found


def _as_one(split: str, findings: Sequence[Finding]) -> Finding:
    """The worst of a split's findings, under the split's name."""
    bad = sorted((one for one in findings if one.level != "green"), key=lambda one: one.level != "red")
    if not bad:
        return Finding(f"data/{split}", "green", f"the {split} problems' golds can be verified")
    message = f"Of the {split} problems: {bad[0].message}"
    return Finding(f"data/{split}", bad[0].level, message, bad[0].fix.replace("data.train.", f"data.{split}."))


def near_finding(train: Sequence[Problem], held_out: Sequence[Problem], seed: int) -> Finding:
    """Held-out problems that stand among the training problems in other words, with the same numbers or answer."""
    name = "data/near_overlap"
    drawn = random.Random(seed).sample(list(train), min(_COMPARED, len(train)))
    both = [*held_out, *drawn]
    matches = near_duplicate_matches([one.text for one in both], golds=[one.gold for one in both])
    border = len(held_out)
    twins = {match.first: match.second for match in matches if match.first < border <= match.second}
    shown = f"{len(twins)} of {border} held-out problems are among {len(drawn):,} training problems in other words"
    if len(twins) <= _SOME * border:
        return Finding(name, "green", shown)
    first = min(twins)
    return Finding(
        name,
        "red" if len(twins) > _MANY * border else "yellow",
        f"{shown[0].upper()}{shown[1:]}, e.g. {_short(both[first].text)!r} and {_short(both[twins[first]].text)!r}: "
        "accuracy on them is memory.",
        "frugalrl curate SPEC with the step {step: decontaminate, benchmarks: [HELD-OUT FILE]}, then "
        "--set data.train.source=CURATED FILE",
    )


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 50 else f"{flat[:47]}..."
