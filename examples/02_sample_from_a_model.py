"""One problem, eight completions of the shipped tiny model, and what GRPO makes of them.

`frugalrl.evaluate` samples and judges a model on a file of one's own, and keeps every sample; `frugalrl.score` gives
the same completions their rewards, a function of one's own among them.
"""

import json
import statistics
import tempfile
from pathlib import Path

import frugalrl

GROUP_SIZE = 8
PROBLEM = {"id": "one", "task": "arithmetic", "problem": "Calculate $6 \\times 5 + 7 \\times 4 - 29$.", "answer": "29"}


def brevity(completions: list[str], **columns: object) -> list[float]:
    """A reward of one's own, with TRL's signature: from 0 for nothing to -1 for 200 characters or more."""
    return [-min(1.0, len(text) / 200) for text in completions]


def advantages(rewards: list[float]) -> list[float]:
    """Within a group: the reward less the mean, over the standard deviation (TRL's epsilon)."""
    mean, deviation = statistics.mean(rewards), statistics.stdev(rewards)
    return [(reward - mean) / (deviation + 1e-4) for reward in rewards]


def main() -> None:
    print(f"problem: {PROBLEM['problem']}   gold answer: {PROBLEM['answer']}\n")
    with tempfile.TemporaryDirectory() as scratch:
        own = Path(scratch) / "own.jsonl"
        own.write_text(json.dumps(PROBLEM) + "\n", encoding="utf-8")
        result = frugalrl.evaluate(
            "builtin:tiny",
            str(own),
            k=GROUP_SIZE,
            temperature=1.0,
            max_tokens=128,
            device="cpu",
            out=f"{scratch}/results",
        )
        samples = result.samples

    rows = [{**PROBLEM, "completion": one["text"], "gold": PROBLEM["answer"]} for one in samples]
    weights = {"accuracy": 1.0, f"{__name__}.brevity": 0.2}
    scored = frugalrl.score(rows, rewards=["accuracy", brevity], reasoning_open=True, without_box="refuse").metrics
    rewards = [sum(weight * one[name] for name, weight in weights.items()) for one in scored]
    for number, (one, reward, advantage) in enumerate(zip(samples, rewards, advantages(rewards), strict=True)):
        print(
            f"{number}  reward {reward:+.2f}  advantage {advantage:+.3f}  {one['verdict']}, {one['reason']}"
            f"  ({one['tokens']} tokens, {one['finish_reason']})"
        )
        print("   " + one["text"].replace("\n", "\n   "))
    print(f"\nThe advantages add up to {abs(sum(advantages(rewards))):.6f}.")
    accuracy = result.metrics[0]
    print(
        f"avg@{GROUP_SIZE} {accuracy['avg_at_k']:.3f}, pass@{GROUP_SIZE} {accuracy['pass_at_k']:.0f}, on one problem."
    )


if __name__ == "__main__":
    main()
