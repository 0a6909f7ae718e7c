"""Ten steps of GRPO on the shipped tiny model, written out: what is inside of `frugalrl.train`.

The recipe comes from the public API, the parts from the rooms that `train` itself takes them from. Left out are its
log, checkpoints, reference model and learning-rate schedule:
problems -> groups of completions -> rewards -> advantages -> micro-batches -> loss -> update.
"""

from functools import partial

import frugalrl
from frugalrl.algorithms.advantages import PRESETS
from frugalrl.algorithms.losses import LossInputs, LossRule, ppo, token_losses
from frugalrl.config.schema import ProblemSource, TrainRecipe
from frugalrl.data.prompts import build_prompts
from frugalrl.data.sampler import take
from frugalrl.evaluation.runner import evaluate
from frugalrl.reporting.console import difference, estimate
from frugalrl.rewards.rubric import build_rubric, score_group
from frugalrl.rollout.collect import collect_groups
from frugalrl.rollout.engine import SamplingParams, SharedModel
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.statistics.paired_tests import paired
from frugalrl.tasks.loading import load_problems
from frugalrl.training.batching import micro_batches, training_rows
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.model.policy import Policy, load_policy
from frugalrl.types import MicroBatch, Prompt

STEPS, PROMPTS_PER_STEP, GROUP_SIZE = 10, 8, 8
MAX_COMPLETION_TOKENS = 128
SEED = 1


def load_prompts(policy: Policy, recipe: TrainRecipe, source: ProblemSource) -> list[Prompt]:
    problems = load_problems(source)
    return build_prompts(policy.tokenizer, problems, recipe.data.prompt, recipe.rollout.max_prompt_tokens)


def backward(policy: Policy, batch: MicroBatch, rule: LossRule) -> float:
    """Add the gradient of a micro-batch to the parameters'; return its part of the loss."""
    policy_logprobs, _ = policy.batch_logprobs(batch)
    rows = batch.rows  # the completion of each token
    inputs = LossInputs(
        policy_logprobs,
        old_logprobs=batch.rollout_logprobs,
        advantages=batch.advantages[rows],
        rows=rows,
    )
    losses = token_losses(inputs, rule)
    loss = (losses.total * batch.token_weights[rows]).sum()
    loss.backward()
    return float(loss.detach())


def main() -> None:
    recipe = frugalrl.load_recipe("quickstart", {"data.train.limit": 1000, "data.validation.limit": 99})
    policy = load_policy(recipe.model)
    engine = TorchEngine(policy.model, policy.end_token_ids, max_sequences=128)
    optimizer = MasterOptimizer(policy.model, recipe.optimizer)
    rubric = build_rubric(recipe.rewards, MAX_COMPLETION_TOKENS)
    sampling = SamplingParams(MAX_COMPLETION_TOKENS, temperature=1.0)
    rule = LossRule(partial(ppo, clip_low=0.2, clip_high=0.28))

    training = load_prompts(policy, recipe, recipe.data.train)
    held_out = load_prompts(policy, recipe, recipe.data.validation)
    before = evaluate(engine, policy.tokenizer, held_out, recipe.evaluation, MAX_COMPLETION_TOKENS)
    print(f"before: {estimate(before.accuracy)} of 99 held-out problems, 4 samples each\n")

    for step in range(1, STEPS + 1):
        # 1. Problems, and a group of completions for each.
        indices = take(len(training), (step - 1) * PROMPTS_PER_STEP, PROMPTS_PER_STEP, SEED)
        prompts = [training[index] for index in indices]
        groups = collect_groups(engine, policy.tokenizer, prompts, GROUP_SIZE, sampling, seed_parts=(SEED, step))

        # 2. A reward for each completion, an advantage within its group, a weight within the batch.
        scored = [score_group(rubric, group) for group in groups]
        rows = training_rows(scored, PRESETS["trl"], "token", constant_tokens=MAX_COMPLETION_TOKENS)

        # 3. The loss of the whole batch, a micro-batch at a time; then one update.
        batches = micro_batches(rows, 16384, policy.device)
        loss = sum(backward(policy, batch, rule) for batch in batches)
        norm = optimizer.step(lr_factor=1.0)

        # 4. The engine samples from the new weights.
        engine.load_weights(SharedModel(policy.model), policy_version=step)

        completions = [one for group in scored for one in group.completions]
        reward = sum(one.reward for one in completions) / len(completions)
        accuracy = sum(one.verdict.label == "correct" for one in completions) / len(completions)
        print(
            f"step {step:>2}  reward {reward:.3f}  accuracy {accuracy:.2f}  loss {loss:+.4f}  gradient norm {norm:.3f}"
        )

    after = evaluate(engine, policy.tokenizer, held_out, recipe.evaluation, MAX_COMPLETION_TOKENS)
    print(f"\nafter:  {estimate(after.accuracy)}")
    print(f"gain:   {difference(paired(before.correct, after.correct).estimate)}, paired by problem")


if __name__ == "__main__":
    main()
