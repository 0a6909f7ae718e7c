"""Solution strategies that supervised fine-tuning mixes and RL chooses from.

For the same problem a tiny reasoner learns several ways to answer, some right, some wrong:

    careful        the right steps, once
    verbose        the steps in whole sentences, some of them slips, then a second pass that is right
    slip           the right steps, but each result is wrong with a chance of a quarter
    misconception  left to right, the distractor used, the sign not flipped
    hasty          a guess, seldom right
    no_format      the right steps, but no box, or a reasoning that never ends

The share of each moves with difficulty (`STRATEGY_MIX`); on hard problems the hasty guess is the likeliest,
so that even greedy decoding starts low. A part of the completions is in a second language (Chinese), so
that language drift can be seen. A completion is what follows a prompt that ends in ``<think>\\n``, as
R1-Distill's template does.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from frugalrl.tasks.arithmetic import LARGEST, ArithmeticProblem, Step

Strategy = Literal["careful", "verbose", "slip", "misconception", "hasty", "no_format"]
Language = Literal["en", "zh"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

SLIP_PROBABILITY = 0.25
"""The chance that a step of `slip`, or of the first pass of `verbose`, is wrong."""
GUESS_RIGHT_PROBABILITY = 0.1
"""How often a hasty guess happens to be right."""

StrategyMix = Mapping[int, Mapping[Strategy, float]]
"""Difficulty -> strategy -> share; the shares of a difficulty add up to one."""

SKILL_MIX: StrategyMix = {difficulty: {"careful": 0.9, "verbose": 0.1} for difficulty in (1, 2, 3)}
"""Right solutions only: the phase in which the model learns to calculate."""

STRATEGY_MIX: StrategyMix = {
    1: {
        "careful": 0.22,
        "verbose": 0.08,
        "slip": 0.18,
        "misconception": 0.16,
        "hasty": 0.24,
        "no_format": 0.12,
    },
    2: {
        "careful": 0.13,
        "verbose": 0.07,
        "slip": 0.14,
        "misconception": 0.12,
        "hasty": 0.42,
        "no_format": 0.12,
    },
    3: {
        "careful": 0.08,
        "verbose": 0.05,
        "slip": 0.08,
        "misconception": 0.08,
        "hasty": 0.64,
        "no_format": 0.07,
    },
}
"""What RL starts from: on easy problems right ways are likely, on hard ones a guess is the likeliest."""


PUZZLE_MIX: StrategyMix = {
    1: {"careful": 0.3, "slip": 0.18, "hasty": 0.42, "no_format": 0.1},
    2: {"careful": 0.2, "slip": 0.14, "hasty": 0.58, "no_format": 0.08},
    3: {"careful": 0.12, "slip": 0.1, "hasty": 0.72, "no_format": 0.06},
}
"""Of logic puzzles, which have no misconception of their own."""

PROGRAM_MIX: StrategyMix = {
    1: {"careful": 0.26, "slip": 0.16, "misconception": 0.16, "hasty": 0.32, "no_format": 0.1},
    2: {"careful": 0.16, "slip": 0.14, "misconception": 0.14, "hasty": 0.46, "no_format": 0.1},
    3: {"careful": 0.1, "slip": 0.1, "misconception": 0.1, "hasty": 0.63, "no_format": 0.07},
}
"""Of programs."""

_CAREFUL: StrategyMix = {difficulty: {"careful": 1.0} for difficulty in (1, 2, 3)}
_MIXES: Mapping[str, Mapping[str, StrategyMix]] = {
    "arithmetic": {"skill": SKILL_MIX, "strategies": STRATEGY_MIX},
    "logic": {"skill": _CAREFUL, "strategies": PUZZLE_MIX},
    "programs": {"skill": _CAREFUL, "strategies": PROGRAM_MIX},
}


def mix_named(mix: Literal["skill", "strategies"], domain: str) -> StrategyMix:
    """The shares of a domain's strategies: only right ones, or all."""
    return _MIXES[domain][mix]


def draw_of(rng: random.Random, shares: Mapping[Strategy, float]) -> Strategy:
    """A strategy in proportion to its share."""
    return rng.choices(list(shares), weights=list(shares.values()))[0]


@dataclass(frozen=True)
class _Phrases:
    """The wording of a solution in one language."""

    first: str
    then: str
    last: str
    stop: str
    opening: str
    sentence: str
    check: str
    guess: str
    answer: str
    boxed: str


_PHRASES: dict[Language, _Phrases] = {
    "en": _Phrases(
        first="First ",
        then="Then ",
        last="Finally ",
        stop=".",
        opening="Let me think step by step.",
        sentence="I need {left}{op}{right}, that is {result}.",
        check="Let me check that again.",
        guess="It looks like {guess}.",
        answer="The answer is {answer}.",
        boxed="\\boxed{{{answer}}}",
    ),
    "zh": _Phrases(
        first="首先 ",
        then="然后 ",
        last="最后 ",
        stop="。",
        opening="一步一步来。",
        sentence="要算 {left}{op}{right}，得 {result}。",
        check="再检查一遍。",
        guess="看起来是 {guess}。",
        answer="答案是 {answer}。",
        boxed="\\boxed{{{answer}}}",
    ),
}

Written = tuple[Step, int]
"""A step and the result that is written for it, right or not."""


def draw_strategy(rng: random.Random, problem: ArithmeticProblem, mix: StrategyMix) -> Strategy:
    """A strategy in proportion to its share; without a misconception to show, the slip takes its place."""
    strategy = draw_of(rng, mix[problem.difficulty])
    return "slip" if strategy == "misconception" and not problem.misconception else strategy


def write_completion(rng: random.Random, problem: ArithmeticProblem, strategy: Strategy, language: Language) -> str:
    """The completion of a prompt that ends in ``<think>\\n``, in one strategy and one language."""
    return _WRITERS[strategy](rng, problem, _PHRASES[language])


def _careful(rng: random.Random, problem: ArithmeticProblem, phrases: _Phrases) -> str:
    return _closed(_lines(_exact(problem.steps), phrases), problem.answer, phrases)


def _verbose(rng: random.Random, problem: ArithmeticProblem, phrases: _Phrases) -> str:
    first_pass = [
        phrases.sentence.format(left=step.left, op=step.op, right=step.right, result=result)
        for step, result in _slipping(rng, problem.steps)
    ]
    second_pass = _lines(_exact(problem.steps), phrases)
    lines = [phrases.opening, *first_pass, phrases.check, *second_pass]
    return _closed(lines, problem.answer, phrases)


def _slip(rng: random.Random, problem: ArithmeticProblem, phrases: _Phrases) -> str:
    written = _slipping(rng, problem.steps)
    return _closed(_lines(written, phrases), written[-1][1], phrases)


def _misconception(rng: random.Random, problem: ArithmeticProblem, phrases: _Phrases) -> str:
    steps = problem.misconception or problem.steps
    return _closed(_lines(_exact(steps), phrases), steps[-1].result, phrases)


def _hasty(rng: random.Random, problem: ArithmeticProblem, phrases: _Phrases) -> str:
    right = rng.random() < GUESS_RIGHT_PROBABILITY
    guess = problem.answer if right else _another(rng, problem.answer)
    return _closed([phrases.guess.format(guess=guess)], guess, phrases)


def _no_format(rng: random.Random, problem: ArithmeticProblem, phrases: _Phrases) -> str:
    lines = _lines(_exact(problem.steps), phrases)
    if rng.random() < 0.5:
        return "\n".join([*lines, "</think>", phrases.answer.format(answer=problem.answer)])
    return "\n".join([*lines, phrases.answer.format(answer=phrases.boxed.format(answer=problem.answer))])


_WRITERS: dict[Strategy, Callable[[random.Random, ArithmeticProblem, _Phrases], str]] = {
    "careful": _careful,
    "verbose": _verbose,
    "slip": _slip,
    "misconception": _misconception,
    "hasty": _hasty,
    "no_format": _no_format,
}


def _exact(steps: tuple[Step, ...]) -> list[Written]:
    return [(step, step.result) for step in steps]


def _slipping(rng: random.Random, steps: tuple[Step, ...]) -> list[Written]:
    """Each result wrong with SLIP_PROBABILITY; a slip is used by the steps that follow it.

    A value that a slip made unusable (out of range, an inexact division) is replaced by a plausible one.
    """
    replaced: dict[int, int] = {}
    written: list[Written] = []
    for step in steps:
        carried = Step(replaced.get(step.left, step.left), step.op, replaced.get(step.right, step.right))
        sound = 0 <= carried.result <= LARGEST if carried.op != "/" else _divides(carried)
        result = carried.result if sound else _another(rng, step.result)
        if rng.random() < SLIP_PROBABILITY:
            result = _another(rng, result)
        written.append((carried, result))
        if result != step.result:
            replaced[step.result] = result
    return written


def _divides(step: Step) -> bool:
    return step.right != 0 and step.left % step.right == 0


def _another(rng: random.Random, value: int) -> int:
    """A wrong value near the right one: a unit or ten off, or two digits swapped; within 0..LARGEST."""
    near = [value + offset for offset in (-10, -2, -1, 1, 2, 10)] + [int(f"{value:02d}"[::-1])]
    return rng.choice([guess for guess in near if 0 <= guess <= LARGEST and guess != value])


def _lines(written: list[Written], phrases: _Phrases) -> list[str]:
    lines = []
    for index, (step, result) in enumerate(written):
        lead = phrases.first if index == 0 else phrases.last if index == len(written) - 1 else phrases.then
        lines.append(f"{lead}{step.left}{step.op}{step.right}={result}{phrases.stop}")
    return lines


def _closed(lines: list[str], answer: int, phrases: _Phrases) -> str:
    box = phrases.boxed.format(answer=answer)
    return "\n".join([*lines, "</think>", phrases.answer.format(answer=box)])
