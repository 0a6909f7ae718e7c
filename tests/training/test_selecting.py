"""Which model a run ends with: the best on validation, whatever came after it, and the base if nothing beats it."""

import json

import pytest
import torch
from safetensors.torch import load_file

from frugalrl.config.loading import parse_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import DataError, OutputError
from frugalrl.evaluation.ledger import read_ledger
from frugalrl.evaluation.looks import models_seen
from frugalrl.training.state.checkpoint import checkpoint_name
from frugalrl.training.state.pointers import BEST, pointed
from frugalrl.training.state.run_folder import open_run_folder
from frugalrl.training.trainer import train

SMALL = {
    "name": "small",
    "seed": 5,
    "data": {
        "train": {"limit": 30},
        "validation": {"split": "validation", "limit": 3},
        "test": {"split": "test", "limit": 3},
    },
    "rewards": [{"name": "accuracy"}, {"name": "format", "weight": 0.5}],
    "rollout": {"prompts_per_step": 2, "group_size": 3, "max_prompt_tokens": 128, "max_completion_tokens": 24},
    "evaluation": {"every": 1, "samples_per_problem": 2, "max_sequences": 8},
    "training": {"steps": 4},
}


def run(folder, judged=None, monkeypatch=None, **changes):
    """Train; `judged` replaces the accuracy of each validation problem, evaluation by evaluation."""
    merged = {
        key: {**value, **changes.pop(key, {})} if isinstance(value, dict) else value for key, value in SMALL.items()
    }
    recipe = parse_recipe({**merged, **changes}, TrainRecipe)
    lines: list[str] = []
    if judged is not None:
        replace_verdicts(monkeypatch, judged)
    with open_run_folder(recipe, folder, resume=False) as opened:
        summary = train(recipe, opened.path, opened.checkpoint, lines.append)
    return summary, lines


def replace_verdicts(monkeypatch, judged):
    """On validation, the first `judged[evaluation]` of the three problems are right, and no other."""
    from frugalrl.training.run import Run
    from frugalrl.types import Verdict

    asked = {}

    def verdicts(group):
        problem = group.prompt.problem.id
        if "validation" not in problem:
            return [Verdict("correct", "1", "equal") for _ in group.completions]
        evaluation = asked[problem] = asked.get(problem, -1) + 1
        label = "correct" if int(problem.rsplit("-", 1)[-1]) < judged[evaluation] else "incorrect"
        return [Verdict(label, "1", "equal") for _ in group.completions]

    monkeypatch.setattr(Run, "judge", lambda run, groups: [verdicts(group) for group in groups])


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(a, b):
    return all(torch.equal(tensor, b[name]) for name, tensor in a.items())


def test_the_best_is_kept_though_the_run_went_on(tmp_path, monkeypatch):
    summary, lines = run(tmp_path / "run", [1, 2, 3, 2, 1], monkeypatch)
    best = tmp_path / "run" / "checkpoints" / checkpoint_name(2)
    assert (summary.kept_step, summary.steps) == (2, 4)
    assert pointed(tmp_path / "run" / "checkpoints", BEST) == best
    assert same(weights(tmp_path / "run" / "model"), weights(best))
    assert [(one.name, one.step, round(one.score.avg_at_k, 2)) for one in summary.contenders] == [
        ("base", 0, 0.33),
        ("best", 2, 1.0),
        ("last", 4, 0.33),
    ]
    assert "Step 2 is kept" in summary.choice[0]
    assert "not shown" in summary.choice[1]  # three problems cannot show it
    assert any("test after step 2:" in line for line in lines)


def test_the_base_is_kept_where_nothing_beats_it(tmp_path, monkeypatch):
    summary, _ = run(tmp_path / "run", [2, 1, 2, 0, 2], monkeypatch)
    assert (summary.kept_step, summary.difference.value, summary.verdict) == (0, 0.0, "inconclusive")
    assert "No checkpoint is better than the base" in summary.choice[0]
    from frugalrl.config.schema import ModelSettings
    from frugalrl.training.model.policy import load_policy

    base = load_policy(ModelSettings()).model.state_dict()
    assert same(weights(tmp_path / "run" / "model"), base)
    assert pointed(tmp_path / "run" / "checkpoints", BEST) is None


def test_patience_ends_the_run_and_says_why(tmp_path, monkeypatch):
    summary, lines = run(tmp_path / "run", [1, 2, 2, 2, 3], monkeypatch, selection={"patience": 2})
    assert (summary.steps, summary.kept_step) == (3, 1)
    assert summary.ended_early == "Stopped at step 3: 2 in a row did not beat step 1."
    assert any(summary.ended_early in line for line in lines)


def test_a_test_set_is_looked_at_for_the_base_and_the_kept_model_only(tmp_path, monkeypatch):
    run(tmp_path / "run", [1, 2, 3, 2, 1], monkeypatch)
    looks = read_ledger(tmp_path / "run")
    assert [(one.benchmark, one.step) for one in looks] == [
        ("validation", 0), ("test", 0), *(("validation", step) for step in (1, 2, 3, 4)), ("test", 2),
    ]  # fmt: skip
    assert models_seen(looks) == {"test": (2,)}
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["kept_step"] == 2


def test_a_benchmark_as_validation_is_refused(tmp_path):
    with pytest.raises(DataError, match="is the benchmark arithmetic"):
        run(tmp_path / "run", data={"validation": {"split": "test", "limit": 3}})
    assert not (tmp_path / "run").exists()


def test_a_best_checkpoint_that_was_damaged_is_not_used_in_silence(tmp_path, monkeypatch):
    from frugalrl.training import finishing

    chosen = finishing.choose

    def damaged_before_the_choice(run, progress):
        (run.folder / "checkpoints" / checkpoint_name(2) / "config.json").write_text("{}")
        return chosen(run, progress)

    monkeypatch.setattr(finishing, "choose", damaged_before_the_choice)
    with pytest.raises(OutputError, match=r"step-000002 cannot be used: config.json has 2 bytes"):
        run(tmp_path / "run", [1, 2, 3, 2, 1], monkeypatch)
