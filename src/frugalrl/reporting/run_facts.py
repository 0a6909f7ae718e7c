"""The facts of runs as sections of their page: which model was kept, what the guard did, what it was made with."""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from frugalrl.reporting import html_page as html
from frugalrl.reporting.findings import accuracy, points_of
from frugalrl.reporting.run_record import RunRecord
from frugalrl.statistics import wording

_ENVIRONMENT = {
    "processor": ("cpu",),
    "GPU": ("gpus",),
    "threads": ("threads",),
    "hash of the base weights": ("hash/base_weights",),
    "hash of the training data": ("hash/data/train",),
    "hash of the validation data": ("hash/data/validation",),
    "hash of the test data": ("hash/data/test",),
    "hash of the recipe": ("hash/recipe",),
}
_HASH_SHOWN = 16
Facts = list[tuple[str, list[str]]]
"""Rows: a name, and a cell for each run."""
_MOST_EVENTS = 12
"""In a table that stands open."""


def choice(runs: Sequence[RunRecord]) -> str:
    """What validation chose from, and why which model was kept; empty for runs that did not choose."""
    rows, reasons = [], []
    for run in runs:
        label = f"{run.label}: " if len(runs) > 1 else ""
        contenders = [one for one in run.summary.get("contenders") or [] if isinstance(one, Mapping)]
        rows += [_contender(label, one) for one in contenders]
        why = [str(reason) for reason in run.summary.get("choice") or []]
        early = run.summary.get("ended_early")
        reasons += [f"{label}{reason}" for reason in (*([str(early)] if early else ()), *why)]
    if not rows:
        return ""
    heads = ["model", "step", "validation (avg@k)", "from the base", "against the base"]
    remark = (
        "p is corrected for every checkpoint that was looked at. The highest of several is too high: the test says."
    )
    table = html.html_table(heads, rows, remark)
    if len(runs) > 1:
        table = html.folded("Every model that was looked at", table)
    return html.section("Which model was kept", html.notes(list(dict.fromkeys(reasons))), table)


def _contender(label: str, one: Mapping[str, Any]) -> list[str]:
    score = one.get("score")
    p_value, verdict = one.get("p_value"), one.get("verdict")
    shown = ""
    if isinstance(p_value, int | float) and isinstance(verdict, str):
        shown = f"{verdict} ({wording.p_value(p_value)})"
    return [
        escape(f"{label}{one.get('name')}"),
        escape(str(one.get("step"))),
        html.cell(*accuracy(score if isinstance(score, Mapping) else {})),
        html.cell(*points_of(one.get("difference"))) if one.get("difference") else "",
        escape(shown),
    ]


def guard_events(runs: Sequence[RunRecord]) -> str:
    """What the guard decided and did; empty if nothing."""
    rows = [
        [escape(run.label), escape(str(event.get("step"))), escape(str(event.get("action"))), _said(event)]
        for run in runs
        for event in run.guard
    ]
    if not rows:
        return ""
    table = html.html_table(["run", "step", "action", "why"], rows)
    if len(rows) > _MOST_EVENTS:
        counts = Counter(str(event.get("action")) for run in runs for event in run.guard)
        table = html.folded(escape(", ".join(f"{count} {action}" for action, count in counts.most_common())), table)
    return html.section("What the guard did", table)


def _said(event: Mapping[str, Any]) -> str:
    if event.get("reason"):
        return escape(str(event["reason"]))
    return escape(f"back to step {event.get('to')}, learning rate times {event.get('lr_factor')}")


def _recorded(run: RunRecord, *keys: str) -> str:
    """A value of environment.json, a long hash cut short."""
    value = next((run.environment[key] for key in keys if run.environment.get(key) not in (None, [], "")), None)
    if value is None:
        return "–"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return escape(text[:_HASH_SHOWN] if keys[0].startswith("hash/") else text)


def provenance(runs: Sequence[RunRecord]) -> str:
    facts = _facts(runs)
    rows = [[escape(name), *cells] for name, cells in facts]
    table = html.html_table(["setting", "value"], rows) if len(runs) == 1 else _beside(runs, facts)
    recipes = [
        html.folded(escape(f"Recipe of {run.label}, complete"), html.preformatted(run.recipe_text, 40_000))
        for run in runs
        if run.recipe_text
    ]
    return html.section("What it was made with", table, *recipes)


def _beside(runs: Sequence[RunRecord], facts: Facts) -> str:
    """What differs between the runs, a row for each run, and what all share."""
    shared = [(name, cells[0]) for name, cells in facts if len(set(cells)) == 1]
    unlike = [(name, cells) for name, cells in facts if len(set(cells)) > 1]
    parts = []
    if unlike:
        rows = [[escape(run.label), *(cells[at] for _, cells in unlike)] for at, run in enumerate(runs)]
        parts.append(html.html_table(["run", *(name for name, _ in unlike)], rows, "What differs"))
    table = html.html_table(["setting", "value"], [[escape(name), cell] for name, cell in shared], "The same in all")
    return "".join([*parts, table if shared else ""])


def _facts(runs: Sequence[RunRecord]) -> Facts:
    """Rows of facts, a cell for each run; rows that no run can fill are left out."""
    places = {
        "model": ("model", "path"),
        "computing in": ("model", "dtype"),
        "device": ("model", "device"),
        "seed": ("seed",),
        "training data": ("data", "train", "source"),
        "validation data": ("data", "validation", "source"),
        "test data": ("data", "test", "source"),
        "steps": ("training", "steps"),
        "prompts per step": ("rollout", "prompts_per_step"),
        "group size": ("rollout", "group_size"),
        "completion tokens, at most": ("rollout", "max_completion_tokens"),
        "learning rate": ("optimizer", "learning_rate"),
        "KL coefficient": ("algorithm", "loss", "kl_coef"),
    }
    rows = [(name, [_inside(run.recipe, *path) for run in runs]) for name, path in places.items()]
    rows.insert(4, ("rewards", [_rewards(run.recipe) for run in runs]))
    rows += [(name, [_recorded(run, *keys) for run in runs]) for name, keys in _ENVIRONMENT.items()]
    versions = {key for run in runs for key in run.environment if key.startswith("version/")}
    names = sorted(key.removeprefix("version/") for key in versions)
    rows += [(name, [_recorded(run, f"version/{name}") for run in runs]) for name in names]
    if not versions:
        packages = sorted({name for run in runs for name in run.summary.get("versions") or {}})
        rows += [(name, [_inside(run.summary, "versions", name) for run in runs]) for name in packages]
    return [(name, cells) for name, cells in rows if any(one != "–" for one in cells)]


def _inside(values: Any, *path: str) -> str:
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return "–" if values is None else escape(str(values))


def _rewards(recipe: Mapping[str, Any]) -> str:
    terms = [one for one in recipe.get("rewards") or [] if isinstance(one, Mapping)]
    return escape(" + ".join(f"{one.get('weight')} x {one.get('name')}" for one in terms)) or "–"
