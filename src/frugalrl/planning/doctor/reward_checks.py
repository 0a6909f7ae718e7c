"""Rewards, tried on probes: do they pay for being right, and for nothing else?

A probe is a made-up completion whose worth is known (`probes.py`). The findings are about the rubric as a whole, and
about each term. Nothing here needs a model.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from frugalrl.config.schema import RewardTerm, TrainRecipe
from frugalrl.errors import RewardTimeoutError
from frugalrl.planning.doctor.clocks import DAY_AND_MORE, clock_at
from frugalrl.planning.doctor.finding import Finding
from frugalrl.planning.doctor.paid import Paid, own_functions, paid_of
from frugalrl.planning.doctor.probes import NOTHING_OF_WORTH, Kind, ProbeGroup, probe_group, reordered
from frugalrl.planning.doctor.remedies import instead, without
from frugalrl.planning.doctor.trap_checks import trap_findings
from frugalrl.rewards.registry import CARRIES_ACCURACY, is_built_in
from frugalrl.rewards.rubric import Rubric, score_group
from frugalrl.tasks.judging import compares_answers
from frugalrl.text.reasoning import prefills_think
from frugalrl.types import Prompt, ScoredGroup

_PROBLEMS = 3
_TIMEOUT_SECONDS = 20.0
"""For a user's function and the 13 probes of a problem."""
_SLOW_SECONDS = 0.5
_NAMES: Mapping[Kind, str] = {
    "empty": "an empty completion",
    "no_answer": "a completion without an answer",
    "cut_off": "a completion that is cut off at the cap",
    "every_option": "a list of several answers",
    "repeated": "a sentence repeated 40 times",
}
_TAGGED = ("tag_count", "open_rs_tag_count")
_ABOUT_ANSWERS = {"accuracy", "open_rs_accuracy", "code", *CARRIES_ACCURACY}
_LITTLE, _TOO_LITTLE = 0.2, 0.05
"""What being right is worth, of the whole range of the reward."""


def reward_findings(recipe: TrainRecipe, rubric: Rubric, tokenizer: Any, prompts: Sequence[Prompt]) -> list[Finding]:
    """prompts: of the training problems, in order; the first whose right answer is judged correct are used."""
    rubric = replace(rubric, timeouts={name: min(limit, _TIMEOUT_SECONDS) for name, limit in rubric.timeouts.items()})
    tags = any(term.name in _TAGGED for term in recipe.rewards)
    compared = [prompt for prompt in prompts[: 10 * _PROBLEMS] if compares_answers(prompt.problem)]
    groups = [probe_group(tokenizer, one, recipe.rollout.max_completion_tokens, tags) for one in compared]
    try:
        began = time.perf_counter()
        scored = [(one, score_group(rubric, one.group)) for one in groups[: 4 * _PROBLEMS]]
        seconds = (time.perf_counter() - began) / max(1, sum(len(one.kinds) for one, _ in scored))
        usable = [(one, group) for one, group in scored if _right_is_correct(one, group)][:_PROBLEMS]
        if not usable:
            return [_not_probed(len(compared))]
        kinds, probed = usable[0][0].kinds, [one for one, _ in usable]
        first = paid_of(rubric, kinds, [group for _, group in usable])
        again, turned = _paid(rubric, probed), _paid(rubric, [reordered(one) for one in probed])
        today, tomorrow = _paid_at_two_times(rubric, probed)
        trapped = trap_findings(recipe, rubric, tokenizer, [one.group.prompt for one in probed], _is_paid_for(first))
    except RewardTimeoutError as error:
        message, _, _ = str(error).partition(". ")
        name = next((term.name for term in recipe.rewards if term.name in message), recipe.rewards[0].name)
        return [Finding("rewards/slow", "red", f"{message}.", f"Give {name} a time limit on what it waits for")]
    return [
        _constant(first),
        *_terms(recipe, first),
        _right_is_paid(recipe, first),
        _range(recipe, first),
        *_hacks(recipe, first),
        *trapped,
        _long_and_right(recipe, first),
        _hidden_tag(recipe, first, prefills_think(probed[0].group.prompt.text)),
        _deterministic(first, again, turned, _differing(today, tomorrow)),
        _unreadable(recipe, rubric, probed[0], first),
        _slow(recipe, seconds),
    ]


def _not_probed(compared: int) -> Finding:
    if not compared:
        return Finding("rewards/probes", "green", "no made-up answers for this task: see the samples below")
    return Finding(
        "rewards/probes",
        "red",
        f"The gold itself, in a box after closed reasoning, is not judged correct on any of {compared} problems: no "
        "completion can earn anything for being right.",
        "frugalrl check-golds FILE says why; name the column of the answers with --set data.train.answer_field=COLUMN",
    )


def _right_is_correct(probes: ProbeGroup, scored: ScoredGroup) -> bool:
    return scored.completions[probes.kinds.index("right")].verdict.label == "correct"


def _paid(rubric: Rubric, groups: Sequence[ProbeGroup]) -> Paid:
    return paid_of(rubric, groups[0].kinds, [score_group(rubric, one.group) for one in groups])


def _paid_at_two_times(rubric: Rubric, probed: Sequence[ProbeGroup]) -> tuple[Paid, Paid]:
    """With the clock at the beginning of this second, and a day later: for functions of the user's own alone."""
    own = own_functions(rubric)
    if not own:
        nothing = Paid({}, {})
        return nothing, nothing
    now = float(int(time.time()))
    with clock_at(now, own):
        today = _paid(rubric, probed)
    with clock_at(now + DAY_AND_MORE, own):
        return today, _paid(rubric, probed)


def _constant(paid: Paid) -> Finding:
    if paid.span < 1e-9:
        return Finding(
            "rewards/constant",
            "red",
            f"Every probe, right or wrong, earns {paid.total['right']:g}: there is nothing to learn from.",
            "--set 'rewards=[{name: accuracy, weight: 1.0}, {name: format, weight: 0.5}]', or correct your function",
        )
    return Finding("rewards/constant", "green", f"the probes earn {min(paid.total.values()):g} to {_best(paid):g}")


def _best(paid: Paid) -> float:
    return max(paid.total.values())


def _terms(recipe: TrainRecipe, paid: Paid) -> list[Finding]:
    """A term that is the same for every probe, or takes no part at all."""
    found = []
    for position, term in enumerate(recipe.rewards):
        values = {0.0 if value is None else value for value in paid.terms[term.name].values()}
        if len(values) == 1 and len(recipe.rewards) > 1:
            none = all(value is None for value in paid.terms[term.name].values())
            what = "has no verdict on any probe" if none else f"gives {values.pop():g} to every probe"
            fix = f"{without(recipe, position)}, or correct its args"
            if none and term.gate_group_accuracy is not None:
                what = f"waits for {term.gate_group_accuracy:.0%} of a group to be right and pays nothing before"
                fix = f"--set rewards.{position}.gate_group_accuracy=null"
            message = f"{term.name} {what}, an empty and a right completion alike: it adds no signal."
            found.append(Finding(f"rewards/term {term.name}", "yellow", message, fix))
        elif term.weight < 0 and _is_a_merit(paid.terms[term.name]):
            found.append(
                Finding(
                    f"rewards/term {term.name}",
                    "yellow",
                    f"{term.name} has a negative weight and gives more to a right answer in good form than to a text "
                    "without one: good form is punished.",
                    f"--set rewards.{position}.weight={-term.weight:g}",
                )
            )
        elif term.weight == 0:
            fix = f"{without(recipe, position)}, or --set rewards.{position}.weight=1.0"
            found.append(Finding(f"rewards/term {term.name}", "yellow", f"{term.name} has the weight 0.", fix))
    return found


def _is_a_merit(values: Mapping[str, float | None]) -> bool:
    return (values["right"] or 0.0) > max(values[kind] or 0.0 for kind in ("empty", "cut_off")) + 1e-9


def _long_and_right(recipe: TrainRecipe, paid: Paid) -> Finding:
    """Whether length or language counts more than being right."""
    name, span = "rewards/length", paid.span or 1.0
    wrong, right = paid.total["wrong"], paid.total["right_long"]
    if right < paid.total["right"] and wrong > right + _TOO_LITTLE * span:
        return Finding(
            name,
            "yellow",
            f"A short wrong answer earns {wrong:g}, and a right one with more reasoning {right:g}: the policy would "
            "stop reasoning.",
            f"{_lower(recipe, paid, 'wrong', 'right_long')}",
        )
    other = paid.total["right_chinese"]
    if other > paid.total["right"] + _LITTLE * span:
        return Finding(
            name,
            "yellow",
            f"The same right answer earns {paid.total['right']:g} with reasoning in English and {other:g} in Chinese: "
            "the policy would change its language.",
            _lower(recipe, paid, "right_chinese", "right"),
        )
    return Finding(name, "green", "no length and no language is worth more than being right")


def _lower(recipe: TrainRecipe, paid: Paid, better: Kind, worse: Kind) -> str:
    """The term that prefers the one, at half its weight or less."""

    def gain(term: RewardTerm) -> float:
        values = paid.terms[term.name]
        return term.weight * ((values[better] or 0.0) - (values[worse] or 0.0))

    position, term = max(enumerate(recipe.rewards), key=lambda one: gain(one[1]))
    if len(recipe.rewards) == 1:
        return f"Let {term.name} pay less for it than for being right"
    return f"--set rewards.{position}.weight={term.weight / 10:g}, or let {term.name} pay less for it"


def _right_is_paid(recipe: TrainRecipe, paid: Paid) -> Finding:
    """Whether a right answer earns more than a wrong one, and by a part of the range that can be felt."""
    name, gain = "rewards/right_answer", paid.total["right"] - paid.total["wrong"]
    seen = f"a right answer earns {paid.total['right']:g}, the same with a wrong one {paid.total['wrong']:g}"
    if gain < -1e-9:
        return Finding(name, "red", f"{seen[0].upper()}{seen[1:]}: being wrong is rewarded.", _flip(recipe, paid))
    span = paid.span or 1.0
    if gain < _TOO_LITTLE * span:
        about = [term.name for term in recipe.rewards if term.name in _ABOUT_ANSWERS or not is_built_in(term.name)]
        fix = "--set 'rewards=[{name: accuracy, weight: 2.0}, {name: format, weight: 1.0}]'"
        if about and gain > 1e-9:
            position = [term.name for term in recipe.rewards].index(about[0])
            fix = f"--set rewards.{position}.weight={max(1.0, 2 * span):.2g}, or {fix}"
        return Finding(name, "red", f"{seen[0].upper()}{seen[1:]}: {_of(gain, span)}.", fix)
    if gain < _LITTLE * span:
        return Finding(name, "yellow", f"{seen[0].upper()}{seen[1:]}: {_of(gain, span)}.", _more(recipe, paid, gain))
    return Finding(name, "green", seen)


def _more(recipe: TrainRecipe, paid: Paid, gain: float) -> str:
    """A weight of the term for being right at which it is worth a quarter of the range."""

    def worth(term: RewardTerm) -> float:
        values = paid.terms[term.name]
        return term.weight * ((values["right"] or 0.0) - (values["wrong"] or 0.0))

    position, term = max(enumerate(recipe.rewards), key=lambda one: worth(one[1]))
    factor = math.ceil((paid.span - gain) / (3 * gain)) + 1
    return f"--set rewards.{position}.weight={factor * term.weight:g}"


def _is_paid_for(paid: Paid) -> bool:
    return paid.total["right"] - paid.total["wrong"] >= _TOO_LITTLE * (paid.span or 1.0)


def _of(gain: float, span: float) -> str:
    return f"being right is worth {gain:.3g} of a range of {span:.3g}" if gain > 1e-9 else "being right earns nothing"


def _flip(recipe: TrainRecipe, paid: Paid) -> str:
    """The term that turns it round: the exact weight to set."""

    def harm(term_name: str, weight: float) -> float:
        values = paid.terms[term_name]
        return weight * ((values["right"] or 0.0) - (values["wrong"] or 0.0))

    position, term = min(enumerate(recipe.rewards), key=lambda one: harm(one[1].name, one[1].weight))
    if term.weight < 0:
        return f"--set rewards.{position}.weight={-term.weight:g}"
    return f"{instead(recipe, position, 'accuracy')}, or correct the bounds of {term.name} in its args"


def _range(recipe: TrainRecipe, paid: Paid) -> Finding:
    """Whether one term decides alone."""
    spans = {}
    for term in recipe.rewards:
        values = [0.0 if value is None else value for value in paid.terms[term.name].values()]
        spans[term.name] = abs(term.weight) * (max(values) - min(values))
    total = sum(spans.values())
    shown = ", ".join(f"{name} {span:.3g}" for name, span in spans.items())
    largest = max(spans, key=lambda name: spans[name])
    if sum(span > 0 for span in spans.values()) > 1 and spans[largest] > 0.95 * total:
        position = [term.name for term in recipe.rewards].index(largest)
        weight = recipe.rewards[position].weight * (total - spans[largest]) / spans[largest]
        return Finding(
            "rewards/dominated",
            "yellow",
            f"{largest} makes up more than 95 % of what the reward can vary by ({shown}): the other terms will not be "
            "felt.",
            f"--set rewards.{position}.weight={max(weight, 1e-6):.2g}",
        )
    return Finding("rewards/dominated", "green", f"weighted ranges: {shown}")


def _hacks(recipe: TrainRecipe, paid: Paid) -> list[Finding]:
    """What earns as much as a right answer and has none."""
    right, tolerance = paid.total["right"], 1e-9 + 0.01 * paid.span
    if right <= paid.total["wrong"]:  # said already: nothing is paid for being right
        return []
    found = [
        Finding(
            f"rewards/pays {kind}",
            "red",
            f"{_NAMES[kind][0].upper()}{_NAMES[kind][1:]} earns {paid.total[kind]:g}, and a right answer {right:g}: "
            "the policy will find that.",
            _fix_of_hack(recipe, paid, kind),
        )
        for kind in NOTHING_OF_WORTH
        if paid.total[kind] >= right - tolerance
    ]
    if found:
        return found
    best = max(NOTHING_OF_WORTH, key=lambda kind: paid.total[kind])
    return [Finding("rewards/hacks", "green", f"nothing empty pays as much: {_NAMES[best]} earns {paid.total[best]:g}")]


def _fix_of_hack(recipe: TrainRecipe, paid: Paid, kind: Kind) -> str:
    """Naming the term that pays it."""

    def paid_by(name: str, weight: float) -> float:
        values = paid.terms[name]
        return weight * ((values[kind] or 0.0) - (values["right"] or 0.0))

    position, term = max(enumerate(recipe.rewards), key=lambda one: paid_by(one[1].name, one[1].weight))
    if paid_by(term.name, term.weight) <= 0 or len(recipe.rewards) == 1:
        return (
            "Add a term for being right: --set 'rewards=[{name: accuracy, weight: 2.0}, {name: format, weight: 1.0}]'"
        )
    if is_built_in(term.name):
        return f"Lower the weight of {term.name}: --set rewards.{position}.weight={term.weight / 10:g}"
    return (
        f"Let {term.name} pay nothing for it, or lower its weight: --set rewards.{position}.weight={term.weight / 10:g}"
    )


def _hidden_tag(recipe: TrainRecipe, paid: Paid, is_open: bool) -> Finding:
    """A reward that wants to see the opening tag, under a template that has written it already."""
    name = "rewards/opening_tag"
    if not is_open:
        return Finding(name, "green", "the model writes <think> itself")
    wanting = [
        (position, term.name)
        for position, term in enumerate(recipe.rewards)
        if term.weight > 0 and _wants_the_tag(paid.terms[term.name])
    ]
    if not wanting:
        return Finding(name, "green", "the template opens <think>, and the rewards know")
    position, term_name = wanting[0]
    return Finding(
        name,
        "red",
        f"The template writes <think> itself, and {term_name} pays only for completions that begin with it: it will "
        "never pay a well-formed one.",
        f"{instead(recipe, position, 'format')} (format is told what the template wrote), or let {term_name} accept a "
        "completion that begins inside <think>",
    )


def _wants_the_tag(values: Mapping[str, float | None]) -> bool:
    """Whether the tag alone makes the difference: a longer text without it gains less, or nothing."""
    tagged, right, longer = (values[kind] or 0.0 for kind in ("right_tagged", "right", "right_long"))
    lowest = min(value or 0.0 for kind, value in values.items() if kind != "right_tagged")
    return tagged > max(right, longer) + 1e-9 and (tagged - right) > 0.2 * (tagged - lowest)


_UNREADABLE = "$\\frac{1}{"
"""A gold that stops in the middle of a formula, as a cut-off export has it."""


def _unreadable(recipe: TrainRecipe, rubric: Rubric, probes: ProbeGroup, paid: Paid) -> Finding:
    """Whether a problem whose gold cannot be read pays every completion: then there is no verdict, and no reward."""
    name, problem = "rewards/unreadable_gold", probes.group.prompt.problem
    columns = {
        key: _UNREADABLE if isinstance(value, str) and problem.gold in value else value
        for key, value in problem.columns.items()
    }
    broken = replace(problem, gold=_UNREADABLE, columns=columns, check=replace(problem.check, also_accepted=()))
    prompt = replace(probes.group.prompt, problem=broken)
    seen = _paid(rubric, [replace(probes, group=replace(probes.group, prompt=prompt))])
    for position, term in enumerate(recipe.rewards):
        usual, wrong = paid.terms[term.name], seen.terms[term.name]["wrong"]
        gain = (usual["right"] or 0.0) - (usual["wrong"] or 0.0)
        if gain > 1e-9 and wrong is not None and wrong >= (usual["right"] or 0.0) - 0.01 * gain:
            return Finding(
                name,
                "yellow" if term.name.startswith("open_rs_") else "red",
                f"Where a gold cannot be read, {term.name} gives a wrong answer {wrong:g}, as much as a right one "
                "earns: such problems teach that any answer will do.",
                f"{instead(recipe, position, 'accuracy')}, or let {term.name} return None there",
            )
    return Finding(name, "green", "a gold that cannot be read pays nothing for a wrong answer")


def _deterministic(first: Paid, again: Paid, turned: Paid, changing: Sequence[str]) -> Finding:
    """changing: terms that give other values at another time."""
    name = "rewards/deterministic"
    repeat = _differing(first, again)
    order = [term for term in _differing(first, turned) if term not in repeat]
    dated = [term for term in changing if term not in repeat]
    if repeat:
        return Finding(
            name,
            "red",
            f"{', '.join(repeat)} gave other values for the same completions a moment later: advantages would be "
            "noise.",
            f"Take chance, the clock and state out of {repeat[0]}, or seed it by the completion",
        )
    if order:
        return Finding(
            name,
            "red",
            f"{', '.join(order)} gave other values when the same completions came in another order.",
            f"Return the values of {order[0]} in the order of `completions`, each from its own completion",
        )
    if dated:
        return Finding(
            name,
            "red",
            f"{', '.join(dated)} gave other values when the clock was set to tomorrow: rewards would drift with time.",
            f"Take the clock out of {dated[0]}",
        )
    return Finding(name, "green", "the same values for the same completions, in any order and at any time")


def _differing(one: Paid, other: Paid) -> list[str]:
    def same(a: float | None, b: float | None) -> bool:
        return a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9))

    return [
        name
        for name, values in one.terms.items()
        if not all(same(value, other.terms[name][kind]) for kind, value in values.items())
    ]


def _slow(recipe: TrainRecipe, seconds: float) -> Finding:
    completions = recipe.rollout.prompts_per_step * recipe.rollout.group_size
    shown = f"{1000 * seconds:.1f} ms a completion, {seconds * completions:.1f} s for a step's {completions}"
    if seconds > _SLOW_SECONDS:
        fix = "Judge the completions of a call together (an async function with asyncio.gather), or cache"
        return Finding("rewards/slow", "yellow", f"The rewards take {shown}.", fix)
    return Finding("rewards/slow", "green", shown)
