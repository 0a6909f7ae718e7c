"""The update: cuts of the batch change nothing, and every log-prob keeps its place."""

import copy
import dataclasses

import pytest
import torch

from frugalrl.algorithms.advantages import PRESETS
from frugalrl.algorithms.losses import LossRule
from frugalrl.config.schema import OptimizerSettings
from frugalrl.rollout.collect import collect_groups
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.training.batching import TrainingRow, micro_batches, training_rows
from frugalrl.training.optimizer import MasterOptimizer
from frugalrl.training.policy import Policy
from frugalrl.training.update import UpdateSettings, update_policy
from frugalrl.types import Problem, Prompt, ScoredCompletion, ScoredGroup, Verdict

SETTINGS = UpdateSettings(
    loss=LossRule(kl_coef=0.04), updates=1, temperature=0.8, logits_chunk_tokens=7, old_from_rollout=True
)
VERDICT = Verdict("correct", "1", "equal")


@pytest.fixture
def groups(policy):
    """Two groups of four real completions of very different length, rewarded by hand."""
    prompts = [
        Prompt(Problem("a", "a?", "1"), "a?", (5, 9, 20)),
        Prompt(Problem("b", "b?", "1"), "b?", (7, 8, 11, 12, 13, 14)),
    ]
    engine = TorchEngine(policy.model, frozenset(range(0, 300, 11)), 8)
    sampled = collect_groups(engine, policy.tokenizer, prompts, 4, SamplingParams(25, 0.8), ("test",))
    rewards = iter([1.0, 0.0, 0.5, 0.0, 0.0, 1.0, 1.0, 0.25])
    return [
        ScoredGroup(group.prompt, tuple(ScoredCompletion(one, next(rewards), {}, VERDICT) for one in group.completions))
        for group in sampled
    ]


def rows_of(groups, aggregation="token") -> list[TrainingRow]:
    return training_rows(groups, PRESETS["trl"], aggregation, constant_tokens=25)


def gradients(policy, batches, settings=SETTINGS, reference=None):
    """The gradient that an update is made from: with Adam's epsilon huge, the step is the gradient itself."""
    model = copy.deepcopy(policy.model)
    copied = Policy(model, policy.tokenizer, "copy")
    optimizer = MasterOptimizer(model, OptimizerSettings(learning_rate=1.0, epsilon=1e6, max_grad_norm=1e9))
    before = [p.detach().clone() for p in model.parameters()]
    metrics = update_policy(copied, reference, optimizer, batches, settings, 1.0)
    steps = [(new.detach() - old) * 1e6 for new, old in zip(model.parameters(), before, strict=True)]
    return torch.cat([step.flatten() for step in steps]), metrics


def autograd_gradient(policy, batches, settings, reference):
    """Backward of the micro-batches, without an optimizer."""
    from frugalrl.training.update import _backward, _logprobs_of

    model = copy.deepcopy(policy.model)
    copied = Policy(model, policy.tokenizer, "copy")
    for batch in batches:
        ref = None if reference is None else _logprobs_of(reference, batch, settings)
        _backward(copied, batch, batch.rollout_logprobs[batch.loss_mask], ref, settings)
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("aggregation", ["token", "sequence", "constant"])
def test_one_times_eight_is_eight_times_one(policy, groups, aggregation):
    """In fp64, so that what is left is arithmetic and not rounding (fp32: 2e-6)."""
    policy = Policy(copy.deepcopy(policy.model).double(), policy.tokenizer, "fp64")
    rows = rows_of(groups, aggregation)
    whole = micro_batches(rows, 10**6, 0, policy.device)
    single = [batch for row in rows for batch in micro_batches([row], 1, 0, policy.device)]
    assert (len(whole), len(single)) == (1, 8)
    one = autograd_gradient(policy, whole, SETTINGS, policy)
    eight = autograd_gradient(policy, single, SETTINGS, policy)
    assert float((one - eight).abs().max() / one.abs().max()) < 1e-6


def test_padding_and_the_order_of_rows_change_no_metric(policy, groups):
    rows = rows_of(groups)
    tight = gradients(policy, micro_batches(rows, 40, 0, policy.device), reference=policy)[1]
    loose = gradients(policy, micro_batches(list(reversed(rows)), 10**6, 299, policy.device), reference=policy)[1]
    assert tight.keys() == loose.keys()
    for name in tight.keys() - {"policy/rollout_logprob_gap"}:  # that one is rounding noise itself
        assert tight[name] == pytest.approx(loose[name], rel=1e-4, abs=1e-7), name


def test_masked_tokens_change_nothing(policy, groups):
    """Changing what follows a completion (padding) or the log-probs outside the mask leaves the gradient as it is."""
    (batch,) = micro_batches(rows_of(groups), 10**6, 0, policy.device)
    noisy = dataclasses.replace(
        batch,
        rollout_logprobs=torch.where(batch.loss_mask, batch.rollout_logprobs, torch.tensor(-50.0)),
        input_ids=torch.where(padding_of(batch, rows_of(groups)), torch.tensor(77), batch.input_ids),
    )
    assert not torch.equal(noisy.input_ids, batch.input_ids)
    one = autograd_gradient(policy, [batch], SETTINGS, policy)
    other = autograd_gradient(policy, [noisy], SETTINGS, policy)
    assert torch.allclose(one, other, atol=1e-8)


def padding_of(batch, rows):
    lengths = sorted((len(row.prompt_ids) + len(row.completion_ids) for row in rows), reverse=True)
    return torch.arange(batch.input_ids.shape[1]) >= torch.tensor(lengths)[:, None]


def test_the_rollouts_logprobs_are_the_trainers(policy, groups):
    batches = micro_batches(rows_of(groups), 10**6, 0, policy.device)
    metrics = gradients(policy, batches)[1]
    assert metrics["policy/rollout_logprob_gap"] < 1e-5
    assert metrics["policy/clipped_frac"] == 0.0


def test_old_logprobs_from_the_rollout_and_recomputed_give_one_gradient(policy, groups):
    batches = micro_batches(rows_of(groups), 10**6, 0, policy.device)
    recompute = dataclasses.replace(SETTINGS, old_from_rollout=False)
    one, other = gradients(policy, batches)[0], gradients(policy, batches, recompute)[0]
    assert float((one - other).abs().max() / one.abs().max()) < 1e-3


def test_several_updates_move_away_from_the_policy_that_sampled(policy, groups):
    batches = micro_batches(rows_of(groups), 10**6, 0, policy.device)
    model = copy.deepcopy(policy.model)
    moving = Policy(model, policy.tokenizer, "copy")
    optimizer = MasterOptimizer(model, OptimizerSettings(learning_rate=1e-2))
    four = dataclasses.replace(SETTINGS, updates=4, old_from_rollout=False)
    metrics = update_policy(moving, policy, optimizer, batches, four, 1.0)
    assert metrics["policy/clipped_frac"] > 0
    assert metrics["policy/kl"] > 0


def test_kl_to_an_equal_reference_is_zero(policy, groups):
    batches = micro_batches(rows_of(groups), 10**6, 0, policy.device)
    assert gradients(policy, batches, reference=policy)[1]["policy/kl"] == pytest.approx(0.0, abs=1e-9)


def test_micro_batches_hold_every_row_once_within_their_tokens(policy, groups):
    rows = rows_of(groups)
    batches = micro_batches(rows, 50, 0, policy.device)
    assert sum(len(batch.advantages) for batch in batches) == len(rows)
    assert all(batch.input_ids.numel() <= 50 or len(batch.advantages) == 1 for batch in batches)
    assert sum(int(batch.loss_mask.sum()) for batch in batches) == sum(len(row.completion_ids) for row in rows)
