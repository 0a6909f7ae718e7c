"""The update: cuts of the batch change nothing, and every log-prob keeps its place."""

import copy
import dataclasses
import itertools
import math
import random
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalrl.algorithms.advantages import PRESETS
from frugalrl.algorithms.losses import LossRule, cispo, gspo, ppo, sapo
from frugalrl.algorithms.off_policy import Mismatch
from frugalrl.config.optimizer_schema import OptimizerSettings
from frugalrl.rollout.collect import collect_groups
from frugalrl.rollout.engine import SamplingParams, SharedModel
from frugalrl.rollout.scripted_engine import ScriptedEngine
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.training.batching import TrainingRow, micro_batches, training_rows
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.model.policy import Policy
from frugalrl.training.update import UpdateSettings, update_policy
from frugalrl.types import Completion, Problem, Prompt, ScoredCompletion, ScoredGroup, Verdict

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
    from frugalrl.training.update import _backward, _Inputs, _logprobs_of

    model = copy.deepcopy(policy.model)
    copied = Policy(model, policy.tokenizer, "copy")
    tokens = sum(len(batch.targets) for batch in batches)
    for batch in batches:
        ref = None if reference is None else _logprobs_of(reference, batch, settings)
        _backward(copied, _Inputs(batch, batch.rollout_logprobs, ref), settings, tokens, 1.0, torch.Tensor.backward)
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize(("updates", "offload"), [(1, False), (2, False), (1, True)])
def test_lanes_change_no_bit_of_weights_and_metrics(policy, groups, updates, offload, torch_threads):
    """Micro-batches side by side, each with a gradient of its own, against one after the other; masters that are copies
    take their gradients from `backward`."""
    settings = dataclasses.replace(SETTINGS, updates=updates, entropy_coef=0.01)
    batches = micro_batches(rows_of(groups), 40, policy.device)
    assert len(batches) > 4
    made = []
    for threads in (1, 3):
        torch_threads(threads)
        model = copy.deepcopy(policy.model)
        optimizer = MasterOptimizer(model, OptimizerSettings(learning_rate=1e-3, offload=offload))
        copied = Policy(model, policy.tokenizer, "copy")
        metrics = [update_policy(copied, policy, optimizer, batches, settings, 1.0) for _ in range(2)]
        assert torch.get_num_threads() == threads
        assert all(one["policy/grad_norm"] > 0 for one in metrics)
        made.append((metrics, torch.cat([p.detach().flatten() for p in model.parameters()])))
    assert made[0][0] == made[1][0]
    assert torch.equal(made[0][1], made[1][1])


@pytest.mark.parametrize("aggregation", ["token", "sequence", "constant"])
def test_one_times_eight_is_eight_times_one(policy, groups, aggregation):
    """In fp64, so that what is left is arithmetic and not rounding (fp32: 2e-6)."""
    policy = Policy(copy.deepcopy(policy.model).double(), policy.tokenizer, "fp64")
    rows = rows_of(groups, aggregation)
    whole = micro_batches(rows, 10**6, policy.device)
    single = [batch for row in rows for batch in micro_batches([row], 1, policy.device)]
    assert (len(whole), len(single)) == (1, 8)
    one = autograd_gradient(policy, whole, SETTINGS, policy)
    eight = autograd_gradient(policy, single, SETTINGS, policy)
    assert float((one - eight).abs().max() / one.abs().max()) < 1e-6


def test_padding_and_the_order_of_rows_change_no_metric(policy, groups):
    rows = rows_of(groups)
    tight = gradients(policy, micro_batches(rows, 40, policy.device), reference=policy)[1]
    loose = gradients(policy, micro_batches(list(reversed(rows)), 10**6, policy.device), reference=policy)[1]
    assert tight.keys() == loose.keys()
    for name in tight.keys() - {"policy/rollout_logprob_gap"}:  # that one is rounding noise itself
        assert tight[name] == pytest.approx(loose[name], rel=1e-4, abs=1e-7), name


def test_what_fills_a_rectangle_changes_nothing(policy, groups):
    """Padding exists in attention only, and whichever token stands there is seen by nobody."""
    (batch,) = micro_batches(rows_of(groups), 10**6, policy.device)
    layout = batch.layout
    used = torch.zeros(len(layout.tokens), dtype=torch.bool)
    used[layout.first_slots] = True
    for shared in layout.shared:
        used[shared.slots.flatten()] = True
    assert 0 < (~used).sum() < used.sum()
    tokens = torch.where(used, layout.tokens, torch.tensor(len(batch.input_ids) - 1))
    noisy = dataclasses.replace(batch, layout=dataclasses.replace(layout, tokens=tokens))
    one = autograd_gradient(policy, [batch], SETTINGS, policy)
    other = autograd_gradient(policy, [noisy], SETTINGS, policy)
    assert torch.equal(one, other)


def test_the_rollouts_logprobs_are_the_trainers(policy, groups):
    batches = micro_batches(rows_of(groups), 10**6, policy.device)
    metrics = gradients(policy, batches)[1]
    assert metrics["policy/rollout_logprob_gap"] < 1e-5
    assert metrics["policy/clipped_frac"] == 0.0


def test_old_logprobs_from_the_rollout_and_recomputed_give_one_gradient(policy, groups):
    batches = micro_batches(rows_of(groups), 10**6, policy.device)
    recompute = dataclasses.replace(SETTINGS, old_from_rollout=False)
    one, other = gradients(policy, batches)[0], gradients(policy, batches, recompute)[0]
    assert float((one - other).abs().max() / one.abs().max()) < 1e-3


def test_several_updates_move_away_from_the_policy_that_sampled(policy, groups):
    batches = micro_batches(rows_of(groups), 10**6, policy.device)
    model = copy.deepcopy(policy.model)
    moving = Policy(model, policy.tokenizer, "copy")
    optimizer = MasterOptimizer(model, OptimizerSettings(learning_rate=1e-2))
    four = dataclasses.replace(SETTINGS, updates=4, old_from_rollout=False)
    metrics = update_policy(moving, policy, optimizer, batches, four, 1.0)
    assert metrics["policy/clipped_frac"] > 0
    assert metrics["policy/kl"] > 0


def test_kl_to_an_equal_reference_is_zero(policy, groups):
    batches = micro_batches(rows_of(groups), 10**6, policy.device)
    assert gradients(policy, batches, reference=policy)[1]["policy/kl"] == pytest.approx(0.0, abs=1e-9)


def test_micro_batches_hold_every_row_once_within_their_tokens(policy, groups):
    rows = rows_of(groups)
    batches = micro_batches(rows, 50, policy.device)
    assert sum(len(batch.advantages) for batch in batches) == len(rows)
    longest = [len(row.prompt_ids) + len(row.completion_ids) for row in rows]
    assert all(len(batch.input_ids) <= max(50, *longest) for batch in batches)
    assert sum(len(batch.targets) for batch in batches) == sum(len(row.completion_ids) for row in rows)


@pytest.mark.parametrize(("tokens", "rows", "count"), [(1000, 3, 1), (1000, 40, 2), (300, 40, 6), (20, 3, 3)])
def test_even_micro_batches_are_of_one_size_and_an_even_number(tokens, rows, count):
    """Rows of 40 tokens: 40 of them are 1,600, which 300 at once cut into six; a row of more tokens is alone."""
    one = TrainingRow((1,) * 10, (2,) * 30, (-1.0,) * 30, 1.0, 0.1, (True,) * 30, (0,) * 30)
    many = [dataclasses.replace(one, prompt_ids=(number // 4,) * 10) for number in range(rows)]
    batches = micro_batches(many, tokens, torch.device("cpu"), even=True)
    completions = [len(batch.advantages) for batch in batches]
    assert len(completions) == count
    assert sum(completions) == rows
    assert max(completions) == math.ceil(rows / count)


OPTIONS = {
    "ppo, delta": LossRule(partial(ppo, clip_low=0.001, clip_high=0.001, delta=1.002), kl_coef=0.04),
    "gspo": LossRule(partial(gspo, clip_low=0.003, clip_high=0.004), kl_coef=0.04),
    "cispo": LossRule(partial(cispo, clip_low=0.01, clip_high=0.01), kl_coef=0.04),
    "sapo": LossRule(sapo, kl_coef=0.04),
    "tis": LossRule(mismatch=Mismatch("tis", cap=1.01)),
    "icepop": LossRule(mismatch=Mismatch("icepop", low=0.99, high=1.01)),
    "sequence mask": LossRule(mismatch=Mismatch("sequence_mask", cap=1.01)),
    "off-policy mask": LossRule(off_policy_mask=0.001),
}


@pytest.mark.parametrize("entropy_coef", [0.0, 0.05])
@pytest.mark.parametrize("name", OPTIONS)
def test_one_times_eight_is_eight_times_one_with_every_option(policy, groups, name, entropy_coef):
    """Off policy, so that every bound is met on some tokens and not on others; in fp64."""
    moved = Policy(copy.deepcopy(policy.model).double(), policy.tokenizer, "fp64")
    with torch.no_grad():
        for parameter in moved.model.parameters():
            parameter += 0.002 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4))
    rows = rows_of(groups, "sequence")
    whole = micro_batches(rows, 10**6, policy.device)
    single = [batch for row in rows for batch in micro_batches([row], 1, policy.device)]
    settings = dataclasses.replace(
        SETTINGS,
        loss=OPTIONS[name],
        old_from_rollout=OPTIONS[name].mismatch is None,
        updates=2,
        entropy_coef=entropy_coef,
    )
    (one, metrics), (eight, in_parts) = (measured(moved, batches, settings) for batches in (whole, single))
    assert float((one - eight).abs().max() / one.abs().max()) < 1e-6
    for metric in metrics.keys() - {"policy/rollout_logprob_gap"}:
        assert metrics[metric] == pytest.approx(in_parts[metric], rel=1e-6, abs=1e-9), metric
    shares = [value for key, value in metrics.items() if key.endswith(("clipped_frac", "mismatch_frac", "masked_frac"))]
    assert (max(shares) > 0) is (name != "sapo")


def measured(policy, batches, settings):
    """The gradient of a batch and its metrics, without an update in between: a reader stands for the optimizer."""
    model = copy.deepcopy(policy.model)
    reader = GradientReader(model)
    copied = Policy(model, policy.tokenizer, "copy")
    metrics = update_policy(copied, policy, reader, batches, settings, 1.0)
    return reader.gradient, metrics


class GradientReader:
    """Keeps the last gradient, and updates nothing."""

    loss_scale = 1.0

    def __init__(self, model) -> None:
        self.model = model

    def step(self, lr_factor: float) -> float:
        self.gradient = torch.cat([p.grad.flatten() for p in self.model.parameters()])
        self.model.zero_grad()
        return float(self.gradient.norm())


def test_the_entropy_bonus_is_the_gradient_of_the_mean_entropy(policy, groups):
    """With rewards all equal nothing but the bonus is left: minus its weight times the mean over the tokens."""
    equal = [
        dataclasses.replace(group, completions=tuple(dataclasses.replace(one, reward=1.0) for one in group.completions))
        for group in groups
    ]
    batches = micro_batches(rows_of(equal), 60, policy.device)
    assert len(batches) > 1
    settings = dataclasses.replace(SETTINGS, loss=LossRule(), entropy_coef=0.3)
    ours, metrics = measured(policy, batches, settings)
    model = copy.deepcopy(policy.model)
    entropies = []
    for row in rows_of(equal):
        ids = torch.tensor([row.prompt_ids + row.completion_ids])
        logits = model(input_ids=ids).logits[0, len(row.prompt_ids) - 1 : -1] / SETTINGS.temperature
        entropies.append(torch.distributions.Categorical(logits=logits).entropy())
    mean = torch.cat(entropies).mean()
    value = mean.item()
    (-0.3 * mean).backward()
    expected = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert float((ours - expected).norm() / expected.norm()) < 1e-4
    assert metrics["policy/entropy"] == pytest.approx(value, rel=1e-5)
    assert metrics["loss/total"] == pytest.approx(-0.3 * value, rel=1e-5)


@pytest.mark.parametrize("aggregation", ["token", "sequence", "constant"])
def test_truncated_completions_leave_the_loss_and_stay_in_the_baseline(groups, aggregation):
    cut = [[one.completion.finish_reason == "length" for one in group.completions] for group in groups]
    assert 0 < sum(map(sum, cut)) < 8
    everything = rows_of(groups, aggregation)
    kept = training_rows(groups, PRESETS["trl"], aggregation, 25, mask_truncated=True)
    survivors = [row for row, gone in zip(everything, itertools.chain(*cut), strict=True) if not gone]
    assert [row.advantage for row in kept] == [row.advantage for row in survivors]
    tokens = sum(len(row.completion_ids) for row in survivors)
    expected = {
        "token": [1 / tokens] * len(kept),
        "sequence": [1 / (8 * len(row.completion_ids)) for row in kept],
        "constant": [1 / (8 * 25)] * len(kept),
    }[aggregation]
    assert [row.token_weight for row in kept] == pytest.approx(expected)


def test_without_a_completion_to_learn_from_nothing_is_updated(fresh_policy):
    optimizer = MasterOptimizer(fresh_policy.model, OptimizerSettings(learning_rate=1.0))
    before = copy.deepcopy(fresh_policy.model.state_dict())
    metrics = update_policy(fresh_policy, None, optimizer, [], SETTINGS, 1.0)
    assert metrics["policy/skipped_updates"] == 1.0
    assert math.isnan(metrics["policy/entropy"])
    assert all(torch.equal(value, before[name]) for name, value in fresh_policy.model.state_dict().items())


def masked_group(policy, script, mask, rewards=(1.0, 0.0, 0.25)):
    """Completions from a script, with a loss mask, scored by hand: the way of a real run from engine to group."""
    engine = ScriptedEngine(script, loss_mask=mask)
    engine.load_weights(SharedModel(policy.model), 4)
    prompt = Prompt(Problem("a", "a?", "1"), "a?", (5, 9, 20))
    (group,) = collect_groups(engine, policy.tokenizer, [prompt], len(rewards), SamplingParams(30, 0.8), ("test",))
    scored = zip(group.completions, rewards, strict=True)
    return ScoredGroup(prompt, tuple(ScoredCompletion(one, reward, {}, VERDICT) for one, reward in scored))


def script_of(prompt_ids, seed):
    """A completion of 6 to 20 tokens, some of them of a tool (ids from 200)."""
    generator = random.Random(seed)
    return tuple(generator.choice((generator.randrange(10, 199), generator.randrange(200, 290))) for _ in range(20))[
        : generator.randrange(6, 21)
    ]


def by_hand(policy, group, aggregation):
    """The gradient of the sum over the policy's own tokens of weight x ratio-one surrogate, by plain autograd."""
    model = copy.deepcopy(policy.model)
    rewards = torch.tensor([one.reward for one in group.completions], dtype=torch.float64)
    advantages = (rewards - rewards.mean()) / (rewards.std() + 1e-4)
    own = [[token < 200 for token in one.completion.token_ids] for one in group.completions]
    total = 0.0
    for one, advantage, mine in zip(group.completions, advantages, own, strict=True):
        ids = torch.tensor([group.prompt.token_ids + one.completion.token_ids])
        logits = model(ids).logits[0, len(group.prompt.token_ids) - 1 : -1] / SETTINGS.temperature
        targets = torch.tensor(one.completion.token_ids)
        logprobs = torch.log_softmax(logits, -1).gather(-1, targets[:, None]).squeeze(-1)
        weight = {
            "token": 1 / sum(map(sum, own)),
            "sequence": 1 / (len(own) * max(1, sum(mine))),
            "constant": 1 / (len(own) * 25),
        }[aggregation]
        total = total - weight * advantage * logprobs[torch.tensor(mine)].sum()
    total.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("cut", [1, 45, 10**6])
@pytest.mark.parametrize("aggregation", ["token", "sequence", "constant"])
def test_a_tools_tokens_are_read_and_not_learned_from(policy, aggregation, cut):
    """From the engine's mask to the gradient: only the policy's own tokens count, in the loss and in the lengths."""
    policy = Policy(copy.deepcopy(policy.model).double(), policy.tokenizer, "fp64")
    group = masked_group(policy, script_of, lambda ids: tuple(token < 200 for token in ids))
    assert all(0 < sum(one.completion.loss_mask) < len(one.completion.token_ids) for one in group.completions)
    batches = micro_batches(rows_of([group], aggregation), cut, policy.device)
    settings = dataclasses.replace(SETTINGS, loss=LossRule(), old_from_rollout=False, policy_version=6)
    ours, metrics = measured(policy, batches, settings)
    expected = by_hand(policy, group, aggregation)
    assert float((ours - expected).abs().max() / expected.abs().max()) < 1e-6  # weights are fp32
    assert sum(len(batch.targets) for batch in batches) == sum(
        token < 200 for one in group.completions for token in one.completion.token_ids
    )
    assert (metrics["policy/staleness"], metrics["policy/staleness_max"]) == (2.0, 2.0)


def test_a_completion_without_a_word_of_the_policys_stays_in_the_baseline_alone(policy):
    """The second completion is a tool's from end to end: no row, and no length, but its reward is in the mean."""
    group = masked_group(
        policy, lambda prompt, seed: (7, 8, 9), lambda ids: (True, False, True), rewards=(1.0, 0.0, 0.5, 0.5)
    )
    silent = dataclasses.replace(group.completions[1].completion, loss_mask=(False,) * 3)
    completions = list(group.completions)
    completions[1] = dataclasses.replace(completions[1], completion=silent)
    rows = rows_of([dataclasses.replace(group, completions=tuple(completions))], "sequence")
    assert [row.advantage for row in rows] == [
        row.advantage for at, row in enumerate(rows_of([group], "sequence")) if at != 1
    ]
    assert [row.token_weight for row in rows] == pytest.approx([1 / (4 * 2)] * 3)


def test_what_a_masked_token_reports_cannot_matter(policy):
    """Its log-prob and its version are nobody's: whatever stands there, the micro-batch is the same."""
    (row,) = rows_of([masked_group(policy, script_of, lambda ids: tuple(token < 200 for token in ids))])[:1]
    own = row.loss_mask
    other = dataclasses.replace(
        row,
        rollout_logprobs=tuple(v if kept else -99.0 for v, kept in zip(row.rollout_logprobs, own, strict=True)),
        policy_versions=tuple(v if kept else 77 for v, kept in zip(row.policy_versions, own, strict=True)),
    )
    (one,), (two,) = (micro_batches([each], 100, policy.device) for each in (row, other))
    assert not all(own)
    for name in ("input_ids", "before", "targets", "rollout_logprobs", "policy_versions"):
        assert torch.equal(getattr(one, name), getattr(two, name)), name


def test_staleness_is_that_of_each_token(policy, groups):
    """A server changed weights in mid-sequence: the mean and the largest of what each token is behind."""
    (batch,) = micro_batches(rows_of(groups), 10**6, policy.device)
    versions = torch.where(torch.arange(len(batch.targets)) < 8, 3, 5)
    settings = dataclasses.replace(SETTINGS, policy_version=5)
    metrics = measured(policy, [dataclasses.replace(batch, policy_versions=versions)], settings)[1]
    assert metrics["policy/staleness"] == pytest.approx(2 * 8 / len(batch.targets))
    assert metrics["policy/staleness_max"] == 2.0


lengths_and_rewards = st.lists(st.tuples(st.integers(1, 12), st.sampled_from([0.0, 0.5, 1.0])), min_size=2, max_size=6)


@settings(deadline=None)  # a busy machine
@given(lengths_and_rewards, st.integers(1, 60), st.sampled_from(["token", "sequence", "constant"]), st.randoms())
def test_any_cut_holds_every_token_once_with_its_weight(completions, micro_batch_tokens, aggregation, random):
    """Weights, advantages, masks, log-probs and versions come out of any cut as they went in, row by row."""
    prompt = Prompt(Problem("a", "", ""), "", (1, 2))
    scored = []
    for number, (length, reward) in enumerate(completions):
        mask = tuple(random.random() < 0.7 for _ in range(length))
        versions = tuple(random.randrange(9) for _ in range(length))
        one = Completion("", (number + 3,) * length, (-float(number + 1),) * length, "stop", versions, 0, mask)
        scored.append(ScoredCompletion(one, reward, {}, VERDICT))
    rows = rows_of([ScoredGroup(prompt, tuple(scored))], aggregation)
    assert len(rows) == sum(any(one.completion.loss_mask) for one in scored)
    batches = micro_batches(rows, micro_batch_tokens, torch.device("cpu"))
    seen = {}
    for batch in batches:
        completions = len(batch.advantages)
        assert len(batch.input_ids) + 2 * (completions - 1) <= micro_batch_tokens or completions == 1
        for number in range(completions):
            mine = batch.rows == number
            seen[int(batch.targets[mine][0]) - 3] = (batch, mine, number)
    assert len(seen) == len(rows) == sum(len(batch.advantages) for batch in batches)
    for row in rows:
        batch, mine, number = seen[row.completion_ids[0] - 3]
        own = [at for at, counts in enumerate(row.loss_mask) if counts]
        assert batch.targets[mine].tolist() == [row.completion_ids[at] for at in own]
        assert batch.position_ids[batch.before[mine]].tolist() == [len(row.prompt_ids) + at - 1 for at in own]
        assert batch.policy_versions[mine].tolist() == [row.policy_versions[at] for at in own]
        assert batch.rollout_logprobs[mine].tolist() == [row.rollout_logprobs[at] for at in own]
        assert float(batch.token_weights[number]) == pytest.approx(row.token_weight)
        assert float(batch.advantages[number]) == pytest.approx(row.advantage)
        assert batch.has_signal == bool((batch.advantages != 0).any())
    total = sum(float(batch.token_weights[batch.rows].sum()) for batch in batches)
    if rows and aggregation == "token":
        assert total == pytest.approx(1.0)


def test_weights_that_give_no_numbers_are_told_from_a_batch_that_is_empty(fresh_policy, groups):
    """Both leave the update out, and the loss and entropy of both are NaN."""
    optimizer = MasterOptimizer(fresh_policy.model, OptimizerSettings())
    empty = update_policy(fresh_policy, None, optimizer, [], SETTINGS, 1.0)
    with torch.no_grad():
        fresh_policy.model.model.norm.weight[0] = float("nan")
    batches = micro_batches(rows_of(groups, "token"), 10_000, fresh_policy.device)
    broken = update_policy(fresh_policy, None, optimizer, batches, SETTINGS, 1.0)
    assert math.isnan(empty["loss/total"])
    assert math.isnan(broken["loss/total"])
    assert (empty["policy/nonfinite_updates"], broken["policy/nonfinite_updates"]) == (0.0, 1.0)
    assert empty["policy/skipped_updates"] == broken["policy/skipped_updates"] == 1.0
