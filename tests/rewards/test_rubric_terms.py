"""The rubric: names, aliases, checked settings, the accuracy gate, and a user's own functions."""

import asyncio
import math

import pytest

from frugalrl.config.schema import RewardTerm
from frugalrl.errors import RecipeError
from frugalrl.rewards.registry import ALIASES, BUILT_IN
from frugalrl.rewards.rubric import build_rubric, group_accuracy, score_group
from tests.rewards.reward_builders import group_of, verdicts

RIGHT, WRONG = "so \\boxed{4}", "so \\boxed{5}"


def term(name, **fields):
    return RewardTerm(name=name, **fields)


def breakdowns(group, *terms, max_completion_tokens=100):
    scored = score_group(build_rubric(terms, max_completion_tokens), group)
    return [dict(completion.breakdown) for completion in scored.completions]


def test_a_reward_is_the_weighted_sum_with_its_breakdown():
    group = group_of(["<think>\nwhy\n</think>\n\\boxed{4}", WRONG])
    scored = score_group(build_rubric([term("accuracy", weight=2.0), term("format", weight=0.5)], 100), group)
    assert [completion.reward for completion in scored.completions] == [2.5, 0.0]
    assert scored.completions[0].breakdown == {"accuracy": 1.0, "format": 1.0}


def test_none_adds_nothing_and_stays_none_in_the_breakdown():
    [completion] = score_group(build_rubric([term("accuracy"), term("process")], 100), group_of([RIGHT])).completions
    assert completion.breakdown == {"accuracy": 1.0, "process": None}
    assert completion.reward == 1.0


@pytest.mark.parametrize(
    "name",
    ["accuracy", "format", "tag_count", "reasoning_steps", "cosine", "repetition_penalty", "length", "code_format"],
)
def test_open_r1s_names_are_known(name):
    assert breakdowns(group_of([RIGHT]), term(name))[0].keys() == {name}


def test_aliases_give_what_they_stand_for():
    group = group_of(["a a a a a", "b"], lengths_tokens=[90, 5])
    overlong = term("soft_overlong_punishment", args={"cache_tokens": 20})
    assert [row["soft_overlong_punishment"] for row in breakdowns(group, overlong)] == [-0.5, 0.0]
    assert breakdowns(group, term("repetition_penalty"))[0]["repetition_penalty"] == pytest.approx(-2 / 3)
    assert set(ALIASES.values()) <= set(BUILT_IN)


def test_the_bound_of_length_terms_is_the_cap_unless_set():
    group = group_of([RIGHT], lengths_tokens=[100])
    assert breakdowns(group, term("cosine"), max_completion_tokens=100)[0]["cosine"] == pytest.approx(0.5)
    assert breakdowns(group, term("cosine", args={"max_length_tokens": 200}))[0]["cosine"] == pytest.approx(0.75)


def test_repetition_over_tokens_sees_a_loop_without_spaces():
    group = group_of(["因此" * 4], lengths_tokens=[8])
    assert breakdowns(group, term("repetition"))[0]["repetition"] == 0.0
    looping = group.completions[0].__class__("因此" * 4, (1, 2) * 4, (0.0,) * 8, "stop", (0,) * 8, 0)
    looped = type(group)(group.prompt, (looping,))
    assert breakdowns(looped, term("repetition", args={"over_tokens": True}))[0]["repetition"] < -0.6


# ---------------------------------------------------------------------------------------------- the gate


def test_a_length_term_is_off_below_the_threshold_and_on_at_it():
    gated = term("length", gate_group_accuracy=0.5)
    closed = group_of([RIGHT, WRONG, WRONG, WRONG], lengths_tokens=[10, 20, 30, 40])
    half = group_of([RIGHT, RIGHT, WRONG, WRONG], lengths_tokens=[10, 20, 30, 40])
    assert [row["length"] for row in breakdowns(closed, gated)] == [None] * 4
    assert [row["length"] for row in breakdowns(half, gated)] == pytest.approx([0.5, 1 / 6, -1 / 6, -0.5])


def test_a_closed_gate_leaves_the_cosine_its_plain_verdict():
    group = group_of([RIGHT, WRONG, WRONG], lengths_tokens=[100, 1, 100])
    gated = term("cosine", gate_group_accuracy=0.9)
    assert [row["cosine"] for row in breakdowns(group, gated)] == [1.0, 0.0, 0.0]
    assert [row["cosine"] for row in breakdowns(group, term("cosine"))] == pytest.approx([0.5, -0.5, 0.0], abs=1e-3)


def test_any_term_can_be_gated_a_users_own_among_them():
    group = group_of([WRONG, WRONG])
    own = term("tests.rewards.test_rubric_terms.count_characters", gate_group_accuracy=0.1)
    assert [row["tests.rewards.test_rubric_terms.count_characters"] for row in breakdowns(group, own)] == [None, None]


def test_group_accuracy_leaves_unknown_out_and_is_nan_without_a_verdict():
    assert group_accuracy(verdicts("cci?")) == pytest.approx(2 / 3)
    assert math.isnan(group_accuracy(verdicts("??")))


def test_a_gate_stays_closed_when_no_verdict_is_known():
    gated = term("soft_overlong", args={"cache_tokens": 5}, gate_group_accuracy=0.0)
    rubric = build_rubric([gated], 100)
    group = group_of(["a", "b"], lengths_tokens=[100, 1])
    assert rubric.terms["soft_overlong"](group, verdicts("??")) == [None, None]
    assert rubric.terms["soft_overlong"](group, verdicts("?i")) == [-1.0, 0.0]


# ------------------------------------------------------------------------------- mistakes in the recipe


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([term("acuracy")], "Did you mean 'accuracy'"),
        ([term("qqqq")], "Known: "),
        ([term("cosine", args={"max_lenght_tokens": 5})], "Did you mean 'max_length_tokens'"),
        ([term("accuracy", args={"x": 1})], "It takes none"),
        ([term("cosine", args={"max_length_tokens": 0})], "must be at least 1"),
        ([term("cosine", args={"max_length_tokens": "long"})], "Give a whole number"),
        ([term("cosine", args={"correct_at_max": True})], "Give a number"),
        ([term("soft_overlong")], "lacks cache_tokens"),
        ([term("soft_overlong", args={"cache_tokens": 101})], "cache_tokens must be"),
        ([term("repetition", args={"max_penalty": 1.0})], "never paid"),
        ([term("process", args={"verifier_checks": -1})], "verifier_checks must"),
        ([term("process", args={"min_stated": 3})], "no argument 'min_stated'"),
        ([term("language", args={"target_language": "English"})], "ISO 639-1"),
        ([term("clean", args={"target_language": "en-US"})], "ISO 639-1"),
        ([term("process_model")], "lacks model"),
        ([term("process_model", args={"model": "m", "kind": "tree"})], "sequence or token"),
        ([term("accuracy"), term("accuracy")], "twice"),
        ([term("accuracy", weight=0.0)], "No reward has a weight"),
        ([], "No reward has a weight"),
        ([term("no_module_here.f")], "cannot be imported"),
        ([term("tests.rewards.test_rubric_terms.missing")], "cannot be imported"),
        ([term("tests.rewards.test_rubric_terms.RIGHT")], "is not a function"),
    ],
)
def test_a_mistake_is_found_before_anything_is_sampled(settings, message):
    with pytest.raises(RecipeError, match=message):
        build_rubric(settings, 100)


@pytest.mark.parametrize("fields", [{"weight": math.nan}, {"weight": math.inf}, {"gate_group_accuracy": 1.5}])
def test_the_schema_refuses_weights_and_gates_that_mean_nothing(fields):
    with pytest.raises(ValueError, match=r"finite|less than or equal"):
        RewardTerm(name="accuracy", **fields)


# ------------------------------------------------------------------------------------ a user's own function


def count_characters(completions, **kwargs):
    return [float(len(text)) for text in completions]


def strict_signature(prompts, completions, completion_ids, answer, level):
    assert prompts[0].startswith("What")
    return [float(a == "4") + level[0] + len(ids) for a, ids in zip(answer, completion_ids, strict=True)]


def skips_short(completions, **kwargs):
    return [None if len(text) < 3 else 1.0 for text in completions]


def reads_messages(prompts, completions, **kwargs):
    assert prompts[0][0]["role"] == "user"
    return [float(len(completion[0]["content"])) for completion in completions]


async def scores_slowly(completions, scale=1.0, **kwargs):
    await asyncio.sleep(0)
    return [scale * len(text) for text in completions]


class Callable:
    async def __call__(self, completions, **kwargs):
        return [3.0] * len(completions)


slow_object = Callable()


def wrong_count(completions, **kwargs):
    return [1.0]


def not_a_number(completions, **kwargs):
    return [float("nan")] * len(completions)


def not_a_list(completions, **kwargs):
    return 1.0


def raises(completions, **kwargs):
    raise KeyError("mine")


@pytest.mark.parametrize(
    ("name", "fields", "values"),
    [
        ("count_characters", {}, [2.0, 4.0]),
        ("strict_signature", {}, [4.0, 4.0]),
        ("skips_short", {}, [None, 1.0]),
        ("reads_messages", {"conversational": True}, [2.0, 4.0]),
        ("scores_slowly", {"args": {"scale": 10.0}}, [20.0, 40.0]),
        ("slow_object", {}, [3.0, 3.0]),
    ],
)
def test_a_users_function_is_called_as_trl_calls_it(name, fields, values):
    group = group_of(["ab", "abcd"], level=2)
    assert [
        row[f"tests.rewards.test_rubric_terms.{name}"]
        for row in breakdowns(group, term(f"tests.rewards.test_rubric_terms.{name}", **fields))
    ] == values


def test_an_async_function_works_inside_a_running_loop():
    async def trainer():
        return breakdowns(group_of(["abc"]), term("tests.rewards.test_rubric_terms.scores_slowly"))

    assert asyncio.run(trainer()) == [{"tests.rewards.test_rubric_terms.scores_slowly": 3.0}]


@pytest.mark.parametrize(
    ("name", "message"),
    [("wrong_count", "1 values for 2"), ("not_a_number", "finite number"), ("not_a_list", "Return a list")],
)
def test_a_users_function_that_returns_nonsense_is_named(name, message):
    with pytest.raises(RecipeError, match=message):
        breakdowns(group_of(["ab", "cd"]), term(f"tests.rewards.test_rubric_terms.{name}"))


def test_what_a_users_function_raises_is_shown_with_its_name():
    with pytest.raises(KeyError) as caught:
        breakdowns(group_of(["ab"]), term("tests.rewards.test_rubric_terms.raises"))
    assert "tests.rewards.test_rubric_terms.raises" in caught.value.__notes__[0]
