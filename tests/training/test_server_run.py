"""A training run whose completions come from a server: the run in process, resumed, ended, and refused."""

import json
import shutil
from pathlib import Path

import pytest

from frugalrl.config.loading import parse_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import ModelError, RecipeError
from frugalrl.reporting.run_log import read_metrics, without_times
from frugalrl.training import batch
from frugalrl.training.state.pointers import latest_checkpoint
from frugalrl.training.trainer import train
from tests.rollout.fake_vllm import fake_server
from tests.training.test_trainer import SMALL

FEW = {**SMALL, "data": {"train": {"limit": 30}, "validation": {"split": "validation", "limit": 3}}}
FEW["evaluation"] = {"every": 2, "samples_per_problem": 1, "max_sequences": 8}
FEW["training"] = {"steps": 3, "save_every": 3}


def recipe(engine: dict, **changes) -> TrainRecipe:
    rollout = {
        **FEW["rollout"],
        "group_size": 3,
        "max_completion_tokens": 40,
        "engine": engine,
        **changes.pop("rollout", {}),
    }
    return parse_recipe({**FEW, **changes, "rollout": rollout}, TrainRecipe)


def run(folder: Path, chosen: TrainRecipe, **arguments) -> list[dict]:
    """The metrics of its steps, without what the clock says."""
    folder.mkdir(exist_ok=True)
    train(chosen, folder, **arguments)
    return [without_times(row) for row in read_metrics(folder) if "reward/mean" in row]


def samples(folder: Path) -> list[list[str]]:
    lines = (folder / "samples.jsonl").read_text().splitlines()
    return [[one["text"] for one in json.loads(line)["completions"]] for line in lines]


@pytest.fixture
def server(tiny_policy):
    with fake_server(tiny_policy.model) as (url, fake):
        yield url, fake


def test_a_run_with_a_server_is_the_run_in_process_also_when_it_is_stopped_and_resumed(server, tmp_path):
    """The fake draws as the torch engine does, so all that may differ is rounding in the log-probs."""
    url, fake = server
    inside = run(tmp_path / "inside", recipe({"kind": "torch"}))
    served = run(tmp_path / "served", recipe({"kind": "vllm", "url": url, "probe_completions": 2}))
    assert samples(tmp_path / "served") == samples(tmp_path / "inside")
    assert [row["loss/total"] for row in served] == pytest.approx([row["loss/total"] for row in inside], abs=1e-5)
    assert all(row["policy/staleness_max"] == 0 and row["sync/probe_mean"] < 2e-6 for row in served)
    assert not (tmp_path / "served" / "weights").exists()
    stops = iter([False, False, True])
    chosen = recipe({"kind": "vllm", "url": url, "probe_completions": 2})
    run(tmp_path / "cut", chosen, should_stop=lambda: next(stops))
    fake.restart()
    again = run(tmp_path / "cut", chosen, resume_from=latest_checkpoint(tmp_path / "cut" / "checkpoints"))
    assert samples(tmp_path / "cut") == samples(tmp_path / "inside")
    assert [row["loss/total"] for row in again] == pytest.approx([row["loss/total"] for row in inside], abs=1e-5)


def test_a_run_whose_server_sleeps_during_updates_is_the_same_run(server, tmp_path):
    url, fake = server
    engine = {"kind": "vllm", "url": url, "probe_completions": 2}
    awake = run(tmp_path / "awake", recipe(engine))
    fake.restart()
    asleep = run(tmp_path / "asleep", recipe({**engine, "sleep": True}))
    assert samples(tmp_path / "asleep") == samples(tmp_path / "awake")
    assert [row["loss/total"] for row in asleep] == [row["loss/total"] for row in awake]
    assert fake.asked.count("/sleep") == 3  # once a step, and it is awake for each evaluation


def test_a_server_that_goes_stale_ends_the_run_with_a_checkpoint_of_the_last_step(server, tmp_path):
    url, fake = server
    lines: list[str] = []
    (tmp_path / "run").mkdir()
    updates, original = [], fake.post

    def post(path, query, body):
        updates.extend([path] * (path == "/update_weights"))
        fake.keep_head = len(updates) > 3  # two at the start, one after the first step, then only a part of it
        return original(path, query, body)

    fake.post = post
    chosen = recipe({"kind": "vllm", "url": url, "probe_completions": 2})
    with pytest.raises(ModelError, match=r"after update 2 it .* packed output head"):
        train(chosen, tmp_path / "run", show=lines.append)
    assert latest_checkpoint(tmp_path / "run" / "checkpoints").name == "step-000002"
    assert "resume with --resume" in lines[-1]
    fake.post, fake.keep_head = original, False
    done = run(tmp_path / "run", chosen, resume_from=latest_checkpoint(tmp_path / "run" / "checkpoints"))
    assert [row["step"] for row in done] == [1, 2, 3]


def test_a_recipe_that_a_server_cannot_serve_is_refused_before_anything_is_loaded():
    engine = {"kind": "vllm", "url": "http://127.0.0.1:9"}
    for wrong, says in [({"top_p": 0.95}, "top_p"), ({"top_k": 20}, "top_p and top_k")]:
        with pytest.raises(RecipeError, match=f"(?s)log-probs are normalised.*{says}"):
            recipe(engine, rollout=wrong)
    for wrong, says in [
        ({"kind": "vllm"}, "either the url"),
        ({**engine, "launch": True, "environment": "x"}, "either the url"),
        ({"kind": "vllm", "launch": True}, "environment that holds vLLM"),
        ({**engine, "arguments": ["--seed"]}, "arguments is of servers to launch"),
        ({"kind": "vllm", "url": "127.0.0.1:8000"}, "no url"),
        ({"kind": "vllm", "url": ["http://a", "http://a/"]}, "named twice"),
        ({"kind": "vlm"}, "Did you mean 'vllm'"),
        ({"urls": "http://a"}, "unknown key: rollout.engine"),
    ]:
        with pytest.raises(RecipeError, match=says):
            recipe(wrong)


def test_a_run_whose_server_is_not_there_ends_at_once(tmp_path):
    with pytest.raises(ModelError, match=r"Rollouts are to come from http://127\.0\.0\.1:9"):
        train(recipe({"kind": "vllm", "url": "http://127.0.0.1:9"}), tmp_path)


def test_a_policy_with_adapters_is_sent_merged(server, tmp_path):
    url, _ = server
    pytest.importorskip("peft")
    model = {"lora": {"rank": 4, "alpha": 8.0, "target": ["q_proj", "up_proj"]}}
    engine = {"kind": "vllm", "url": url, "probe_completions": 2}
    rate = {"learning_rate": 1e-2}
    served = run(tmp_path / "served", recipe(engine, model=model, optimizer=rate))
    inside = run(tmp_path / "inside", recipe({"kind": "torch"}, model=model, optimizer=rate))
    assert samples(tmp_path / "served") == samples(tmp_path / "inside")
    assert served[-1]["sync/probe_mean"] < 2e-6
    assert [row["loss/total"] for row in served] == pytest.approx([row["loss/total"] for row in inside], abs=1e-4)


# As small as a run can be.
TINY = {"group_size": 2, "max_completion_tokens": 20}
FOUR = {
    "training": {"steps": 4, "save_every": 1},
    "data": {"train": {"limit": 20}},
    "guard": {"enabled": False},
    "evaluation": {"max_sequences": 4},
    "algorithm": {},
}


def one_step_off(url: str, **changes) -> TrainRecipe:
    own = {"one_step_off": True, **TINY, **changes.pop("rollout", {})}
    return recipe({"kind": "vllm", "url": url, "probe_completions": 1}, rollout=own, **{**FOUR, **changes})


def test_one_step_off_policy_each_batch_but_the_first_is_of_the_weights_before(server, tmp_path):
    url, _ = server
    served = run(tmp_path / "served", one_step_off(url))
    assert [row["policy/staleness"] for row in served] == [0, 1, 1, 1]
    inside = run(tmp_path / "inside", recipe({"kind": "torch"}, rollout=TINY, **FOUR))
    # The same problems by the same seeds; the first batch is of the same weights, the second of older ones.
    assert samples(tmp_path / "served")[0] == samples(tmp_path / "inside")[0]
    assert samples(tmp_path / "served")[1:] != samples(tmp_path / "inside")[1:]
    # The ratio of the loss is to the log-probs of the weights that sampled, so it is not 1 where they are older.
    assert served[0]["policy/rollout_logprob_gap"] < 1e-5 < served[1]["policy/rollout_logprob_gap"]
    assert inside[1]["policy/rollout_logprob_gap"] < 1e-5


def test_a_run_one_step_off_resumes_exactly_after_a_stop_an_error_and_a_kill(server, tmp_path, monkeypatch):
    url, fake = server
    chosen = one_step_off(url)
    straight = run(tmp_path / "straight", chosen)
    stops = iter([False, False, True])
    run(tmp_path / "stopped", chosen, should_stop=lambda: next(stops))
    failing = iter([None, None, ZeroDivisionError("in a reward")])
    original = batch.shared_scores

    def scored(*arguments):
        error = next(failing, None)
        if error is not None:
            raise error
        return original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(batch, "shared_scores", scored)
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / "failed", chosen)
    shutil.copytree(tmp_path / "straight", tmp_path / "killed")
    checkpoints = tmp_path / "killed" / "checkpoints"
    (checkpoints / "latest").write_text("step-000001")
    for name in ("stopped", "failed", "killed"):
        fake.restart()
        checkpoint = latest_checkpoint(tmp_path / name / "checkpoints")
        assert checkpoint.name == ("step-000001" if name == "killed" else "step-000002")
        assert run(tmp_path / name, chosen, resume_from=checkpoint) == _but_for_the_probe(straight)
        assert samples(tmp_path / name) == samples(tmp_path / "straight")


def _but_for_the_probe(rows: list[dict]) -> list:
    """The probe's completions are sampled anew at a resume."""

    class Row(dict):
        def __eq__(self, other: object) -> bool:
            assert isinstance(other, dict)
            return {k: v for k, v in self.items() if k[:5] != "sync/"} == {
                k: v for k, v in other.items() if k[:5] != "sync/"
            }

        __hash__ = None

    return [Row(row) for row in rows]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rollout": {"max_extra_groups": 1.0}}, "max_extra_groups waits for rewards"),
        ({"algorithm": {"old_logprobs": "recompute"}}, "old_logprobs can't be recompute"),
    ],
)
def test_what_one_step_off_cannot_do_is_refused(changes, says):
    with pytest.raises(RecipeError, match=says):
        one_step_off("http://127.0.0.1:9", **changes)
    with pytest.raises(RecipeError, match="only servers do"):
        recipe({"kind": "torch"}, rollout={"one_step_off": True})


def test_adapters_alone_are_sent_and_each_version_is_asked_for_by_its_name(server, tmp_path):
    url, fake = server
    pytest.importorskip("peft")
    model = {"lora": {"rank": 4, "alpha": 8.0, "target": ["q_proj", "up_proj"]}}
    engine = {"kind": "vllm", "url": url, "weights": "adapter", "probe_completions": 2}
    rate = {"learning_rate": 1e-2}
    served = run(tmp_path / "served", recipe(engine, model=model, optimizer=rate))
    assert "/update_weights" not in fake.asked
    assert len(fake.adapters) == 1  # the last: those before were unloaded
    assert not (tmp_path / "served" / "adapters").exists()
    run(tmp_path / "inside", recipe({"kind": "torch"}, model=model, optimizer=rate))
    assert samples(tmp_path / "served") == samples(tmp_path / "inside")
    assert served[-1]["sync/probe_mean"] < 2e-6
    with pytest.raises(RecipeError, match=r"there are none: give model.lora"):
        recipe(engine)
