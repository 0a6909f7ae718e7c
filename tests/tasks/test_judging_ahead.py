"""Verdicts that are made while others are sampled are those that are made at the end."""

import random
import threading
import time
from dataclasses import replace
from fractions import Fraction

import pytest

from frugalrl.errors import RecipeError
from frugalrl.rollout.collect import collect_groups, completion_seed
from frugalrl.rollout.engine import SamplingParams, generate
from frugalrl.rollout.scripted_engine import ScriptedEngine
from frugalrl.rollout.wrapped_engine import WrappedEngine
from frugalrl.tasks import judging_ahead
from frugalrl.tasks.choice import prepare
from frugalrl.tasks.judging import judge_groups
from frugalrl.tasks.judging_ahead import JudgingAhead
from frugalrl.tasks.logic import generate as puzzles
from frugalrl.tasks.logic import logic_problem
from frugalrl.tasks.program_solutions import write_program
from frugalrl.tasks.programs import generate as specifications
from frugalrl.tasks.programs_task import program_problem
from frugalrl.tasks.task import Task
from frugalrl.types import Check, Problem, Prompt, Verdict
from frugalrl.verify.code.sandbox import isolation_problem
from frugalrl.verify.workers.pool import VerifierPool
from tests.tasks.test_judging import MATHS, PARITY, boxed, group
from tests.verify.test_workers_pool import EQUAL, HANGS

SLOW = Problem("s", "?", "1", check=Check("tests.tasks.test_judging_ahead.SLOW_TASK"))
threads_of_checks: list[threading.Thread] = []
texts_checked: list[int] = []
was_checked = threading.Event()


def slow_check(completions, problem, reasoning_open):
    threads_of_checks.append(threading.current_thread())
    texts_checked.append(len(completions))
    if "broken" in completions:
        raise ZeroDivisionError("in a checker")
    was_checked.set()
    return [Verdict("correct", one, "said") for one in completions]


SLOW_TASK = Task(name="slow", check=slow_check, checks_beside_sampling=True)


@pytest.fixture(autouse=True)
def _forgotten():
    threads_of_checks.clear()
    texts_checked.clear()
    was_checked.clear()


def mixed_groups():
    """Comparison by text and by computer algebra, a tolerance, puzzles, letters, programs, and a user's own checker."""
    puzzle = logic_problem(next(puzzles(1, "train")), 0, "train")
    close = replace(MATHS, gold="4.2", check=Check(tolerance=Fraction(1, 10)))
    letters = prepare(Problem("c", "Which?", "B", columns={"choices": ["a", "b"], "answer": "B"}))
    groups = [
        group(MATHS, *boxed("42", "41", "\\frac{84}{2}", "(6+1)^2-7"), "none"),
        group(PARITY, "It is odd.", "even", ""),
        group(puzzle, *boxed(puzzle.gold, "nobody")),
        group(close, *boxed("4.3", "4.2", "9")),
        group(replace(letters, check=Check("choice")), "Answer: B", "Answer: A"),
        group(SLOW, "a", "b", "c"),
    ]
    if isolation_problem() is None:
        program = next(specifications(1, "train"))
        right = write_program(random.Random(0), program, "careful")
        groups.append(group(program_problem(program, 0, "train"), right, "```python\nx = 1\n```", "no code"))
    return groups


def prompts(groups):
    return [one.prompt for one in groups]


def test_verdicts_are_those_of_the_end_whatever_was_handed_over_in_any_order_by_any_thread(pool):
    groups = mixed_groups()
    expected = judge_groups(groups, pool)
    assert {verdict.label for own in expected for verdict in own} == {"correct", "incorrect"}
    texts = [(at, sample, one.text) for at, own in enumerate(groups) for sample, one in enumerate(own.completions)]
    for seed in range(6):
        rng = random.Random(seed)
        handed = [one for one in texts if rng.random() > 0.15 * seed]  # at first all, later fewer
        handed += [(at, sample, "\\boxed{0}") for at, sample, _ in rng.sample(handed, min(seed, len(handed)))]
        rng.shuffle(handed)
        with JudgingAhead(prompts(groups), pool) as judging:
            adding = [
                threading.Thread(target=lambda own: [judging.add(*one) for one in own], args=(handed[at::3],))
                for at in range(3)
            ]
            for thread in adding:
                thread.start()
            for thread in adding:
                thread.join()
            assert judging.verdicts(groups) == expected


def test_a_completion_is_checked_once_and_while_the_next_is_sampled(tokenizer):
    """The engine waits in the middle of its work until the first completion was checked."""
    own = [Prompt(replace(SLOW, id=str(number)), "", (number + 1,)) for number in range(3)]
    answer = (*tokenizer("yes")["input_ids"], tokenizer.eos_token_id)
    first = completion_seed(1, "0", 0)

    def script(prompt, seed):
        assert seed == first or was_checked.wait(30), "nothing was checked while the second completion was sampled"
        return answer

    with JudgingAhead(own) as judging:
        made = collect_groups(ScriptedEngine(script), tokenizer, own, 2, SamplingParams(8), (1,), judging.add)
        assert [[one.label for one in verdicts] for verdicts in judging.verdicts(made)] == [["correct"] * 2] * 3
    assert sum(texts_checked) == 6
    assert threading.main_thread() not in threads_of_checks


def test_a_checker_that_does_not_say_that_it_may_be_called_beside_sampling_is_called_where_it_was(monkeypatch):
    groups = [group(SLOW, "a", "b")]
    monkeypatch.setattr(judging_ahead, "task_named", lambda name: replace(SLOW_TASK, checks_beside_sampling=False))
    with JudgingAhead(prompts(groups)) as judging:
        for sample, text in enumerate("ab"):
            judging.add(0, sample, text)
        assert judging.verdicts(groups) == judge_groups(groups)
    assert set(threads_of_checks) == {threading.main_thread()}


@pytest.mark.parametrize(
    ("problem", "error", "says"),
    [(SLOW, ZeroDivisionError, "in a checker"), (replace(MATHS, check=Check("math")), RecipeError, "no task 'math'")],
)
def test_an_error_is_raised_where_verdicts_are_asked_for(problem, error, says):
    groups = [group(problem, "broken"), group(SLOW, "a")]
    with JudgingAhead(prompts(groups)) as judging:
        judging.add(0, 0, "broken")
        judging.add(1, 0, "a")
        with pytest.raises(error, match=says):
            judging.verdicts(groups)


def test_what_is_left_keeps_no_worker_busy():
    """As after Ctrl-C in a rollout: the answer that hangs is cut off, and those behind it are never begun."""

    def interrupted(judging):
        with judging:
            for number in range(30):
                judging.add(number, 0, HANGS.completion)
            while len(judging._compared) < 30:
                time.sleep(0.01)
            raise KeyboardInterrupt

    hanging = Prompt(replace(MATHS, gold=HANGS.gold), "", ())
    with VerifierPool(workers=1, cpu_seconds=0.1) as own:
        judging = JudgingAhead([hanging] * 30, own)
        with pytest.raises(KeyboardInterrupt):
            interrupted(judging)
        judging.add(0, 0, "late")
        judging._thread.join(30)
        assert not judging._thread.is_alive()
        assert sum(one.result.cancelled() for _, one in judging._compared.values()) >= 24
        assert own.judge(EQUAL).label == "correct"


def test_an_engine_from_before_on_finished_goes_on_working():
    class Older(ScriptedEngine):
        def generate(self, requests, sampling):
            return super().generate(requests, sampling)

    engine, told = Older(lambda prompt, seed: prompt), []
    for one in (engine, WrappedEngine(engine)):
        assert generate(one, [], SamplingParams(4), lambda *finished: told.append(finished)) == []
