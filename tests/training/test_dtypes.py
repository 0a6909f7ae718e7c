"""Runs in 16 bits on a CPU: the same bits again and after a resume, and old log-probs that are the trainer's own."""

import pytest

from frugalrl.reporting.run_log import read_metrics
from tests.training.test_failures import content, recipe, run


def in_dtype(dtype: str, steps: int = 2, **changes):
    return recipe(model={"dtype": dtype}, training={"steps": steps, "save_every": 1}, **changes)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_rerun_and_a_resume_have_the_same_bits(dtype, tmp_path):
    run(tmp_path / "once", in_dtype(dtype))
    run(tmp_path / "again", in_dtype(dtype))
    assert content(tmp_path / "once") == content(tmp_path / "again")
    stop = iter([False, True])
    run(tmp_path / "resumed", in_dtype(dtype), should_stop=lambda: next(stop, True))
    run(tmp_path / "resumed", in_dtype(dtype), resume=True)
    assert content(tmp_path / "resumed") == content(tmp_path / "once")
    steps = [row for row in read_metrics(tmp_path / "once") if "policy/grad_norm" in row]
    assert all(row["policy/skipped_updates"] == 0.0 and row["policy/grad_norm"] > 0 for row in steps)
    # Old log-probs are the trainer's own: nothing is clipped, though the engine's differ.
    assert all(row["policy/clipped_frac"] == 0.0 and row["policy/rollout_logprob_gap"] > 0 for row in steps)


@pytest.mark.parametrize("mismatch", ["tis", "icepop", "sequence_mask"])
def test_the_share_that_a_correction_changed_is_logged(mismatch, tmp_path):
    run(
        tmp_path / "run",
        in_dtype("bfloat16", steps=1, algorithm={"loss": {"mismatch": mismatch, "mismatch_cap": 1.001}}),
    )
    (row,) = (row for row in read_metrics(tmp_path / "run") if "policy/grad_norm" in row)
    assert 0.0 <= row["policy/mismatch_frac"] < 1.0
    assert row["policy/mismatch_frac"] > 0.0 or mismatch == "icepop"
