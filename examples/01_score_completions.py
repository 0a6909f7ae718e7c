"""What a reward says about ten hand-written completions, and why. No model is loaded.

One prompt, ten completions: a rollout group made by hand. `frugalrl.score` judges each, gives it a value for every
reward; the weighted sum of them is what GRPO learns from, as the advantage of a completion within its group.
"""

import statistics

import frugalrl

# The template ends in <think>: the completions begin inside the reasoning, as those of R1-Distill do.
PROMPT = "User: What is half of one?\nAssistant: <think>\n"
GOLD = "\\frac{1}{2}"
WEIGHTS = {"accuracy": 2.0, "format": 1.0}  # the rubric of Open-RS: format counts once, accuracy twice

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


def row(text: str) -> dict:
    """A row as a file of completions has it; here every byte counts as one token."""
    return {"prompt": PROMPT, "completion": text, "completion_ids": list(text.encode()), "gold": GOLD}


def advantages(rewards: list[float]) -> list[float]:
    """Within a group: the reward less the mean, over the standard deviation (TRL's epsilon)."""
    mean, deviation = statistics.mean(rewards), statistics.stdev(rewards)
    return [(reward - mean) / (deviation + 1e-4) for reward in rewards]


def main() -> None:
    print("1. One answer against its gold\n")
    print(f"0.5 against {GOLD}: {frugalrl.verify('0.5', GOLD)}\n")

    print("2. Ten completions as training judges them; the gold answer is \\frac{1}{2}\n")
    rows = [row(text) for text in COMPLETIONS.values()]
    scored = frugalrl.score(rows, rewards=list(WEIGHTS), without_box="refuse").metrics
    totals = [sum(weight * one[name] for name, weight in WEIGHTS.items()) for one in scored]
    print(f"{'completion':22}{'accuracy':>9}{'format':>8}{'reward':>8}{'advantage':>11}   verdict and reason")
    for name, one, total, advantage in zip(COMPLETIONS, scored, totals, advantages(totals), strict=True):
        verdict = f"{one['verdict']}, {one['reason']}" + (f": {one['extracted']}" if one["extracted"] else "")
        print(f"{name:22}{one['accuracy']:>9.1f}{one['format']:>8.1f}{total:>8.2f}{advantage:>+11.2f}   {verdict}")

    print("\n3. The cosine reward, by length in tokens (bound: 200), of a right and of a wrong answer\n")
    for padding in (0, 50, 100, 200, 400):
        pair = [row("." * padding + COMPLETIONS[name]) for name in ("right", "wrong")]
        right, wrong = frugalrl.score(pair, rewards=["cosine"], max_completion_tokens=200).metrics
        shown = [f"{len(one['completion_ids']):>3} tokens: {one['cosine']:+.3f}" for one in (right, wrong)]
        print(f"right, {shown[0]}     wrong, {shown[1]}")


if __name__ == "__main__":
    main()
