"""A run that goes on: what it refuses, what it says, and that it ends as the run straight through."""

import hashlib
import json
import random
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy
import pytest
import torch
from transformers import AutoModelForCausalLM

from frugalrl.config.loading import parse_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import DataError, ModelError, OutputError, RecipeError
from frugalrl.reporting.run_log import RunLog, read_metrics, without_times
from frugalrl.training import evaluating, saving, step, trainer
from frugalrl.training.hooks.table import hooks_of
from frugalrl.training.limits.stopping import StopRequest, StopRequested
from frugalrl.training.restoring import prepare_run, restore
from frugalrl.training.state.checkpoint import load_training_state
from frugalrl.training.state.pointers import latest_checkpoint, pointed
from frugalrl.training.state.run_folder import open_run_folder
from frugalrl.training.trainer import train
from tests.conftest import write_jsonl

ROWS = [{"problem": f"Compute: {n} + {n + 3}", "answer": str(2 * n + 3)} for n in range(1, 31)]
SMALL = {
    "name": "small",
    "seed": 5,
    "data": {
        "train": {"source": "train.jsonl"},
        "validation": {"split": "validation", "limit": 3},
        "test": {"split": "test", "limit": 3},
    },
    "rewards": [{"name": "accuracy"}, {"name": "format", "weight": 0.5}],
    "rollout": {"prompts_per_step": 2, "group_size": 3, "max_prompt_tokens": 128, "max_completion_tokens": 24},
    "algorithm": {"loss": {"kl_coef": 0.04}},
    "optimizer": {"learning_rate": 4e-4},
    # With this seed step 2 is the best on validation and step 4 the last, so that the end goes back.
    "evaluation": {"every": 2, "samples_per_problem": 1, "max_sequences": 8, "seed": 1},
    "training": {"steps": 4, "save_every": 2},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Where the data file and the runs stand."""
    folder = tmp_path_factory.mktemp("runs")
    write_jsonl(folder / "train.jsonl", ROWS)
    return folder


@pytest.fixture(autouse=True)
def _there(place, monkeypatch):
    monkeypatch.chdir(place)


@pytest.fixture(scope="module")
def whole(place) -> Path:
    """A run of four steps that was left alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        run(place / "whole")
    return place / "whole"


def recipe(**changes) -> TrainRecipe:
    merged = {
        key: {**value, **changes.pop(key, {})} if isinstance(value, dict) else value for key, value in SMALL.items()
    }
    return parse_recipe({**merged, **changes}, TrainRecipe)


def run(folder: Path, resume: bool = False, **arguments):
    """As the command does it: the folder opened, the run trained. Returns the summary and the lines shown."""
    chosen = arguments.pop("recipe", None) or recipe()
    lines: list[str] = []
    with open_run_folder(chosen, folder, resume) as opened:
        lines.append(opened.message)
        summary = train(chosen, opened.path, opened.checkpoint, lines.append, **arguments)
    return summary, lines


def stop_before(step: int):
    asked = iter([False] * (step - 1) + [True])
    return lambda: next(asked)


def content(folder: Path) -> dict[str, object]:
    """Everything two runs share, token for token; the clock is left out."""
    files = [folder / "samples.jsonl", folder / "model" / "model.safetensors", *(folder / "evaluations").iterdir()]
    return {
        "metrics": [without_times(line) for line in read_metrics(folder)],
        **{path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
    }


@pytest.fixture
def stopped(whole, tmp_path) -> Path:
    """A copy of the run as a kill after step 3 would leave it: its newest checkpoint is that of step 2."""
    folder = tmp_path / "stopped"
    shutil.copytree(whole, folder)
    shutil.rmtree(folder / "checkpoints" / "step-000004")
    (folder / "checkpoints" / "latest").write_text("step-000002\n")
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_runs_of_one_recipe_and_seed_are_the_same_token_for_token(whole, tmp_path):
    run(tmp_path / "again")
    assert content(tmp_path / "again") == content(whole)
    assert (
        len(content(whole)["metrics"]) == 9
    )  # four steps, validation at 0, 2 and 4, test of the base and of the kept step 2


def test_a_killed_run_goes_on_and_its_log_is_that_of_the_run_left_alone(whole, stopped):
    _, lines = run(stopped, resume=True)
    assert lines[0].endswith("from step-000002")
    assert content(stopped) == content(whole)


def test_a_damaged_checkpoint_is_passed_over_aloud_and_the_run_ends_the_same(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "checkpoints" / "step-000004" / "manifest.json").unlink()
    _, lines = run(folder, resume=True)
    assert "step-000004 is damaged: manifest.json is missing" in lines[0]
    assert lines[0].endswith("from step-000002")
    assert content(folder) == content(whole)


def test_a_run_killed_before_its_first_checkpoint_starts_over(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    shutil.rmtree(folder / "checkpoints")
    _, lines = run(folder, resume=True)
    assert lines[0].endswith("from its beginning: it has no checkpoint yet")
    assert content(folder) == content(whole)


def test_what_a_kill_threw_away_counts_in_the_clock_but_not_in_the_tokens(stopped):
    lines = (stopped / "metrics.jsonl").read_text().splitlines()
    values = [json.loads(line) for line in lines]
    long_ago = json.dumps({"step": 3, "cost/seconds": 5000.0, "cost/tokens": 10**9})
    (stopped / "metrics.jsonl").write_text("\n".join([*lines, long_ago]) + "\n")
    summary, _ = run(stopped, resume=True)
    assert summary.wall_seconds["lost"] > 4900
    after = [line for line in read_metrics(stopped) if "cost/seconds" in line]
    assert after[-1]["cost/seconds"] > 5000
    assert after[-1]["cost/tokens"] == [line for line in values if "cost/tokens" in line][-1]["cost/tokens"]


# ------------------------------------------------------------------------------- what is refused, nothing lost


def test_a_changed_data_file_is_refused_and_nothing_is_lost(stopped, place):
    before = files_of(stopped)
    try:
        write_jsonl(place / "train.jsonl", [*ROWS[:-1], {"problem": "Compute: 1 + 1", "answer": "2"}])
        with pytest.raises(DataError, match="The train problems of small are not those the run began with"):
            run(stopped, resume=True)
        (place / "train.jsonl").unlink()
        with pytest.raises(DataError, match=r"There is no data file at train\.jsonl"):
            run(stopped, resume=True)
    finally:
        write_jsonl(place / "train.jsonl", ROWS)
    assert files_of(stopped) == before
    run(stopped, resume=True)


def test_a_checkpoint_of_another_recipe_or_model_is_refused_and_nothing_is_lost(stopped):
    before = files_of(stopped)
    for changed in (recipe(optimizer={"learning_rate": 1e-3}), recipe(model={"path": "./nowhere"})):
        with pytest.raises(OutputError, match="has another recipe"):
            run(stopped, resume=True, recipe=changed)
    assert files_of(stopped) == before


def test_a_base_that_changed_under_its_name_is_refused_where_the_kl_term_needs_it(tiny_policy, tmp_path):
    for name in ("base", "other"):
        tiny_policy.model.save_pretrained(tmp_path / name)
        tiny_policy.tokenizer.save_pretrained(tmp_path / name)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "other")
    with torch.no_grad():
        model.model.norm.weight.add_(0.01)
    model.save_pretrained(tmp_path / "other")
    chosen = recipe(
        model={"path": str(tmp_path / "base")},
        data={"validation": None, "test": None},
        rollout={"prompts_per_step": 1, "group_size": 2, "max_completion_tokens": 8},
        training={"steps": 3},
    )
    run(tmp_path / "run", recipe=chosen, should_stop=stop_before(3))
    before = files_of(tmp_path / "run")
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(ModelError, match="There is no model folder"):
        run(tmp_path / "run", resume=True, recipe=chosen)
    (tmp_path / "other").rename(tmp_path / "base")
    with pytest.raises(ModelError, match="has other weights than when the run began"):
        run(tmp_path / "run", resume=True, recipe=chosen)
    assert files_of(tmp_path / "run") == before


# ------------------------------------------------------------------------------------------------- stopping


def test_a_request_inside_an_evaluation_leaves_it_and_saves_at_once(whole, tmp_path):
    """The second evaluation, that of validation after step 2, is left; the resumed run makes it."""
    entered = 0

    @contextmanager
    def evaluating():
        nonlocal entered
        entered += 1
        if entered == 2:
            raise StopRequested
        yield

    summary, lines = run(tmp_path / "run", evaluating=evaluating)
    assert summary is None
    assert "Stopped after step 2 of 4. Saved" in lines[-1]
    assert [row["step"] for row in read_metrics(tmp_path / "run") if "validation/avg_at_k" in row] == [0]
    run(tmp_path / "run", resume=True)
    assert content(tmp_path / "run") == content(whole)


@pytest.mark.parametrize("left", [1, 3, 4])
def test_the_evaluations_of_base_and_final_model_can_be_left_too(whole, tmp_path, left):
    """The base's sets are sampled together, so they are one."""
    entered = 0

    @contextmanager
    def evaluating():
        nonlocal entered
        entered += 1
        if entered == left:
            raise StopRequested
        yield

    summary, lines = run(tmp_path / "run", evaluating=evaluating)
    assert summary is None
    says = "nothing to save; start over with --resume" if left == 1 else "resume with --resume"
    assert says in lines[-1]
    run(tmp_path / "run", resume=True)
    assert content(tmp_path / "run") == content(whole)


def test_a_request_is_obeyed_inside_an_evaluation_and_otherwise_waits():
    stop = StopRequest()
    stop.ask()
    assert stop.requested()
    with pytest.raises(StopRequested), stop.evaluating():
        raise AssertionError("an evaluation began after the request")
    stop = StopRequest()
    with pytest.raises(StopRequested), stop.evaluating():
        stop.ask()
    stop.ask()  # a second one, while the checkpoint is written, raises nothing


# --------------------------------------------------------------------------------- budget, rotation, disk full


def sampled_tokens(folder: Path) -> list[tuple[int, int | None]]:
    """After each line of the log: the tokens sampled so far by its lengths, and what the line says of them."""
    total, rows = 0.0, []
    for row in read_metrics(folder):
        total += 6 * row.get("completion/mean_tokens", 0.0)
        total += 3 * sum(row.get(f"{split}/mean_tokens", 0.0) for split in ("validation", "test"))
        rows.append((round(total), row.get("cost/tokens")))
    return rows


@pytest.mark.parametrize(
    ("budget", "steps"), [({"steps": 2}, 2), ({"hours": 1000.0, "usd": 1000.0, "usd_per_hour": 0.5}, 4)]
)
def test_a_budget_ends_a_run_in_the_ordinary_way(tmp_path, budget, steps):
    summary, lines = run(tmp_path / "run", recipe=recipe(budget=budget))
    assert summary.steps == steps
    assert summary.final is not None
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
    assert any("Ending after step 2 of 4 to keep within budget.steps" in line for line in lines) == (steps == 2)
    rows = [row for row in read_metrics(tmp_path / "run") if "cost/tokens" in row]
    assert len(rows) == steps
    if "usd" in budget:
        assert rows[-1]["cost/usd"] == pytest.approx(rows[-1]["cost/seconds"] / 7200, rel=1e-3)
        assert 0 < rows[-1]["budget/used_frac"] < 0.01


def test_a_budget_of_tokens_counts_every_sampled_token_and_is_kept_with_the_closing(tmp_path):
    summary, lines = run(tmp_path / "run", recipe=recipe(budget={"tokens": 800}))
    assert 1 <= summary.steps < 4
    assert any("budget.tokens" in line for line in lines)
    rows = sampled_tokens(tmp_path / "run")
    assert all(logged in (None, counted) for counted, logged in rows)
    assert rows[-1][0] <= 800


def test_a_budget_of_time_ends_before_the_closing_would_exceed_it(tmp_path, monkeypatch):
    """A clock of our own: every step takes 60 s, every evaluation 120 s."""
    now = [0.0]
    monkeypatch.setattr("frugalrl.training.run.time.monotonic", lambda: now[0])

    def slow(function, seconds):
        def wrapper(*arguments, **named):
            now[0] += seconds(*arguments)
            return function(*arguments, **named)

        return wrapper

    monkeypatch.setattr(step, "update_policy", slow(step.update_policy, lambda *arguments: 60.0))
    of_sets = slow(evaluating.evaluate_sets, lambda engine, tokenizer, sets, *rest: 120.0 * len(sets))
    monkeypatch.setattr(evaluating, "evaluate_sets", of_sets)
    chosen = recipe(budget={"hours": 0.25}, evaluation={"every": None})
    summary, lines = run(tmp_path / "run", recipe=chosen)
    # 240 for the base; the fourth step begins at 420, and 420 + 60 + 1.25 * 240 = 780 fit into 900.
    assert summary.steps == 4
    chosen = recipe(budget={"hours": 0.2}, evaluation={"every": None})
    now[0] = 0.0
    summary, lines = run(tmp_path / "shorter", recipe=chosen)
    # The third step begins at 360, and 360 + 60 + 300 = 720 just fit; the fourth at 420 does not.
    assert summary.steps == 3
    assert now[0] <= 720
    assert any("Ending after step 3 of 4 to keep within budget.hours: 420 of 720 seconds" in line for line in lines)


def test_a_budget_that_holds_no_step_is_an_error_that_says_so(tmp_path):
    with pytest.raises(RecipeError, match=r"does not allow a single step \(budget.tokens"):
        run(tmp_path / "run", recipe=recipe(budget={"tokens": 100}))


def test_rotation_follows_the_recipe(tmp_path):
    kept = {"save_every": 1, "keep_last": 1, "keep_steps": [2]}
    run(tmp_path / "run", recipe=recipe(training=kept, data={"validation": None, "test": None}))
    checkpoints = tmp_path / "run" / "checkpoints"
    assert sorted(path.name for path in checkpoints.glob("step-*")) == ["step-000002", "step-000004"]
    assert pointed(checkpoints, "latest").name == "step-000004"


def test_a_disk_that_fills_up_at_a_save_ends_the_run_with_advice_and_it_can_be_resumed(whole, tmp_path, monkeypatch):
    save = saving.save_checkpoint

    def full_at_the_second(policy, state, folder, card):
        if folder.name == "step-000004":
            raise OutputError(f"{folder} cannot be written: No space left on device. Free some space and resume.")
        save(policy, state, folder, card)

    monkeypatch.setattr(saving, "save_checkpoint", full_at_the_second)
    with pytest.raises(OutputError, match="Free some space and resume"):
        run(tmp_path / "run")
    monkeypatch.undo()
    monkeypatch.chdir(whole.parent)
    run(tmp_path / "run", resume=True)
    assert content(tmp_path / "run") == content(whole)


# ------------------------------------------------------------------------------------------- state, environment


def test_a_run_that_has_moved_on_is_put_back_by_restore(whole, tmp_path):
    """What a rollback does: the next two steps from the checkpoint of step 2 are those of the run left alone."""
    shutil.copytree(whole, tmp_path / "run")
    checkpoints = whole / "checkpoints"
    with RunLog(tmp_path / "run", (), "small") as log:
        moved, _ = prepare_run(recipe(), tmp_path / "run", checkpoints / "step-000004", log, lambda line: None)
        second = checkpoints / "step-000002"
        progress = restore(moved, second, load_training_state(second))
        assert (progress.step, progress.policy_version) == (2, 2)
        *_, progress = trainer.run_steps(moved, progress, hooks_of(recipe()), lambda: False)
        assert progress.step == 4
    expected = load_training_state(checkpoints / "step-000004").tensors["optimizer"]
    reached = moved.optimizer.state_tensors()
    assert all(torch.equal(reached[name], tensor) for name, tensor in expected.items())


def test_nothing_draws_from_the_global_random_states_and_they_are_kept_for_rewards_that_do(whole, tmp_path):
    values = load_training_state(whole / "checkpoints" / "step-000004").values["random"]
    assert values == load_training_state(whole / "checkpoints" / "step-000002").values["random"]
    shutil.copytree(whole, tmp_path / "run")
    with RunLog(tmp_path / "run", (), "small") as log:
        prepare_run(recipe(), tmp_path / "run", latest_checkpoint(whole / "checkpoints"), log, lambda line: None)
    drawn = random.random(), numpy.random.rand(), float(torch.rand(()))
    random.seed(5)
    numpy.random.seed(5)
    torch.manual_seed(5)
    assert drawn == (random.random(), numpy.random.rand(), float(torch.rand(())))


def test_the_environment_is_recorded_and_a_difference_is_one_line(stopped):
    recorded = json.loads((stopped / "environment.json").read_text())
    assert recorded["version/torch"] == torch.__version__
    assert recorded["threads"] == torch.get_num_threads()
    assert {"cpu", "cpu_capability", "platform", "gpus", "seed", "hash/recipe", "hash/base_weights"} <= set(recorded)
    assert (
        recorded["hash/data/train"]
        == load_training_state(stopped / "checkpoints" / "step-000002").values["data_hashes"]["train"]
    )
    (stopped / "environment.json").write_text(json.dumps({**recorded, "threads": 64, "cpu": "Abacus"}))
    _, lines = run(stopped, resume=True)
    (warning,) = [line for line in lines if line.startswith("WARNING: this machine differs")]
    assert f"threads 64 -> {torch.get_num_threads()}" in warning
    assert "cpu Abacus -> " in warning
    after = json.loads((stopped / "environment.json").read_text())
    assert after["threads"] == 64
    assert after["resumed"][0]["step"] == 2
    assert set(after["resumed"][0]["changed"]) == {"threads", "cpu"}
