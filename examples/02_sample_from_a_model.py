"""One prompt, a group of eight completions, and what GRPO makes of them. Uses the shipped tiny model.

Shows the rollout engine from outside: token ids and seeds go in; token ids, log-probabilities and the finish
reason come out. The log-probabilities are then compared with those of the trainer's own forward pass.
"""

import torch

from frugalrl.algorithms.advantages import PRESETS
from frugalrl.config.schema import ModelSettings, ProblemSource, PromptSettings, RewardTerm
from frugalrl.data.prompts import build_prompts
from frugalrl.rewards.rubric import build_rubric, score_group
from frugalrl.rollout.collect import collect_groups
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.tasks.loading import load_problems
from frugalrl.training.model.policy import Policy, load_policy, trainable_parameters
from frugalrl.types import Completion, Prompt

GROUP_SIZE = 8
TEMPERATURE = 1.0


def forward_logprobs(policy: Policy, prompt: Prompt, completion: Completion) -> torch.Tensor:
    """The log-probabilities of a completion's tokens as the trainer computes them, without a cache."""
    input_ids = torch.tensor([prompt.token_ids + completion.token_ids], device=policy.device)
    wanted = torch.zeros_like(input_ids, dtype=torch.bool)
    wanted[0, len(prompt.token_ids) :] = True
    with torch.no_grad():
        logprobs, _ = policy.logprobs(input_ids, wanted, TEMPERATURE)
    return logprobs


def main() -> None:
    policy = load_policy(ModelSettings(path="builtin:tiny"))
    print(f"model: {policy.source}, {trainable_parameters(policy.model):,} parameters, on {policy.device}\n")

    problems = load_problems(ProblemSource(source="arithmetic", split="validation", limit=1, difficulties=(2,)))
    prompt = build_prompts(policy.tokenizer, problems, PromptSettings(), max_prompt_tokens=256)[0]
    print(f"problem: {prompt.problem.text}   gold answer: {prompt.problem.gold}")
    print(f"prompt, {len(prompt.token_ids)} tokens: {prompt.text!r}\n")

    engine = TorchEngine(policy.model, policy.end_token_ids, max_sequences=GROUP_SIZE)
    sampling = SamplingParams(max_completion_tokens=128, temperature=TEMPERATURE)
    group = collect_groups(engine, policy.tokenizer, [prompt], GROUP_SIZE, sampling, seed_parts=("example",))[0]

    rubric = build_rubric([RewardTerm(name="accuracy"), RewardTerm(name="format", weight=0.5)], 128)
    scored = score_group(rubric, group)
    advantages = PRESETS["trl"](torch.tensor([one.reward for one in scored.completions]))
    for number, (one, advantage) in enumerate(zip(scored.completions, advantages.tolist(), strict=True)):
        completion = one.completion
        print(
            f"{number}  reward {one.reward:.1f}  advantage {advantage:+.3f}  {one.verdict.label}, {one.verdict.reason}"
            f"  ({len(completion.token_ids)} tokens, {completion.finish_reason},"
            f" log-probability {sum(completion.rollout_logprobs):.2f} nats)"
        )
        print("   " + completion.text.replace("\n", "\n   "))
    print(f"\nThe advantages add up to {advantages.sum():.6f}.\n")

    first = group.completions[0]
    print("The tokens of completion 0, each with its log-probability when it was sampled:")
    for start in range(0, len(first.token_ids), 8):
        pieces = [policy.tokenizer.decode([token]) for token in first.token_ids[start : start + 8]]
        values = first.rollout_logprobs[start : start + 8]
        print("   " + "  ".join(f"{piece!r} {value:.2f}" for piece, value in zip(pieces, values, strict=True)))

    gaps = [
        (forward_logprobs(policy, prompt, completion).cpu() - torch.tensor(completion.rollout_logprobs)).abs().max()
        for completion in group.completions
    ]
    agrees = float(max(gaps)) < 1e-4
    print(f"\nEngine and trainer agree on every log-probability to within 1e-4 nats: {agrees}.")


if __name__ == "__main__":
    main()
