"""What a reward says about ten hand-written completions, and why. No model is loaded.

A rollout group is made by hand: one prompt, ten completions. The rubric judges each completion, gives it a
value for every reward, and adds the values up with their weights. The last column is what GRPO learns from:
the advantage of a completion within its group.
"""

import torch

from frugalrl.algorithms.advantages import PRESETS
from frugalrl.config.schema import RewardTerm
from frugalrl.rewards.rubric import build_rubric, score_group
from frugalrl.types import Completion, FinishReason, Problem, Prompt, RolloutGroup, ScoredGroup

# The template ends in <think>: the completions begin inside the reasoning, as those of R1-Distill do.
PROMPT = "User: What is half of one?\nAssistant: <think>\n"

COMPLETIONS = {
    "right": "Half of 1 is 1/2.\n</think>\nThe answer is \\boxed{\\frac{1}{2}}.",
    "right, as a decimal": "Half of 1 is 0.5.\n</think>\nThe answer is \\boxed{0.5}.",
    "right, as a power": "Half is a negative power.\n</think>\nThe answer is \\boxed{2^{-1}}.",
    "wrong": "Half means two.\n</think>\nThe answer is \\boxed{2}.",
    "no box": "Half of 1 is 1/2.\n</think>\nThe answer is 1/2.",
    "empty box": "Half of 1 is 1/2.\n</think>\nThe answer is \\boxed{}.",
    "never stops thinking": "Half of 1 is \\boxed{\\frac{1}{2}}, but let me check that again. And again.",
    "no reasoning": "\n</think>\nThe answer is \\boxed{\\frac{1}{2}}.",
    "closes twice": "Half.\n</think>\nOr not?\n</think>\nThe answer is \\boxed{\\frac{1}{2}}.",
    "a tower of powers": "Very large, perhaps.\n</think>\nThe answer is \\boxed{9^{9^{9^9}}}.",
}


def completion(text: str, finish_reason: FinishReason = "stop") -> Completion:
    """A completion as an engine would give it; here every byte counts as one token."""
    token_ids = tuple(text.encode())
    return Completion(text, token_ids, (0.0,) * len(token_ids), finish_reason, (0,) * len(token_ids), seed=0)


def group(gold: str, completions: list[Completion]) -> RolloutGroup:
    problem = Problem(id="half", text="What is half of one?", gold=gold)
    return RolloutGroup(Prompt(problem, PROMPT, token_ids=tuple(PROMPT.encode())), tuple(completions))


def show(scored: ScoredGroup, names: list[str]) -> None:
    rewards = torch.tensor([one.reward for one in scored.completions])
    advantages = PRESETS["trl"](rewards).tolist()
    print(f"{'completion':22}{'accuracy':>9}{'format':>8}{'reward':>8}{'advantage':>11}   verdict and reason")
    for name, one, advantage in zip(names, scored.completions, advantages, strict=True):
        accuracy, form = (one.breakdown[term] for term in ("accuracy", "format"))
        shown = "-" if accuracy is None else f"{accuracy:.1f}"
        verdict = f"{one.verdict.label}, {one.verdict.reason}"
        if one.verdict.extracted:
            verdict += f": {one.verdict.extracted}"
        print(f"{name:22}{shown:>9}{form:>8.1f}{one.reward:>8.2f}{advantage:>+11.2f}   {verdict}")
    print()


def main() -> None:
    # The rubric of Open-RS: format counts once, accuracy twice.
    terms = [RewardTerm(name="format", weight=1.0), RewardTerm(name="accuracy", weight=2.0)]
    rubric = build_rubric(terms, max_completion_tokens=200)

    print("1. Ten completions; the gold answer is \\frac{1}{2}\n")
    names = list(COMPLETIONS)
    completions = [
        completion(text, "length" if name == "never stops thinking" else "stop") for name, text in COMPLETIONS.items()
    ]
    show(score_group(rubric, group("\\frac{1}{2}", completions)), names)

    print("2. The cosine reward, by length in tokens (bound: 200), of a right and of a wrong answer\n")
    cosine = build_rubric([RewardTerm(name="cosine")], max_completion_tokens=200)
    for padding in (0, 50, 100, 200, 400):
        pair = [completion("." * padding + COMPLETIONS[name]) for name in ("right", "wrong")]
        scored = score_group(cosine, group("\\frac{1}{2}", pair))
        (right, right_tokens), (wrong, wrong_tokens) = (
            (one.reward, len(one.completion.token_ids)) for one in scored.completions
        )
        print(f"right, {right_tokens:>3} tokens: {right:+.3f}     wrong, {wrong_tokens:>3} tokens: {wrong:+.3f}")


if __name__ == "__main__":
    main()
