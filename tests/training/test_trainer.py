"""The main job end to end: from a recipe to a checkpoint, on real input, resumed, stopped, and warned."""

import json
import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from frugalrl.config.loading import load_recipe, parse_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import DataError, ModelError, RecipeError
from frugalrl.reporting.run_log import read_metrics, without_times
from frugalrl.training.state.pointers import latest_checkpoint
from frugalrl.training.trainer import train
from tests.conftest import write_jsonl

RECIPES = Path(__file__).parents[2] / "recipes"
SMALL = {
    "name": "small",
    "data": {
        "train": {"limit": 60},
        "validation": {"split": "validation", "limit": 6},
        "test": {"split": "test", "limit": 9},
    },
    "rewards": [{"name": "accuracy", "weight": 1.0}, {"name": "format", "weight": 0.5}],
    "rollout": {"prompts_per_step": 2, "group_size": 4, "max_prompt_tokens": 128, "max_completion_tokens": 64},
    "algorithm": {"loss": {"kl_coef": 0.04}},
    "optimizer": {"learning_rate": 4e-4},
    "evaluation": {"every": 2, "samples_per_problem": 2},
    "training": {"steps": 4, "save_every": 2},
}


def recipe(**changes) -> TrainRecipe:
    merged = {
        key: {**value, **changes.pop(key, {})} if isinstance(value, dict) else value for key, value in SMALL.items()
    }
    return parse_recipe({**merged, **changes}, TrainRecipe)


def run(folder: Path, chosen: TrainRecipe, **arguments):
    folder.mkdir(exist_ok=True)
    lines: list[str] = []
    return train(chosen, folder, show=lines.append, **arguments), lines


def training_values(folder: Path) -> list[dict]:
    """Metrics of the steps without what the clock says."""
    return [without_times(row) for row in read_metrics(folder) if "reward/mean" in row]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run of four steps that several tests look at."""
    folder = tmp_path_factory.mktemp("finished")
    summary, lines = run(folder, recipe())
    return folder, summary, lines


def test_a_run_leaves_all_that_it_promises(finished):
    folder, summary, lines = finished
    saved = json.loads((folder / "summary.json").read_text())
    for side in ("base", "final"):
        assert {"avg_at_k", "ci_low", "ci_high", "k", "n"} <= set(saved[side])
        assert (saved[side]["n"], saved[side]["k"]) == (9, 2)
        assert saved[side]["ci_low"] <= saved[side]["avg_at_k"] <= saved[side]["ci_high"]
    assert (saved["steps"], saved["seed"]) == (4, 0)
    assert {"rollout", "reward", "update", "evaluation", "total"} <= set(saved["wall_seconds"])
    assert saved["versions"]["torch"] == torch.__version__
    assert saved["base"]["avg_at_k"] == summary.base.avg_at_k
    checkpoints = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert checkpoints == ["latest", "step-000002", "step-000004"]
    steps = [line.split("/")[0].strip() for line in lines if "/4" in line]
    assert steps == ["1", "2", "3", "4"]


def test_the_model_at_the_end_is_an_ordinary_hub_model_and_has_changed(finished, tiny_policy):
    folder, _, _ = finished
    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    assert tokenizer.chat_template == tiny_policy.tokenizer.chat_template
    assert model.generation_config.eos_token_id == tiny_policy.model.generation_config.eos_token_id
    before = tiny_policy.model.state_dict()
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert len(changed) == len(before)
    card = (folder / "model" / "README.md").read_text()
    assert "paired difference" in card
    assert "group_size: 4" in card


def test_metrics_have_the_names_of_the_glossary_and_are_finite(finished):
    folder, _, _ = finished
    (first, *_) = training_values(folder)
    expected = {
        "reward/mean", "reward/accuracy", "reward/format", "policy/kl", "policy/entropy", "policy/grad_norm",
        "group/zero_std_frac", "completion/mean_tokens", "completion/truncated_frac", "loss/policy",
    }  # fmt: skip
    assert expected <= set(first)
    undefined = {name for row in training_values(folder) for name, value in row.items() if value is None}
    assert undefined <= {"meter/target_language_frac"}  # where no sentence was long enough to tell
    values = [value for row in training_values(folder) for value in row.values() if value is not None]
    assert all(math.isfinite(value) for value in values)
    assert first["policy/kl"] == pytest.approx(0.0, abs=1e-9)
    assert training_values(folder)[-1]["policy/kl"] > 0
    glossary = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text()
    of_rewards = {"reward/accuracy", "reward/format"}  # the glossary has one entry for all terms
    assert [name for name in first if name not in {"step", *of_rewards} and f"`{name}`" not in glossary] == []


def test_the_same_seed_gives_the_same_run_and_another_seed_another(finished, tmp_path):
    folder, _, _ = finished
    run(tmp_path / "again", recipe())
    assert training_values(tmp_path / "again") == training_values(folder)
    run(tmp_path / "other", recipe(seed=1))
    assert training_values(tmp_path / "other") != training_values(folder)


def test_a_resumed_run_is_the_run_straight_through(finished, tmp_path):
    folder, summary, _ = finished
    stops = iter([False, False, False, True])
    stopped, lines = run(tmp_path / "run", recipe(), should_stop=lambda: next(stops))
    assert stopped is None
    assert "Stopped after step 3 of 4" in lines[-1]
    checkpoint = latest_checkpoint(tmp_path / "run" / "checkpoints")
    assert checkpoint.name == "step-000003"
    resumed, _ = run(tmp_path / "run", recipe(), resume_from=checkpoint)
    assert training_values(tmp_path / "run") == training_values(folder)
    assert (resumed.base, resumed.final) == (summary.base, summary.final)
    straight = AutoModelForCausalLM.from_pretrained(folder / "model").state_dict()
    for name, value in AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model").state_dict().items():
        assert torch.equal(value, straight[name]), name


def test_a_run_stopped_before_its_first_step_starts_over_when_resumed(finished, tmp_path):
    folder, _, _ = finished
    run(tmp_path / "run", recipe(), should_stop=lambda: True)
    run(tmp_path / "run", recipe(), resume_from=latest_checkpoint(tmp_path / "run" / "checkpoints"))
    assert training_values(tmp_path / "run") == training_values(folder)
    assert len(read_metrics(tmp_path / "run")) == len(read_metrics(folder))


def test_a_resumed_run_remembers_the_steps_before_it_and_warns_as_the_run_straight_through(tmp_path):
    chosen = recipe(rollout={"max_completion_tokens": 4}, data={"validation": None, "test": None})
    stops = iter([False, False, True])
    run(tmp_path / "run", chosen, should_stop=lambda: next(stops))
    checkpoint = latest_checkpoint(tmp_path / "run" / "checkpoints")
    _, lines = run(tmp_path / "run", chosen, resume_from=checkpoint)
    _, straight = run(tmp_path / "straight", chosen)
    warnings = [line for line in lines if line.startswith("WARNING")]
    assert warnings == [line for line in straight if line.startswith("WARNING")]
    assert warnings[0].startswith("WARNING: Every completion of the first 3 steps was truncated at 4 tokens")


def test_a_few_steps_of_reinforcement_already_raise_the_reward(tmp_path):
    longer = recipe(
        rollout={"prompts_per_step": 8, "group_size": 8},
        training={"steps": 12, "save_every": None},
        evaluation={"every": None},
    )
    run(tmp_path / "run", longer)
    rewards = [row["reward/mean"] for row in training_values(tmp_path / "run")]
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + 0.15


@pytest.mark.parametrize(
    ("file", "extra"),
    [
        ("pool/gsm8k_train_7473.jsonl.gz", {}),
        ("pool/deepscaler_40k.jsonl.gz", {"skip_without_gold": True}),
    ],
)
def test_real_problems_train_the_tiny_model(shared_data, tmp_path, file, extra):
    chosen = recipe(
        data={"train": {"source": str(shared_data / file), "limit": 60, **extra}, "validation": None, "test": None},
        rollout={"max_prompt_tokens": 2048, "skip_long_prompts": True, "max_completion_tokens": 48},
        training={"steps": 2, "save_every": None},
    )
    summary, _ = run(tmp_path / "run", chosen)
    assert summary.base is None
    assert len(training_values(tmp_path / "run")) == 2


@pytest.mark.parametrize("name", ["open-rs1", "open-rs2", "open-rs2-lora", "open-rs3"])
def test_the_papers_recipes_start_a_real_run_on_a_small_model(tmp_path, name):
    """Only the model, the data's place, the lengths and the number of prompts differ: bf16, checkpointing, KL and
    rewards are the recipe's."""
    rows = [{"problem": f"What is {n} plus {n}?", "answer": str(2 * n)} for n in range(40)]
    data = write_jsonl(tmp_path / "data.jsonl", rows)
    chosen = load_recipe(
        RECIPES / f"{name}.yaml",
        TrainRecipe,
        [
            "model.path=builtin:tiny",
            f"data.train.source={data}",
            f"data.validation.source={data}",
            "data.validation.limit=4",
            "rollout.max_completion_tokens=24",
            "rollout.prompts_per_step=3",
            "training.steps=2",
        ],
    )
    summary, lines = run(tmp_path / "run", chosen)
    assert summary.final.n == 4
    assert any("Left out 4 training problems that are also in validation" in line for line in lines)
    values = training_values(tmp_path / "run")
    assert len(values) == 2
    assert all(math.isfinite(row["loss/total"]) for row in values)
    assert values[0]["completion/max_tokens"] <= 24


R1_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] }}"
    "{% elif message['role'] == 'user' %}<｜User｜>{{ message['content'] }}{% else %}<｜Assistant｜>"
    "{{ message['content'].split('</think>')[-1] }}<｜end▁of▁sentence｜>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
)


@pytest.fixture
def r1_shaped_folder(tokenizer, tmp_path) -> Path:
    """Random weights in the configuration of R1-Distill-Qwen-1.5B, cut in width: an untied head, 12 query heads on
    2 key heads, window settings that are not used, and a template that prefills <think>."""
    import copy

    from transformers import Qwen2Config

    theirs = copy.deepcopy(tokenizer)
    theirs.add_special_tokens({"bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<｜end▁of▁sentence｜>"})
    theirs.add_tokens(["<｜User｜>", "<｜Assistant｜>"], special_tokens=True)
    theirs.chat_template = R1_TEMPLATE
    config = Qwen2Config(
        vocab_size=len(theirs), hidden_size=96, intermediate_size=160, num_hidden_layers=3, num_attention_heads=12,
        num_key_value_heads=2, max_position_embeddings=131072, rope_theta=10000.0, rms_norm_eps=1e-6,
        use_sliding_window=False, sliding_window=4096, max_window_layers=21, tie_word_embeddings=False,
        bos_token_id=theirs.bos_token_id, eos_token_id=theirs.eos_token_id,
    )  # fmt: skip
    folder = tmp_path / "r1"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    theirs.save_pretrained(folder)
    return folder


def test_a_model_shaped_like_r1_distill_trains(r1_shaped_folder, tmp_path):
    rows = [{"problem": f"What is {n} plus {n}?", "solution": f"\\boxed{{{2 * n}}}"} for n in range(12)]
    chosen = recipe(
        model={"path": str(r1_shaped_folder), "dtype": "bfloat16", "gradient_checkpointing": True},
        data={"train": {"source": str(write_jsonl(tmp_path / "d.jsonl", rows))}, "validation": None, "test": None},
        rollout={"max_completion_tokens": 16},
        training={"steps": 3, "save_every": None},
    )
    summary, lines = run(tmp_path / "run", chosen)
    assert summary.steps == 3
    sample = json.loads((tmp_path / "run" / "samples.jsonl").read_text().splitlines()[0])
    assert sample["prompt"].startswith("<｜begin▁of▁sentence｜><｜User｜>")
    assert sample["prompt"].endswith("<｜Assistant｜><think>\n")
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model")
    assert saved.dtype == torch.bfloat16
    assert not saved.config.tie_word_embeddings
    warnings = [line for line in lines if line.startswith("WARNING")]
    assert any("The reward accuracy was 0 for every completion" in line for line in warnings)


def test_truncation_of_everything_is_said_at_step_three_with_the_remedy(tmp_path):
    chosen = recipe(rollout={"max_completion_tokens": 4}, data={"validation": None, "test": None})
    _, lines = run(tmp_path / "run", chosen)
    at = next(number for number, line in enumerate(lines) if "was truncated at 4 tokens" in line)
    assert "3/4" in lines[at - 1]
    assert "Raise rollout.max_completion_tokens" in lines[at]


def test_without_a_kl_term_no_reference_is_held(tmp_path):
    chosen = recipe(algorithm={"loss": {"kl_coef": 0.0}}, data={"validation": None, "test": None})
    run(tmp_path / "run", chosen)
    assert "policy/kl" not in training_values(tmp_path / "run")[0]


def test_several_updates_a_batch_and_a_users_own_reward(tmp_path):
    chosen = recipe(
        algorithm={"updates_per_batch": 2},
        rewards=[{"name": "accuracy"}, {"name": "tests.training.test_trainer.brevity", "args": {"per_char": 0.01}}],
        data={"validation": None, "test": None},
    )
    run(tmp_path / "run", chosen)
    first = training_values(tmp_path / "run")[0]
    assert first["reward/tests.training.test_trainer.brevity"] < 0


def brevity(prompts, completions, completion_ids, answer, per_char, **columns):
    """A reward in TRL's signature."""
    assert len(answer) == len(prompts) == len(completion_ids)
    return [-per_char * len(text) for text in completions]


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"model": {"path": "/nowhere"}}, ModelError, "There is no model folder"),
        ({"model": {"device": "cuda"}}, ModelError, "torch sees none"),
        ({"rollout": {"max_completion_tokens": 9000}}, ModelError, "more than the context"),
        ({"rollout": {"max_prompt_tokens": 8}}, DataError, "at most 8 are allowed. Raise rollout.max_prompt_tokens"),
        ({"rewards": [{"name": "acuracy"}]}, RecipeError, "Did you mean 'accuracy'?"),
        ({"rewards": [{"name": "cosine", "args": {"max_len": 9}}]}, RecipeError, "has no argument 'max_len'"),
        ({"rewards": [{"name": "no_such.module.reward"}]}, RecipeError, "cannot be imported"),
    ],
)
def test_what_cannot_work_is_said_before_the_first_step(tmp_path, changes, error, says):
    if torch.cuda.is_available() and "device" in changes.get("model", {}):
        pytest.skip("there is a GPU here")
    with pytest.raises(error) as caught:
        run(tmp_path / "run", recipe(**changes))
    assert says in str(caught.value)
    assert not (tmp_path / "run" / "model").exists()


def test_a_broken_model_folder_is_a_message(tmp_path, model_folder):
    weights = model_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        run(tmp_path / "run", recipe(model={"path": str(model_folder)}))


def test_training_on_the_held_out_problems_is_refused(tmp_path):
    data = str(write_jsonl(tmp_path / "d.jsonl", [{"problem": "1 + 1?", "answer": "2"}]))
    same = {"train": {"source": data, "limit": None}, "validation": {"source": data, "split": "train"}, "test": None}
    with pytest.raises(DataError, match="disjoint"):
        run(tmp_path / "run", recipe(data=same))


def test_the_sampler_with_skipping_resumes_exactly(tmp_path):
    """The wait is short and the sample small, so that problems are skipped before step 2."""
    sampler = {"skip_solved": 0.75, "skip_unsolved": 0.25, "re_entry_steps": 3}
    data = {**SMALL["data"], "sampler": sampler, "test": None}
    data["train"] = {"limit": 6}
    chosen = recipe(data=data)
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    run(straight, chosen)
    asked = iter([False, False, True])
    run(stopped, chosen, should_stop=lambda: next(asked))
    checkpoint = latest_checkpoint(stopped / "checkpoints")
    state = json.loads((checkpoint / "training_state" / "state.json").read_text())["sampler"]
    assert state["step"] == 2
    assert state["memory"]["skipped"]
    run(stopped, chosen, resume_from=checkpoint)
    assert training_values(stopped) == training_values(straight)


def test_a_curriculum_needs_bands_that_the_data_has(tmp_path):
    data = {**SMALL["data"], "sampler": {"mode": "curriculum", "bands": ["easy", "hard"]}}
    with pytest.raises(DataError, match="band None"):
        run(tmp_path / "run", recipe(data=data))
    with pytest.raises(RecipeError, match="a curriculum needs"):
        recipe(data={**SMALL["data"], "sampler": {"mode": "curriculum"}})
