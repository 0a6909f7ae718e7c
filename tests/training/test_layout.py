"""Tokens side by side, a prompt once for its group: the gradient is that of plain padded rows, whatever the cut."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalrl.algorithms.losses import LossRule
from frugalrl.config.schema import ModelSettings
from frugalrl.training.batching import TrainingRow, micro_batches
from frugalrl.training.layout import MIN_FILL, attention_layout, place
from frugalrl.training.model.policy import Policy, load_policy
from frugalrl.training.update import UpdateSettings, update_policy
from tests.conftest import random_model

SETTINGS = UpdateSettings(
    loss=LossRule(kl_coef=0.04), updates=1, temperature=0.8, logits_chunk_tokens=64, old_from_rollout=True
)
CPU = torch.device("cpu")


def some_rows(seed=0, groups=3, group_size=4, signal=True):
    """Groups of completions of 1 to 40 tokens, some of whose tokens do not count."""
    generator = np.random.default_rng(seed)

    def ids(count):
        return tuple(generator.integers(10, 290, count).tolist())

    rows = []
    for _ in range(groups):
        prompt = ids(generator.integers(1, 12))
        for _ in range(group_size):
            completion = ids(generator.integers(1, 40))
            mask = (True, *(generator.random(len(completion) - 1) < 0.9).tolist())
            logprobs = tuple((-5.6 + 0.3 * generator.standard_normal(len(completion))).tolist())
            advantage = float(generator.standard_normal()) if signal else 0.0
            rows.append(TrainingRow(prompt, completion, logprobs, advantage, 0.01, mask, (0,) * len(completion)))
    return rows


class _Reader:
    """Stands for the optimizer: keeps the gradient and moves nothing."""

    loss_scale = 1.0

    def __init__(self, model):
        self.model = model

    def step(self, lr_factor):
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.model.parameters()]
        self.gradient = torch.cat([g.flatten() for g in grads])
        self.model.zero_grad()
        return float(self.gradient.norm())


def ours(policy, rows, tokens, settings=SETTINGS):
    reader = _Reader(policy.model)
    metrics = update_policy(policy, policy, reader, micro_batches(rows, tokens, CPU), settings, 1.0)
    return reader.gradient, metrics


def padded_reference(model, rows, kl_coef=0.04):
    """The clipped surrogate and k3 of transformers' own logits, all rows in one padded rectangle with its mask."""
    model = copy.deepcopy(model)
    model.config._attn_implementation = "sdpa"
    width = max(len(row.prompt_ids) + len(row.completion_ids) for row in rows)
    ids, seen = torch.zeros(len(rows), width, dtype=torch.int64), torch.zeros(len(rows), width, dtype=torch.int64)
    for at, row in enumerate(rows):
        both = row.prompt_ids + row.completion_ids
        ids[at, : len(both)], seen[at, : len(both)] = torch.tensor(both), 1
    logits = model(input_ids=ids, attention_mask=seen).logits / SETTINGS.temperature
    logprobs = torch.log_softmax(logits, -1)
    loss = logits.new_zeros(())
    for at, row in enumerate(rows):
        first, count = len(row.prompt_ids), len(row.completion_ids)
        own = logprobs[at, first - 1 : first + count - 1].gather(-1, ids[at, first : first + count, None]).squeeze(-1)
        ratio = torch.exp(own - torch.tensor(row.rollout_logprobs))
        surrogate = torch.minimum(ratio * row.advantage, ratio.clamp(0.8, 1.2) * row.advantage)
        log_ratio = own.detach() - own
        token_loss = -surrogate + kl_coef * (torch.exp(log_ratio) - log_ratio - 1)
        loss = loss + row.token_weight * token_loss[torch.tensor(row.loss_mask)].sum()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()]), loss.item()


def distance(one, other):
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3", "llama"])
def test_the_gradient_is_that_of_padded_rows_whatever_the_cut(architecture, tokenizer):
    """fp32, within 1e-5 of the padded gradient's norm; the loss too."""
    policy = Policy(random_model(architecture, tokenizer), tokenizer, "random")
    rows = some_rows()
    reference, loss = padded_reference(policy.model, rows)
    for tokens in (1, 60, 200, 10**6):
        gradient, metrics = ours(policy, rows, tokens)
        assert distance(gradient, reference) < 1e-5, tokens
        assert metrics["loss/total"] == pytest.approx(loss, rel=1e-5, abs=1e-6)


def test_in_fp64_only_rounding_is_left(policy):
    policy = Policy(copy.deepcopy(policy.model).double(), policy.tokenizer, "fp64")
    rows = some_rows(seed=1)
    reference, _ = padded_reference(policy.model, rows)
    whole = ours(policy, rows, 10**6)[0]
    assert distance(whole, reference) < 1e-6  # rollout log-probs, advantages and weights are fp32
    assert distance(ours(policy, rows, 90)[0], whole) < 1e-7  # norms and rotations are fp32


def test_the_shipped_reasoner_has_the_same_gradient(tiny_policy):
    rows = [dataclasses.replace(row, rollout_logprobs=(-5.0,) * len(row.completion_ids)) for row in some_rows(seed=2)]
    fresh = Policy(copy.deepcopy(tiny_policy.model), tiny_policy.tokenizer, "copy")
    reference, _ = padded_reference(fresh.model, rows)
    assert distance(ours(fresh, rows, 150)[0], reference) < 1e-5


def test_a_rerun_has_the_same_bits(policy):
    rows = some_rows(seed=3)
    one, other = (ours(policy, rows, 120) for _ in range(2))
    assert torch.equal(one[0], other[0])
    assert one[1] == other[1]


def test_recomputed_activations_change_no_gradient(model_folder):
    """The layout reaches a layer again when its activations are recomputed in the backward pass."""
    rows = some_rows(seed=4)
    plain = ours(load_policy(ModelSettings(path=str(model_folder))), rows, 200)[0]
    saving = ours(load_policy(ModelSettings(path=str(model_folder), gradient_checkpointing=True)), rows, 200)[0]
    assert distance(saving, plain) < 1e-5


def test_groups_without_an_advantage_cost_no_backward_pass(policy, monkeypatch):
    """Without a KL term or an entropy bonus their gradient is zero, and their log-probs are made without one."""
    loud, silent = some_rows(seed=5, groups=2), some_rows(seed=6, groups=2, signal=False)
    batches = micro_batches([*silent[:4], *loud, *silent[4:]], 10**6, CPU)
    assert [batch.has_signal for batch in batches] == [True, False]
    calls = []
    forward = Policy.batch_logprobs

    def spied(self, batch, *arguments):
        calls.append((batch.has_signal, torch.is_grad_enabled()))
        return forward(self, batch, *arguments)

    monkeypatch.setattr(Policy, "batch_logprobs", spied)
    plain = dataclasses.replace(SETTINGS, loss=LossRule())
    reader = _Reader(policy.model)
    metrics = update_policy(policy, None, reader, batches, plain, 1.0)
    assert calls == [(True, True), (False, False)]
    one_by_one = micro_batches([*silent, *loud], 1, CPU)
    every = dataclasses.replace(plain, loss=LossRule(needs_advantage=False))
    assert metrics == pytest.approx(update_policy(policy, None, other := _Reader(policy.model), one_by_one, every, 1.0))
    assert distance(reader.gradient, other.gradient) < 1e-5
    for changed in ({"loss": LossRule(kl_coef=0.1)}, {"entropy_coef": 0.1}, {"loss": LossRule(needs_advantage=False)}):
        calls.clear()
        update_policy(policy, policy, reader, batches, dataclasses.replace(plain, **changed), 1.0)
        assert calls[-2:] == [(True, True), (False, True)], changed


sequences = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 30)), min_size=1, max_size=12)


@settings(deadline=None)  # a busy machine
@given(sequences, st.lists(st.integers(1, 9), min_size=4, max_size=4))
def test_every_sequence_reads_its_prompt_and_itself_in_order(sequences, prompt_tokens):
    """Prompt number and completion length of each; a rectangle's rows hold prompt, completion, padding."""
    prompts, lengths = [prompt for prompt, _ in sequences], [length for _, length in sequences]
    placement = place(prompts, prompt_tokens, lengths)
    layout = attention_layout(placement, CPU)
    assert placement.tokens == sum(lengths) + sum(prompt_tokens[prompt] for prompt in set(prompts))
    assert layout.tokens[layout.first_slots].tolist() == list(range(placement.tokens))
    assert sum(rows * width for rows, width in layout.rectangles) == len(layout.tokens)
    read, real, at = [], 0, 0
    for rows, width in layout.rectangles:
        for row in layout.tokens[at : at + rows * width].view(rows, width).tolist():
            (found,) = (
                number
                for number in range(len(sequences))
                if placement.completion_starts[number] in row[:width]
                and row[placement.prompt_tokens[number]] == placement.completion_starts[number]
            )
            start, own = placement.prompt_starts[found], placement.completion_starts[found]
            expected = [*range(start, start + prompt_tokens[prompts[found]]), *range(own, own + lengths[found])]
            assert row[: len(expected)] == expected
            assert len(expected) >= MIN_FILL * width
            read.append(found)
            real += len(expected)
        at += rows * width
    assert sorted(read) == list(range(len(sequences)))
    assert real == placement.tokens + sum(shared.slots.numel() for shared in layout.shared)


@settings(deadline=None)  # a busy machine
@given(sequences)
def test_the_slots_of_a_shared_prompt_are_all_that_read_it(sequences):
    prompt_tokens = [2, 3, 1, 4]
    placement = place([p for p, _ in sequences], prompt_tokens, [length for _, length in sequences])
    layout = attention_layout(placement, CPU)
    counted = torch.zeros(placement.tokens)
    for shared in layout.shared:
        for token, slots in zip(range(shared.start, shared.end), shared.slots, strict=True):
            assert set(layout.tokens[slots].tolist()) == {token}
            counted[token] += len(slots)
    copies = np.bincount([p for p, _ in sequences], minlength=4)
    for number, (prompt, _) in enumerate(sequences):
        start = placement.prompt_starts[number]
        assert counted[start : start + prompt_tokens[prompt]].tolist() == [copies[prompt] - 1] * prompt_tokens[prompt]
