"""The rubric: a weighted sum whose breakdown is kept, and what it refuses."""

import pytest

from frugalrl.config.schema import RewardTerm
from frugalrl.errors import RecipeError
from frugalrl.rewards.rubric import build_rubric, score_group
from frugalrl.types import Completion, Problem, Prompt, RolloutGroup

PROMPT = Prompt(Problem("p", "6 * 7?", "42", {"level": 2}), "...<think>\n", (1, 2))
TEXTS = ["6*7=42\n</think>\n\\boxed{42}", "6*7=42\n</think>\n\\boxed{41}", "never closed \\boxed{42}"]


def group(texts=TEXTS, gold="42") -> RolloutGroup:
    prompt = Prompt(Problem("p", "6 * 7?", gold, {"level": 2}), PROMPT.text, PROMPT.token_ids)
    completions = [Completion(text, (5,) * 10, (-1.0,) * 10, "stop", (0,) * 10, 0) for text in texts]
    return RolloutGroup(prompt, tuple(completions))


def test_the_reward_is_the_weighted_sum_of_a_breakdown_that_is_kept():
    terms = [RewardTerm(name="accuracy", weight=2.0), RewardTerm(name="format", weight=0.5)]
    scored = score_group(build_rubric(terms, 100), group())
    assert [one.reward for one in scored.completions] == [2.5, 0.5, 0.0]
    assert dict(scored.completions[0].breakdown) == {"accuracy": 1.0, "format": 1.0}
    assert [one.verdict.reason for one in scored.completions][1:] == ["different", "unclosed_reasoning"]


def test_no_verdict_adds_nothing(monkeypatch):
    terms = [RewardTerm(name="tests.rewards.test_rubric.unsure"), RewardTerm(name="format", weight=0.5)]
    scored = score_group(build_rubric(terms, 100), group(TEXTS[:2]))
    assert [one.reward for one in scored.completions] == [0.5, 1.5]


def unsure(prompts, completions, completion_ids, level, answer, **columns):
    """TRL's signature: columns come by name, once for each completion."""
    assert level == [2] * len(completions)
    assert answer == ["42"] * len(completions)
    return [None, *[1.0] * (len(completions) - 1)]


def too_few(prompts, completions, completion_ids, **columns):
    return [1.0]


def not_finite(prompts, completions, completion_ids, **columns):
    return [float("nan")] * len(completions)


@pytest.mark.parametrize(("name", "says"), [("too_few", "gave 1 values for 3"), ("not_finite", "gave nan")])
def test_a_users_reward_that_misbehaves_is_named(name, says):
    rubric = build_rubric([RewardTerm(name=f"tests.rewards.test_rubric.{name}")], 100)
    with pytest.raises(RecipeError, match=says):
        score_group(rubric, group())


def huge(prompts, completions, completion_ids, **columns):
    return [1e38] * len(completions)


def infinite_only_in_sum(prompts, completions, completion_ids, **columns):
    return [1.5e308] * len(completions)


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ([("huge", 1.0)], r"reward of a completion is 1e\+38 \(.*huge gave 1e\+38\), and beyond 1e\+09"),
        ([("huge", 1.0), ("infinite_only_in_sum", 2.0)], r"is inf \(.*infinite_only_in_sum gave inf\)"),
        ([("infinite_only_in_sum", 2.0), ("huge", -1e300)], r"is nan"),
    ],
)
def test_a_reward_whose_gradient_would_overflow_is_named(terms, says):
    rubric = build_rubric([RewardTerm(name=f"tests.rewards.test_rubric.{name}", weight=w) for name, w in terms], 100)
    with pytest.raises(RecipeError, match=says):
        score_group(rubric, group())
    small = build_rubric([RewardTerm(name="tests.rewards.test_rubric.huge", weight=1e-30)], 100)
    assert score_group(small, group()).completions[0].reward == pytest.approx(1e8)


def test_cosine_takes_the_cap_as_its_bound_unless_told():
    by_cap, told = (
        build_rubric([RewardTerm(name="cosine", args=args)], max_completion_tokens=20)
        for args in ({}, {"max_length_tokens": 10})
    )
    values = [score_group(rubric, group()).completions[0].reward for rubric in (by_cap, told)]
    assert values == pytest.approx([0.75, 0.5])  # half way on the half cosine, and at its end


def test_a_template_that_prefills_think_is_understood():
    closed_twice = group(["a\n</think>\n\\boxed{42}</think>\n"])
    rubric = build_rubric([RewardTerm(name="format")], 100)
    assert score_group(rubric, group()).completions[0].reward == 1.0
    assert score_group(rubric, closed_twice).completions[0].reward == 0.0
