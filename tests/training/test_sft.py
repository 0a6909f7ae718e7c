"""Supervised fine-tuning: from scratch, on a file, resumed, and what it refuses."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from frugalrl.config.loading import parse_recipe
from frugalrl.config.schema import SftRecipe
from frugalrl.errors import DataError
from frugalrl.reporting.run_log import read_metrics
from frugalrl.training.sft import run_sft
from frugalrl.training.state.pointers import latest_checkpoint
from tests.conftest import write_jsonl

SCRATCH = {"vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "layers": 2, "heads": 2, "kv_heads": 1}
BASE = {
    "name": "sft",
    "scratch": SCRATCH,
    "phases": [{"limit": 120, "mix": "skill"}, {"limit": 60, "mix": "strategies"}],
    "validation": {"limit": 20, "split": "validation", "mix": "skill"},
    "optimizer": {"name": "muon", "learning_rate": 3e-3, "schedule": "linear", "min_lr_fraction": 0.0},
    "training": {"batch_tokens": 2048, "pack_tokens": 512, "log_every": 2, "save_every": 4},
}


def recipe(**changes) -> SftRecipe:
    return parse_recipe({**BASE, **changes}, SftRecipe)


def run(folder: Path, chosen: SftRecipe, **arguments):
    folder.mkdir(exist_ok=True)
    return run_sft(chosen, folder, **arguments)


@pytest.fixture(scope="module")
def scratch_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sft")
    return folder, run(folder, recipe())


def test_a_model_from_nothing_learns_and_is_a_hub_model(scratch_run):
    folder, model_folder = scratch_run
    losses = [row["loss/sft"] for row in read_metrics(folder) if "loss/sft" in row]
    assert losses[-1] < losses[0] - 0.5
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    assert model.config.vocab_size == len(tokenizer) == 320
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "2 + 2?"}], tokenize=False, add_generation_prompt=True
    )
    assert prompt == "<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n<think>\n"


def test_a_resumed_run_ends_with_the_same_weights(scratch_run, tmp_path):
    _, straight = scratch_run
    calls = iter(range(100))
    assert run(tmp_path / "run", recipe(), should_stop=lambda: next(calls) == 6) is None
    checkpoint = latest_checkpoint(tmp_path / "run" / "checkpoints")
    assert checkpoint.name == "step-000006"
    resumed = run(tmp_path / "run", recipe(), resume_from=checkpoint)
    expected = AutoModelForCausalLM.from_pretrained(straight).state_dict()
    for name, value in AutoModelForCausalLM.from_pretrained(resumed).state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_any_model_learns_a_file_of_prompts_and_completions(model_folder, tmp_path, dtype):
    rows = [{"prompt": f"Say {n}", "completion": f"<think>\nok\n</think>\n{n}"} for n in range(10)]
    chosen = recipe(
        scratch=None,
        model={"path": str(model_folder), "dtype": dtype},
        phases=[{"source": str(write_jsonl(tmp_path / "data.jsonl", rows))}],
        validation=None,
        optimizer={"learning_rate": 3e-3, "warmup_fraction": 0.0},
        training={"epochs": 12, "batch_tokens": 512, "pack_tokens": 256, "log_every": 1},
    )
    run(tmp_path / "run", chosen)
    losses = [row["loss/sft"] for row in read_metrics(tmp_path / "run")]
    assert losses[-1] < 0.6 * losses[0]


def test_passes_of_different_size_make_one_gradient(tmp_path):
    """rows_per_forward cuts an update into passes; the loss at every step stays the same."""
    whole, cut = (recipe(training=BASE["training"] | {"rows_per_forward": rows}) for rows in (None, 1))
    losses = []
    for name, chosen in (("whole", whole), ("cut", cut)):
        run(tmp_path / name, chosen)
        losses.append([row["loss/sft"] for row in read_metrics(tmp_path / name) if "loss/sft" in row])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_a_think_that_the_template_prefills_is_not_written_twice(model_folder, tmp_path):
    from frugalrl.config.schema import ModelSettings
    from frugalrl.data.prompts import PromptedCompletion
    from frugalrl.training.model.policy import load_policy
    from frugalrl.training.sft import _example

    policy = load_policy(ModelSettings(path=str(model_folder)))
    examples = [_example(policy, PromptedCompletion("q", text), recipe()) for text in ("<think>\na", "a")]
    assert examples[0] == examples[1]
    assert policy.tokenizer.decode(examples[0].token_ids).count("<think>") == 1


def test_an_example_longer_than_a_row_is_an_error_that_shows_it(tmp_path):
    data = write_jsonl(tmp_path / "data.jsonl", [{"prompt": "p", "completion": "very " * 600}])
    with pytest.raises(DataError, match="a packed row only 512: 'very very"):
        run(tmp_path / "run", recipe(phases=[{"source": str(data)}]))


@pytest.mark.parametrize(
    ("name", "first_half"), [("tiny", "tiny-base"), ("tiny-domains", "tiny-base-domains-1")], ids=["tiny", "domains"]
)
def test_a_shipped_reasoner_came_from_its_recipe(name, first_half):
    """The recipe in the model card is the recipe in the repository."""
    root = Path(__file__).parents[2]
    import yaml

    from frugalrl.config.loading import dump_recipe, load_recipe

    card = (root / f"src/frugalrl/assets/{name}/README.md").read_text()
    written = yaml.safe_load(card.split("```yaml\n")[1].split("```")[0])
    made = dump_recipe(parse_recipe(written, SftRecipe))  # with the defaults of keys that were added since
    assert made == dump_recipe(load_recipe(root / f"recipes/{name.replace('tiny', 'tiny-base')}.yaml", SftRecipe))
    config = json.loads((root / f"src/frugalrl/assets/{name}/config.json").read_text())
    first = load_recipe(root / f"recipes/{first_half}.yaml", SftRecipe)
    assert config["vocab_size"] == first.scratch.vocab_size
    assert first.name == "tiny-base" or written["model"]["path"].startswith(f"runs/{first.name}/checkpoints/")


def test_lanes_change_no_bit_of_the_weights(tmp_path, torch_threads):
    made = []
    for threads in (1, 2):
        torch_threads(threads)
        chosen = recipe(phases=[{"limit": 60, "mix": "skill"}], validation=None)
        folder = run(tmp_path / str(threads), chosen)
        made.append(AutoModelForCausalLM.from_pretrained(folder).state_dict())
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


def test_a_model_from_nothing_is_trained_on_three_domains_at_once(tmp_path):
    three = {"source": "domains", "difficulties": [1], "second_language_fraction": 0.0}
    chosen = recipe(
        scratch={**SCRATCH, "vocab_size": 450},
        phases=[{**three, "limit": 90, "mix": "skill"}, {**three, "limit": 45, "mix": "strategies", "seed": 2}],
        validation={**three, "limit": 9, "split": "validation", "mix": "skill"},
    )
    model = run(tmp_path / "run", chosen)
    losses = [row["loss/sft"] for row in read_metrics(tmp_path / "run") if "loss/sft" in row]
    assert losses[-1] < losses[0] - 0.3
    tokenizer = AutoTokenizer.from_pretrained(model)
    words = ("knight", "return", "First")
    assert all(len(tokenizer(f" {word}")["input_ids"]) < len(word) for word in words), "merges from each domain"
