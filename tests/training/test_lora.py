"""Runs with adapters: what they leave, resumed, rolled back, returned to the base, and supervised."""

import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM

from frugalrl import api
from frugalrl.config.schema import ModelSettings
from frugalrl.errors import ModelError
from frugalrl.reporting.run_log import RunLog
from frugalrl.training.model.policy import load_policy, resolve_model_path, weights_hash
from frugalrl.training.restoring import prepare_run
from frugalrl.training.state.checkpoint import load_training_state
from frugalrl.training.state.pointers import latest_checkpoint
from frugalrl.training.weights import load_step_weights
from tests.training import test_sft
from tests.training.test_stability_options import NO_EVALUATION, SHORT
from tests.training.test_trainer import recipe, run, training_values

LORA = {"rank": 4, "alpha": 16.0, "dropout": 0.1}
MODEL = {"lora": LORA, "gradient_checkpointing": True}


def short(**model):
    return recipe(
        **NO_EVALUATION,
        rollout=SHORT,
        model={**MODEL, **model},
        training={"steps": 4, "save_every": None},
        algorithm={"loss": {"kl_coef": 0.04}, "reference_reset_every": 2},
    )


def weights(folder):
    return AutoModelForCausalLM.from_pretrained(folder / "model").state_dict()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora")
    summary, lines = run(folder, recipe(model=MODEL))
    return folder, summary, lines


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    run(folder, short())
    return folder


def test_a_run_says_what_it_trains_and_keeps_small_checkpoints(finished):
    folder, _, lines = finished
    assert lines[0] == "LoRA of rank 4 in 28 projections: 38,912 weights are trained beside 854,144 that stay (4.6%)."
    checkpoint = latest_checkpoint(folder / "checkpoints")
    assert not list(checkpoint.glob("model*"))
    size = sum(file.stat().st_size for file in checkpoint.rglob("*.safetensors"))
    assert size < 38_912 * 12 + 40_000 < (folder / "model" / "model.safetensors").stat().st_size / 6
    card = (folder / "model" / "README.md").read_text()
    assert "LoRA adapters of rank 4 (alpha 16, dropout 0.1) in q_proj, k_proj" in card
    assert "base model: `builtin:tiny`" in card


def test_what_is_evaluated_is_what_is_exported(finished, tmp_path):
    folder, summary, _ = finished
    model = load_policy(ModelSettings(path=str(folder / "model")))
    header = json.loads((folder / "evaluations" / "validation-step-000004.jsonl").read_text().splitlines()[0])
    base = json.loads((folder / "evaluations" / "validation-step-000000.jsonl").read_text().splitlines()[0])
    exported = {0: base, 4: header}.get(summary.kept_step)
    assert header["model_hash"] != base["model_hash"] == weights_hash(load_policy(ModelSettings()))
    if exported is not None:
        assert weights_hash(model) == exported["model_hash"]
    bench = tmp_path / "sums.jsonl"
    bench.write_text('{"problem": "What is 3 + 4?", "answer": "7"}\n{"problem": "What is 9 - 5?", "answer": "4"}\n')
    scored = []
    for source in (folder / "model", folder / "adapter"):
        made = api.evaluate(source, str(bench), k=2, max_tokens=32, out=tmp_path / source.name)
        scored.append([json.loads(line) for line in next(made.folder.glob("*.jsonl")).read_text().splitlines()])
    samples = [[{**row, "model": ""} for row in rows if row["record"] == "sample"] for rows in scored]
    assert samples[0] == samples[1]
    assert len(samples[0]) == 4
    assert scored[0][0]["model_hash"] == scored[1][0]["model_hash"] == weights_hash(model)


def test_a_run_with_dropout_kl_and_a_reset_resumes_bit_for_bit(straight, tmp_path):
    rows = training_values(straight)
    assert [row["policy/reference_step"] for row in rows] == [0.0, 0.0, 2.0, 2.0]
    assert rows[0]["policy/kl"] == pytest.approx(0.0, abs=1e-9)  # no adapters yet, so nothing to drop
    assert rows[1]["policy/kl"] > 0
    stops = iter([False, False, False, True])
    run(tmp_path, short(), should_stop=lambda: next(stops))
    checkpoint = latest_checkpoint(tmp_path / "checkpoints")
    tensors = load_training_state(checkpoint).tensors
    assert len(tensors["reference"]) == 28 * 2  # the adapters of then, not a model
    run(tmp_path, short(), resume_from=checkpoint)
    assert training_values(tmp_path) == rows
    assert all(torch.equal(value, weights(straight)[name]) for name, value in weights(tmp_path).items())


def test_a_resumed_run_refuses_another_base(tmp_path):
    shutil.copytree(resolve_model_path("builtin:tiny"), tmp_path / "base")
    chosen = short(path=str(tmp_path / "base"))
    run(tmp_path / "run", chosen, should_stop=iter([False, True]).__next__)
    other = load_policy(ModelSettings(path=str(tmp_path / "base")))
    with torch.no_grad():
        other.model.model.norm.weight += 1e-3
    other.model.save_pretrained(tmp_path / "base")
    with pytest.raises(ModelError, match="has other weights than when the run began"):
        run(tmp_path / "run", chosen, resume_from=latest_checkpoint(tmp_path / "run" / "checkpoints"))


def test_a_return_to_the_base_or_to_a_checkpoint_is_a_change_of_adapters(finished, tmp_path):
    """As the selection at the end and the guard's rollback make it."""
    folder = shutil.copytree(finished[0], tmp_path / "run")
    base = weights_hash(load_policy(ModelSettings()))
    with RunLog(folder, (), "small") as log:
        made, _ = prepare_run(
            recipe(model=MODEL), folder, folder / "checkpoints" / "step-000004", log, lambda line: None
        )
        last = weights_hash(made.policy)
        load_step_weights(made, 2)
        second = weights_hash(made.policy)
        load_step_weights(made, 0)
        assert weights_hash(made.policy) == base == made.base_weights
        assert len({base, second, last}) == 3
        load_step_weights(made, 4)
        assert weights_hash(made.policy) == last
        assert all(tensor.requires_grad == (".lora_" in name) for name, tensor in made.policy.model.named_parameters())


def test_supervised_adapters_learn_resume_and_leave_their_base(tmp_path):
    chosen = test_sft.recipe(
        scratch=None,
        model={"path": "builtin:tiny", "lora": LORA},
        optimizer={"learning_rate": 2e-3, "schedule": "constant", "warmup_fraction": 0.0},
        phases=[{"limit": 30, "mix": "strategies"}],
        validation=None,
        training={"batch_tokens": 1024, "pack_tokens": 512, "save_every": 4},
    )
    straight = test_sft.run(tmp_path / "straight", chosen)
    calls = iter(range(100))
    assert test_sft.run(tmp_path / "stopped", chosen, should_stop=lambda: next(calls) == 1) is None
    checkpoint = latest_checkpoint(tmp_path / "stopped" / "checkpoints")
    resumed = test_sft.run(tmp_path / "stopped", chosen, resume_from=checkpoint)
    one, other = (AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (straight, resumed))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    base = load_policy(ModelSettings()).model.state_dict()
    changed = {name for name, value in one.items() if not torch.equal(value, base[name])}
    assert changed == {name for name in base if name.endswith("_proj.weight")}
    assert (tmp_path / "straight" / "adapter" / "adapter_model.safetensors").is_file()
    assert "LoRA adapters of rank 4" in (straight / "README.md").read_text()
