"""A user's own reward function: what it may return, what it may ask for, and how long it may take."""

import asyncio
import functools
import math
import re
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction

import numpy
import pytest
import torch

from frugalrl.config.schema import RewardTerm
from frugalrl.errors import BudgetEndedError, RecipeError, RewardTimeoutError, UserError
from frugalrl.rewards.rubric import build_rubric, check_columns, score_group
from frugalrl.rewards.time_limit import OutOfTimeError, call_within
from frugalrl.training.metrics import step_metrics
from frugalrl.types import Problem
from tests.rewards.reward_builders import group_of

HERE = "tests.rewards.test_user_functions"
GROUP = group_of(["ab", "abcd"], level=2)


def rewarded(name, group=GROUP, seconds_left=math.inf, **fields):
    rubric = build_rubric([RewardTerm(name=f"{HERE}.{name}", **fields)], 100)
    scored = score_group(rubric, group, seconds_left).completions
    return [one.breakdown[f"{HERE}.{name}"] for one in scored]


# ---------------------------------------------------------------------------------------- what it returns


def numpy_array(completions, **columns):
    return numpy.array([len(text) for text in completions], dtype=numpy.float32)


def numpy_scalars(completions, **columns):
    return [numpy.int64(len(completions[0])), numpy.float16(4)]


def numpy_columns(completions, **columns):
    return numpy.array([[2.0], [4.0]])


def torch_tensor(completions, **columns):
    return torch.tensor([2, 4], dtype=torch.bfloat16, requires_grad=False)


def torch_with_gradient(completions, **columns):
    return torch.tensor([2.0, 4.0], requires_grad=True)


def torch_scalars(completions, **columns):
    return [torch.tensor(2.0), torch.tensor([4])]


def a_tuple(completions, **columns):
    return (2, Fraction(8, 2))


def a_generator(completions, **columns):
    return (len(text) for text in completions)


@pytest.mark.parametrize(
    "name",
    ["numpy_array", "numpy_scalars", "numpy_columns", "torch_tensor", "torch_with_gradient", "torch_scalars", "a_tuple",
     "a_generator"],
)  # fmt: skip
def test_numbers_of_numpy_and_torch_are_numbers(name):
    values = rewarded(name)
    assert values == [2.0, 4.0]
    assert {type(value) for value in values} == {float}


def booleans(completions, **columns):
    return [numpy.bool_(True), False]


def some_none(completions, **columns):
    return [None, numpy.float64(1.5)]


def all_none(completions, **columns):
    return [None] * len(completions)


def test_none_and_truth_values():
    assert rewarded("booleans") == [1.0, 0.0]
    assert rewarded("some_none") == [None, 1.5]


def test_none_throughout_is_a_step_without_that_reward():
    rubric = build_rubric([RewardTerm(name=f"{HERE}.all_none")], 100)
    scored = score_group(rubric, GROUP)
    assert [one.reward for one in scored.completions] == [0.0, 0.0]
    metrics = step_metrics(1, [scored], {}, 1e-6, {}, lambda sentence: ("en", 1.0)).values
    assert metrics["reward/mean"] == 0.0
    assert math.isnan(metrics[f"reward/{HERE}.all_none"])


def nan_of_numpy(completions, **columns):
    return numpy.array([math.nan, 1.0])


def a_matrix(completions, **columns):
    return numpy.ones((2, 2))


def a_mapping(completions, **columns):
    return {"ab": 1.0, "abcd": 2.0}


def a_scalar(completions, **columns):
    return torch.tensor(1.0)


def text_values(completions, **columns):
    return ["1", "2"]


def complex_values(completions, **columns):
    return [1j, 2.0]


def nothing(completions, **columns):
    return None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nan_of_numpy", "gave nan"), ("a_matrix", "finite number"), ("a_mapping", "Return a list"),
        ("a_scalar", "Return a list"), ("text_values", "gave '1'"), ("complex_values", "gave 1j"),
        ("nothing", "gave None. Return a list"),
    ],
)  # fmt: skip
def test_what_is_no_reward_is_named(name, message):
    with pytest.raises(RecipeError, match=message):
        rewarded(name)


# --------------------------------------------------------------------------------------- what it asks for


def reads_state(completions, trainer_state, **columns):
    return [float(trainer_state.global_step)] * len(completions)


def reads_more_state(completions, trainer_state):
    return [trainer_state.max_steps] * len(completions)


def needs_difficulty(completions, difficulty):
    return [1.0] * len(completions)


def has_defaults(completions, difficulty=3, *, log_metric=None):
    return [float(difficulty)] * len(completions)


def needs_trl(completions, log_metric):
    return [1.0] * len(completions)


def by_position(completions, /):
    return [1.0] * len(completions)


class Judge:
    def __call__(self, completions, rubric_text):
        return [1.0] * len(completions)


judge = Judge()
bound = functools.partial(needs_difficulty, difficulty=[1, 1])


def test_trainer_state_knows_the_global_step():
    assert rewarded("reads_state") == [0.0, 0.0]
    with pytest.raises(AttributeError, match="trainer_state has global_step and no max_steps"):
        rewarded("reads_more_state")


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("needs_trl", {}, "needs 'log_metric', which is no column"),
        ("by_position", {}, "by position only"),
        ("has_defaults", {"dificulty": 1}, "has no parameter 'dificulty'"),
    ],
)
def test_a_signature_that_cannot_be_filled_is_named_with_the_recipe(name, args, message):
    with pytest.raises(RecipeError, match=message):
        build_rubric([RewardTerm(name=f"{HERE}.{name}", args=args)], 100)


def problems(*columns):
    return [Problem(str(index), "p", "1", dict.fromkeys(names.split(), 1)) for index, names in enumerate(columns)]


@pytest.mark.parametrize(
    ("name", "fields", "columns", "missing"),
    [
        ("needs_difficulty", {}, ["difficulty", "difficulty level"], None),
        ("needs_difficulty", {}, ["difficulty", "level"], "difficulty"),
        ("needs_difficulty", {"args": {"difficulty": 2}}, ["level"], None),
        ("has_defaults", {}, ["level"], None),
        ("judge", {}, ["level"], "rubric_text"),
        ("bound", {}, ["level"], None),
        ("numpy_array", {}, ["level"], None),
        ("reads_state", {}, ["level"], None),
    ],
)
def test_a_parameter_without_a_column_is_named_before_the_run(name, fields, columns, missing):
    settings = [RewardTerm(name="accuracy"), RewardTerm(name=f"{HERE}.{name}", **fields)]
    if missing is None:
        check_columns(settings, problems(*columns))
        return
    with pytest.raises(RecipeError, match=f"needs '{missing}', which is no column of every problem.*answer"):
        check_columns(settings, problems(*columns))


# ------------------------------------------------------------------------------------- how long it may take


def sleeps(completions, **columns):
    time.sleep(60)


def sleeps_through_exceptions(completions, **columns):
    while True:
        try:
            time.sleep(60)
        except Exception:  # as a loop that tries a server again and again has it
            continue


def loops(completions, **columns):
    while True:
        pass


def matches_for_ever(completions, **columns):
    return [float(bool(re.match(r"(a+)+b", "a" * 40)))] * len(completions)


def waits_for_a_lock(completions, **columns):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def waits_for_a_process(completions, **columns):
    subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"], check=True)


async def awaits(completions, **columns):
    await asyncio.sleep(60)


def yields_slowly(completions, **columns):
    for _ in completions:
        time.sleep(60)
        yield 1.0


HANGS = [
    "sleeps", "sleeps_through_exceptions", "loops", "matches_for_ever", "waits_for_a_lock", "waits_for_a_process",
    "awaits", "yields_slowly",
]  # fmt: skip


@pytest.mark.parametrize("name", HANGS)
def test_a_reward_that_hangs_is_ended_and_named(name):
    started = time.monotonic()
    with pytest.raises(
        RewardTimeoutError, match=rf"{name} did not return within 0.3 s for the 2 .* raise its timeout_sec"
    ):
        rewarded(name, timeout_seconds=0.3)
    assert time.monotonic() - started < 10
    assert issubclass(RewardTimeoutError, UserError)


@pytest.mark.parametrize("name", ["sleeps", "awaits", "waits_for_a_lock"])
def test_a_reward_that_hangs_in_another_thread_is_left_behind(name):
    caught = []

    def score():
        try:
            rewarded(name, timeout_seconds=0.2)
        except RewardTimeoutError as error:
            caught.append(str(error))

    thread = threading.Thread(target=score)
    thread.start()
    thread.join(20)
    assert "did not return within 0.2 s" in caught[0]


def test_the_end_of_the_budget_ends_it_too(monkeypatch):
    monkeypatch.setattr("frugalrl.rewards.rubric._GRACE_SECONDS", 0.2)
    with pytest.raises(BudgetEndedError, match=r"budget ended while the reward .*sleeps was running"):
        rewarded("sleeps", seconds_left=-5.0)
    assert rewarded("numpy_array", seconds_left=-5.0) == [2.0, 4.0], "a reward in its time is not thrown away"


def test_the_limit_leaves_no_trace():
    before = signal.getsignal(signal.SIGVTALRM), signal.getsignal(signal.SIGALRM)
    assert call_within(lambda: 7, 5.0) == 7
    with pytest.raises(OutOfTimeError):
        call_within(lambda: time.sleep(60), 0.1)
    with pytest.raises(KeyError):
        call_within(lambda: {}["x"], 5.0)
    assert (signal.getsignal(signal.SIGVTALRM), signal.getsignal(signal.SIGALRM)) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    assert not [thread for thread in threading.enumerate() if thread.name == "reward-time-limit"]


def test_alarms_are_left_to_the_function():
    """math-verify bounds its own work by SIGALRM, which only the main thread may set."""
    import math_verify

    def verified():
        gold = math_verify.parse("$\\frac{1}{2}$", parsing_timeout=5)
        return math_verify.verify(gold, math_verify.parse("$0.5$", parsing_timeout=5), timeout_seconds=5)

    assert call_within(verified, 60.0) is True


def test_ctrl_c_ends_a_reward_that_hangs():
    script = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tests.rewards.test_user_functions import rewarded\n"
        "print('ready', flush=True)\n"
        "rewarded('sleeps')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert run.stdout.readline() == "ready\n"
        time.sleep(0.5)
        run.send_signal(signal.SIGINT)
        started = time.monotonic()
        run.wait(timeout=20)
        assert time.monotonic() - started < 10
        assert "KeyboardInterrupt" in run.stderr.read()


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
def test_the_recipe_refuses_a_limit_that_means_nothing(seconds):
    with pytest.raises(ValueError, match=r"greater than|finite"):
        RewardTerm(name="accuracy", timeout_seconds=seconds)
