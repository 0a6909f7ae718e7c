"""Programs written out as completions, in the strategies of `strategies.py` that make sense for them. Pure.

careful        the expression as it grows, an operation a line, then the function
slip           the same, but each operation may be another one
misconception  an order that was not asked for
hasty          a function of the right shape, seldom right
no_format      the right expression, but no fence, or a reasoning that never ends
"""

import random

from frugalrl.tasks.programs import Operation, ProgramProblem, another, program, write
from frugalrl.tasks.strategies import GUESS_RIGHT_PROBABILITY, SLIP_PROBABILITY, Strategy


def write_program(rng: random.Random, problem: ProgramProblem, strategy: Strategy) -> str:
    """The completion of a prompt that ends in ``<think>\\n``. Raises ValueError for `verbose`, which programs lack."""
    if strategy == "hasty":
        right = rng.random() < GUESS_RIGHT_PROBABILITY
        operations = problem.operations if right else _with_slips(rng, problem.operations, least=1)
        return _closed(problem, ["It looks easy."], write(problem.family, operations)[-1])
    if strategy == "no_format":
        if rng.random() < 0.5:
            return "\n".join([*problem.steps, "</think>", program(problem.family, problem.steps[-1])])
        return "\n".join([*problem.steps, _fenced(problem, problem.steps[-1])])
    operations = {
        "careful": problem.operations,
        "misconception": problem.misconception or problem.operations,
        "slip": _with_slips(rng, problem.operations, least=0),
    }.get(strategy, ())
    if not operations:
        raise ValueError(f"programs have no strategy {strategy}")
    steps = write(problem.family, operations)
    return _closed(problem, list(steps), steps[-1])


def _with_slips(rng: random.Random, operations: tuple[Operation, ...], least: int) -> tuple[Operation, ...]:
    """Each operation another one with SLIP_PROBABILITY, `least` of them in any case."""
    wrong = {place for place in range(len(operations)) if rng.random() < SLIP_PROBABILITY}
    wrong |= set(rng.sample(range(len(operations)), least)) if len(wrong) < least else set()
    return tuple(another(rng, one) if place in wrong else one for place, one in enumerate(operations))


def _closed(problem: ProgramProblem, lines: list[str], expression: str) -> str:
    return "\n".join([*lines, "</think>", _fenced(problem, expression)])


def _fenced(problem: ProgramProblem, expression: str) -> str:
    return f"```python\n{program(problem.family, expression)}```"
