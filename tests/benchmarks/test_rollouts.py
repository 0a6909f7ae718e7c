"""The rollout benchmark: the same work on every side, ratios within a round, and no side that does less."""

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import rollouts  # noqa: E402
from rollout_parts import sides  # noqa: E402
from rollout_parts.work import GROUP, SIZES, Case, lengths, make_model, prompts  # noqa: E402

CASE = Case("1M", "float32", 16, 4, 12)


SECONDS = {"frugalrl": [1.0, 2.0, 4.0], "vllm": [2.0, 5.0, 6.0]}
"""Of each round."""


class FakeSide:
    """Takes a fixed time; its tokens may be fewer than asked for."""

    missing = 0

    def __init__(self, name, case, settings, errors):
        self.name, self.case, self.versions, self.times = name, case, {"torch": "0"}, iter(SECONDS[name])

    def run(self):
        taken = next(self.times)
        return {"tokens": sum(lengths(self.case)) - self.missing, "seconds": taken, "cpu_seconds": taken}

    def close(self):
        pass


@pytest.fixture
def faked(monkeypatch):
    monkeypatch.setattr(rollouts, "Side", FakeSide)
    monkeypatch.setattr(rollouts, "_fastest", lambda run: 0.01)
    return rollouts.Settings(3, 1, None, Path("unused"))


def test_a_ratio_is_made_within_a_round_and_a_rate_is_a_median(faked):
    result = rollouts.measure(CASE, ["frugalrl", "vllm"], faked)
    tokens = sum(lengths(CASE))
    assert result["frugalrl_over"] == {"vllm": 2.0}  # of 2, 2.5 and 1.5
    assert result["tokens_per_cpu_second"] == {"frugalrl": tokens / 2.0, "vllm": tokens / 5.0}
    assert json.loads(json.dumps(result)) == result


def test_a_side_that_made_fewer_tokens_ends_the_comparison(faked, monkeypatch):
    monkeypatch.setattr(FakeSide, "missing", 1)
    with pytest.raises(RuntimeError, match="made 127 tokens"):
        rollouts.measure(CASE, ["frugalrl", "vllm"], faked)


def test_equal_and_spread_lengths_are_the_same_work():
    for sequences in (64, 256):
        equal, spread = rollouts.cases(["1M"], ["float32"], [sequences], (40, 256))
        assert sum(lengths(equal)) == sum(lengths(spread))
        assert (min(lengths(spread)), max(lengths(spread)), len(prompts(spread))) == (40, 256, sequences // GROUP)


def test_sizes_are_what_they_are_called(tmp_path):
    make_model(CASE, tmp_path)
    written = (tmp_path / "model.safetensors").stat().st_size / 4
    assert 0.8e6 < written < 1.2e6
    for name, millions in (("10M", 10), ("100M", 100)):
        shape = SIZES[name]
        hidden, kv = shape["hidden_size"], shape["num_key_value_heads"] / shape["num_attention_heads"]
        layer = 2 * hidden**2 * (1 + kv) + 3 * hidden * shape["intermediate_size"]
        total = shape["num_hidden_layers"] * layer + hidden * shape["vocab_size"]
        assert total / 1e6 == pytest.approx(millions, rel=0.05)


@pytest.mark.parametrize("side", ["frugalrl", "generate"])
def test_a_side_makes_every_completion_as_long_as_it_is_told(side, tmp_path, monkeypatch):
    from frugalrl.rollout import torch_engine

    monkeypatch.setattr(torch_engine, "Flight", torch_engine.Flight)  # put back afterwards
    make_model(CASE, tmp_path)
    assert sides.SIDES[side](CASE, tmp_path)() == sum(lengths(CASE))
