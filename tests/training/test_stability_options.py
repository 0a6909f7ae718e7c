"""The options of stability in whole runs: each starts and logs itself; a resumed run is the run straight through."""

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from frugalrl.reporting.run_log import read_metrics
from frugalrl.training.state.checkpoint import load_training_state
from frugalrl.training.state.pointers import latest_checkpoint
from tests.training.test_trainer import recipe, run, training_values

NO_EVALUATION = {"data": {"train": {"limit": 60}, "validation": None, "test": None}, "evaluation": {"every": None}}
SHORT = {"prompts_per_step": 2, "group_size": 4, "max_completion_tokens": 48}


def options(steps: int = 4, rollout: dict | None = None, **algorithm):
    return recipe(
        **NO_EVALUATION,
        rollout={**SHORT, **(rollout or {})},
        algorithm=algorithm,
        training={"steps": steps, "save_every": None},
    )


def test_a_run_with_every_state_resumes_bit_for_bit(tmp_path):
    """Refill moves the position in the data, the entropy control its coefficient, the reset the reference."""
    chosen = options(
        rollout={"max_extra_groups": 2.0},
        loss={"kl_coef": 0.04, "clip_high": 0.28},
        entropy={"adaptive": True, "target": 5.0, "step": 0.01},
        reference_reset_every=2,
        mask_truncated=True,
    )
    run(tmp_path / "straight", chosen)
    straight = training_values(tmp_path / "straight")
    assert sum(row["rollout/extra_frac"] for row in straight) > 0
    assert [row["policy/entropy_coef"] for row in straight] == pytest.approx([0.0, 0.01, 0.02, 0.03])
    assert [row["policy/reference_step"] for row in straight] == [0.0, 0.0, 2.0, 2.0]
    assert straight[1]["policy/kl"] > 0
    assert straight[2]["policy/kl"] == pytest.approx(0.0, abs=1e-9)  # measured before the third update
    stops = iter([False, False, False, True])
    run(tmp_path / "stopped", chosen, should_stop=lambda: next(stops))
    checkpoint = latest_checkpoint(tmp_path / "stopped" / "checkpoints")
    state = load_training_state(checkpoint)
    assert state.values["sampler"]["memory"]["position"] > 3 * 2
    assert all(name.startswith("reference.") for name in state.tensors["reference"])
    run(tmp_path / "stopped", chosen, resume_from=checkpoint)
    assert training_values(tmp_path / "stopped") == straight
    one, other = (
        AutoModelForCausalLM.from_pretrained(tmp_path / name / "model").state_dict() for name in ("straight", "stopped")
    )
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_reference_that_was_never_reset_stays_out_of_checkpoints(tmp_path):
    run(tmp_path / "run", options(loss={"kl_coef": 0.04}), should_stop=iter([False, True]).__next__)
    state = load_training_state(latest_checkpoint(tmp_path / "run" / "checkpoints"))
    assert not any(name.startswith("reference.") for name in state.tensors)
    assert state.values["sampler"]["memory"]["position"] == 2


@pytest.mark.parametrize(
    ("rollout", "algorithm", "metric"),
    [
        ({}, {"preset": "gspo", "updates_per_batch": 2}, None),
        ({}, {"preset": "cispo", "updates_per_batch": 2}, None),
        ({}, {"preset": "sapo", "updates_per_batch": 2}, None),
        ({}, {"loss": {"mismatch": "tis"}}, "policy/mismatch_frac"),
        ({}, {"loss": {"mismatch": "icepop"}, "updates_per_batch": 2}, "policy/mismatch_frac"),
        ({}, {"loss": {"off_policy_mask": 0.01}, "updates_per_batch": 2}, "policy/off_policy_masked_frac"),
        ({}, {"entropy": {"coef": 0.01}}, "policy/entropy_coef"),
        ({"max_extra_groups": 1.0}, {}, "group/refilled"),
    ],
)
def test_an_option_runs_and_logs_finite_numbers_that_the_glossary_names(tmp_path, rollout, algorithm, metric):
    run(tmp_path / "run", options(2, rollout, **algorithm))
    rows = training_values(tmp_path / "run")
    glossary = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text()
    assert len(rows) == 2
    for row in rows:
        assert math.isfinite(row["loss/total"])
        assert metric is None or (math.isfinite(row[metric]) and f"`{metric}`" in glossary)


def test_an_exact_engine_leaves_the_correction_nothing_to_do(tmp_path):
    """In fp32 the engine's log-probs are the trainer's: no token is capped, and the gap is rounding."""
    run(tmp_path / "run", options(2, loss={"mismatch": "icepop", "mismatch_low": 0.999, "mismatch_high": 1.001}))
    for row in training_values(tmp_path / "run"):
        assert row["policy/mismatch_frac"] == 0.0
        assert row["policy/rollout_logprob_gap"] < 1e-4


def test_a_batch_of_masked_truncated_completions_changes_no_weight(tmp_path):
    run(tmp_path / "run", options(2, {"max_completion_tokens": 4}, mask_truncated=True))
    rows = read_metrics(tmp_path / "run")
    assert [row["policy/skipped_updates"] for row in rows] == [1.0, 1.0]
    assert [row["policy/entropy"] for row in rows] == [None, None]
