"""Verdicts beside sampling and evaluations that share a batch change no digit of a run."""

import functools

from frugalrl.evaluation.results import read_results
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.tasks.judging_ahead import JudgingAhead
from frugalrl.training import batch, evaluating
from frugalrl.training.limits.stopping import StopRequested
from tests.training.test_trainer import recipe, run, training_values


def of_three_domains(**changes):
    """Answers, puzzles and programs, of a base that solves some of each."""
    data = {
        "train": {"source": "domains", "limit": 9, "difficulties": [1]},
        "validation": {"source": "domains", "split": "validation", "limit": 6, "difficulties": [1]},
        "test": {"source": "domains", "split": "test", "limit": 5, "difficulties": [1]},
    }
    rollout = {"prompts_per_step": 9, "group_size": 3, "max_completion_tokens": 128}
    own = {"model": {"path": "builtin:tiny-domains"}, "data": data, "rollout": rollout}
    return recipe(**own, evaluation={"samples_per_problem": 1, "every": None}, training={"steps": 1}, **changes)


def evaluations(folder):
    files = {path.name: read_results(path) for path in sorted((folder / "evaluations").iterdir())}
    return {name: (one.header, one.samples, one.problems) for name, one in files.items()}


def test_a_run_is_the_same_without_them(tmp_path, monkeypatch):
    scored, sampled, handed = [], [], []
    score, generate, add = batch.shared_scores, TorchEngine.generate, JudgingAhead.add

    def keeping(*arguments):
        scored.append(score(*arguments))
        return scored[-1]

    @functools.wraps(generate)
    def counting(self, requests, *rest):
        sampled.append(len(requests))
        return generate(self, requests, *rest)

    def noting(self, *text):
        handed.append(text)
        add(self, *text)

    monkeypatch.setattr(JudgingAhead, "add", noting)
    monkeypatch.setattr(batch, "shared_scores", keeping)
    monkeypatch.setattr(TorchEngine, "generate", counting)
    together, lines = run(tmp_path / "together", of_three_domains())
    assert sampled == [11, 9, 6]  # the base on both sets, the step, its validation
    assert len(handed) == 11 + 27 + 6
    of_sets = evaluating.evaluate_sets
    monkeypatch.setattr(JudgingAhead, "add", lambda *arguments: None)
    monkeypatch.setattr(
        evaluating,
        "evaluate_sets",
        lambda engine, tokenizer, sets, *rest: [of_sets(engine, tokenizer, [one], *rest)[0] for one in sets],
    )
    apart, _ = run(tmp_path / "apart", of_three_domains())
    assert scored[0] == scored[1]
    verdicts = {(one.prompt.problem.check.task, c.verdict.label) for one in scored[0] for c in one.completions}
    assert {"arithmetic", "logic", "programs"} == {task for task, _ in verdicts}
    assert {"correct", "incorrect"} <= {label for _, label in verdicts}
    assert training_values(tmp_path / "together") == training_values(tmp_path / "apart")
    assert evaluations(tmp_path / "together") == evaluations(tmp_path / "apart")
    assert together.difference == apart.difference
    told = [line for line in lines if " after step 0: " in line]
    assert [line.split()[0] for line in told] == ["validation", "test"]


def test_a_stop_in_the_evaluation_of_the_base_leaves_nothing_half_made(tmp_path, monkeypatch):
    def stopped(self, *arguments):
        raise StopRequested

    with monkeypatch.context() as patched:
        patched.setattr(TorchEngine, "generate", stopped)
        summary, lines = run(tmp_path, of_three_domains())
    assert summary is None
    assert "start over with --resume" in lines[-1]
    assert not list(tmp_path.glob("evaluations/*"))
