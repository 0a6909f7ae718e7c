"""GRPO recipes of TRL, open-r1 and open-rs into ours: each key, each default of its time, the three released runs."""

from typing import Any

import pytest
import yaml

from frugalrl.cli import main
from frugalrl.config.loading import load_recipe, parse_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.convert.detect import kind_of
from frugalrl.convert.report import KeyLine
from frugalrl.convert.trl import convert_trl
from frugalrl.convert.trl_keys import NOT_NEEDED, NOT_THERE
from frugalrl.convert.trl_reading import Circumstances
from frugalrl.convert.trl_releases import RELEASES, default_of, history_of, release_named, releases_of
from frugalrl.errors import RecipeError
from tests.convert.foreign import MINIMAL, OPEN_RS, released

FROM_THREE = Circumstances(processes=3, name="open-rs")


def converted(values: dict[str, Any], **given: Any) -> tuple[TrainRecipe, dict[str, KeyLine]]:
    result = convert_trl(values, Circumstances(**{"processes": 1, **given}))
    return parse_recipe(dict(result.values), TrainRecipe), {line.key: line for line in result.lines}


def flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(values, dict):
        return {key: one for name, inner in values.items() for key, one in flat(inner, f"{prefix}.{name}").items()}
    if isinstance(values, list) and values and isinstance(values[0], dict):
        return {key: one for at, inner in enumerate(values) for key, one in flat(inner, f"{prefix}.{at}").items()}
    return {prefix.lstrip("."): values}


OURS = {
    "name": "each has its own",
    "description": "ours says what was seen",
    "evaluation.samples_per_problem": "no counterpart: open-rs measured afterwards",
    "evaluation.top_p": "as above",
    "evaluation.max_sequences": "as above",
    "training.micro_batch_tokens": "a matter of memory: the gradient is the same",
    "training.keep_last": "a matter of disk",
    "selection.patience": "ours ends a run that falls; the file cannot say so",
}
"""Keys in which recipes/open-rs*.yaml differ from the released file, and why."""


@pytest.mark.parametrize("experiment", [1, 2, 3])
def test_the_released_recipes_become_ours(experiment: int) -> None:
    """All 44 keys of the released file, with each experiment's values, against the recipe written from the paper."""
    assert len(OPEN_RS) == 44
    recipe = parse_recipe(dict(convert_trl(released(experiment), FROM_THREE).values), TrainRecipe)
    ours = load_recipe(f"open-rs{experiment}", TrainRecipe)
    there, here = (flat(one.model_dump(mode="json")) for one in (recipe, ours))
    differing = {key for key in there.keys() | here.keys() if there.get(key) != here.get(key)}
    if experiment == 3:  # the language rule of the prompt and the cosine's bounds are in the file, too
        assert ours.rewards == recipe.rewards
    assert differing - {"trackers.0.name", "trackers.0.project", "trackers"} == set(OURS) - {"description"} | (
        {"description"} if ours.description else set()
    )


def test_each_of_the_44_keys_is_accounted_for() -> None:
    lines = convert_trl(OPEN_RS, FROM_THREE).lines
    accounted = {line.key.partition(":")[0] for line in lines}
    assert set(OPEN_RS) - accounted == set()
    assert [line.key for line in lines if line.fate in ("missing", "unknown")] == []
    assert all(line.text.strip() for line in lines)


def test_defaults_are_those_of_the_files_release() -> None:
    february, lines = converted({**MINIMAL, "vllm_device": "auto"})
    assert (february.algorithm.loss.kl_coef, february.algorithm.loss.aggregation) == (0.04, "sequence")
    assert february.rollout.temperature == 0.9
    assert "0.15" in lines["beta"].text
    today, lines = converted({**MINIMAL, "entropy_coef": 0.0})
    assert (today.algorithm.loss.kl_coef, today.algorithm.loss.aggregation) == (0.0, "token")
    assert today.model.dtype == "bfloat16"  # bf16 is on by default since 0.19
    assert "1.16" in lines["beta"].text
    told, _ = converted({**MINIMAL, "vllm_device": "auto"}, defaults="1.16.0")
    assert told.algorithm.loss.kl_coef == 0.0


@pytest.mark.parametrize(
    ("release", "beta", "aggregation", "temperature", "top_k", "cap", "checkpointing", "dtype"),
    [
        ("0.15", 0.04, "sequence", 0.9, 0, 256, False, "float32"),
        ("0.16", 0.04, "token", 0.9, 50, 256, False, "float32"),
        ("0.18", 0.04, "token", 1.0, 0, 256, False, "float32"),
        ("0.19", 0.0, "token", 1.0, 0, 256, False, "bfloat16"),
        ("0.22", 0.0, "token", 1.0, 0, 256, True, "bfloat16"),
        ("1.9", 0.0, "token", 1.0, 0, 256, True, "bfloat16"),
        ("1.10", 0.0, "token", 1.0, 0, 512, True, "bfloat16"),
    ],
)
def test_what_a_file_of_two_keys_meant_in_each_release(
    release: str, beta: float, aggregation: str, temperature: float, top_k: int, cap: int, checkpointing: bool,
    dtype: str,
) -> None:  # fmt: skip
    """The numbers stand in grpo_config.py at those tags; the mean of means in the loss of v0.15.2's trainer."""
    recipe, _ = converted(MINIMAL, defaults=release)
    loss, rollout, model = recipe.algorithm.loss, recipe.rollout, recipe.model
    assert (loss.kl_coef, loss.aggregation, rollout.temperature) == (beta, aggregation, temperature)
    assert (rollout.top_k, rollout.max_completion_tokens) == (top_k, cap)
    assert (model.gradient_checkpointing, model.dtype) == (checkpointing, dtype)


def test_the_keys_of_a_file_tell_its_releases() -> None:
    assert releases_of(OPEN_RS) == ("0.15",)
    assert releases_of(["system_prompt", "epsilon_high"]) == ("0.16", "0.17", "0.18")
    assert releases_of(MINIMAL) == RELEASES
    assert releases_of(["vllm_device", "entropy_coef"]) == ("0.15",)  # contradictory: the old key decides
    assert release_named("v0.15.2") == "0.15"
    for unknown in ("0.13", "2025-02", "main", "1.17"):
        with pytest.raises(RecipeError, match=r"0\.14 to 1\.16"):
            release_named(unknown)


def test_a_default_that_changed_within_the_files_releases_needs_a_look() -> None:
    _, lines = converted({**MINIMAL, "system_prompt": "Think."})
    assert lines["beta"].fate == "added"  # 0.04 in all of 0.14 to 0.18
    assert lines["temperature"].fate == "changed"
    assert "0.9, and 1.0 since 0.18" in lines["temperature"].text
    assert "--defaults" in lines["temperature"].text
    _, lines = converted(MINIMAL, defaults="0.18")
    assert lines["temperature"].fate == "added"
    assert history_of("num_generations", RELEASES) == ""
    assert default_of("no_such_key", "1.0") is None


WRONG = [None, "x", "", [], {}, -1, 0, 0.5, True, float("nan"), [None], {"a": 1}, "1e-6"]


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_wrong_value_of_any_key_is_an_error_that_names_it_or_none(value: object) -> None:
    """No key of any table breaks the conversion in another way."""
    assert len(keys_known()) > 190
    for key in keys_known():
        try:
            convert_trl({**OPEN_RS, "use_peft": True, key: value}, Circumstances(processes=1, rows=100))
        except RecipeError as error:
            assert key in str(error) or "The recipe" in str(error), key  # noqa: PT017


def keys_known() -> list[str]:
    translated = [line.key for line in convert_trl(MINIMAL, Circumstances(processes=1)).lines]
    return sorted({*NOT_NEEDED, *NOT_THERE, *OPEN_RS, *(key for key in translated if ":" not in key)})


def test_a_key_without_a_value_is_a_key_left_out() -> None:
    bare, _ = converted(MINIMAL)
    empty, _ = converted({**MINIMAL, "beta": None, "epsilon": None, "max_completion_length": None, "min_p": None})
    assert empty == bare


def test_a_number_that_yaml_reads_as_text_is_a_number() -> None:
    recipe, _ = converted({**MINIMAL, **yaml.safe_load("learning_rate: 1e-6")})
    assert recipe.optimizer.learning_rate == 1e-6


def test_every_argument_of_transformers_trainer_is_accounted_for() -> None:
    import dataclasses

    from transformers import TrainingArguments

    names = {field.name for field in dataclasses.fields(TrainingArguments) if field.init} - MINIMAL.keys()
    lines = convert_trl({**MINIMAL, **dict.fromkeys(names - set(TRANSLATED), 1)}, Circumstances(processes=1)).lines
    assert [line.key for line in lines if line.fate == "unknown"] == []


TRANSLATED = ("lr_scheduler_kwargs", "report_to", "lr_scheduler_type")
"""Arguments of TrainingArguments that take no number."""


@pytest.mark.parametrize(
    ("keys", "place", "value"),
    [
        ({"loss_type": "dr_grpo", "scale_rewards": False}, "algorithm.advantage.divisor", "none"),
        ({"loss_type": "dr_grpo"}, "algorithm.loss.aggregation", "constant"),
        ({"loss_type": "cispo", "epsilon_high": 4.0}, "algorithm.loss.surrogate", "cispo"),
        ({"importance_sampling_level": "sequence"}, "algorithm.loss.surrogate", "gspo"),
        ({"epsilon": 0.1, "epsilon_high": 0.28}, "algorithm.loss.clip_high", 0.28),
        ({"epsilon": 0.1}, "algorithm.loss.clip_high", 0.1),
        ({"num_iterations": 2}, "algorithm.updates_per_batch", 2),
        ({"mask_truncated_completions": True}, "algorithm.mask_truncated", True),
        ({"use_bias_correction_kl": True}, "algorithm.loss.kl_estimator", "k3_unbiased"),
        ({"lr_scheduler_type": "constant_with_warmup"}, "optimizer.schedule", "constant"),
        ({"lr_scheduler_type": "cosine"}, "optimizer.min_lr_fraction", 0.0),
        ({"warmup_steps": 20}, "optimizer.warmup_fraction", 0.2),
        ({"optim": "paged_adamw_8bit"}, "optimizer.state_bits", 8),
        ({"optim": "adamw_torch"}, "optimizer.state_bits", 32),
        ({"warmup_steps": 0.05}, "optimizer.warmup_fraction", 0.05),
        ({"save_steps": 0.1}, "training.save_every", 10),
        ({"save_strategy": "no"}, "training.save_every", None),
        ({"save_total_limit": 3}, "training.keep_last", 3),
        ({"dataset_config": "main"}, "data.train.subset", "main"),
        ({"dataset_prompt_column": "question"}, "data.train.problem_field", "question"),
        ({"eval_strategy": "steps", "eval_steps": 25, "dataset_test_split": "test"}, "data.validation.split", "test"),
        ({"bf16": True}, "model.dtype", "bfloat16"),
        ({"bf16": False}, "model.dtype", "float32"),
        ({"fp16": True}, "model.dtype", "float16"),
        ({"dtype": "float16"}, "model.dtype", "float16"),
        ({"torch_dtype": "auto"}, "model.dtype", "bfloat16"),
        (
            {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": '{"min_lr_rate": 0.1}'},
            "optimizer.min_lr_fraction",
            0.1,
        ),
        ({"use_bias_correction_kl": False, "beta": 0.01}, "algorithm.loss.kl_estimator", "k3"),
        ({"beta": 0.01, "entropy_coef": 0.0}, "algorithm.loss.kl_estimator", "k3_unbiased"),
        ({"model_revision": "abc"}, "model.revision", "abc"),
        ({"top_k": 50}, "rollout.top_k", 50),
        ({"report_to": "wandb", "wandb_project": "x"}, "trackers.0.project", "x"),
        ({"reward_funcs": ["my_lib.rewards.custom"]}, "rewards.0.name", "my_lib.rewards.custom"),
        ({"reward_funcs": ["think_format_reward"]}, "rewards.0.name", "format"),
        ({"reward_funcs": ["repetition_penalty"], "repetition_n_grams": 4}, "rewards.0.args.ngram_size", 4),
        ({"use_peft": True, "lora_r": 64}, "model.lora.rank", 64),
        ({"use_peft": True, "lora_target_modules": ["q_proj"]}, "model.lora.target", ["q_proj"]),
        ({"sync_ref_model": True, "ref_model_sync_steps": 64, "beta": 0.01}, "algorithm.reference_reset_every", 64),
    ],
)
def test_a_key_goes_where_it_means_the_same(keys: dict[str, Any], place: str, value: Any) -> None:
    recipe, lines = converted({**MINIMAL, **keys})
    assert flat(recipe.model_dump(mode="json"))[place] == value
    assert all(key in lines or any(line.startswith(key) for line in lines) for key in keys), lines.keys()


def test_batch_arithmetic_is_that_of_the_processes() -> None:
    sizes = {"per_device_train_batch_size": 6, "gradient_accumulation_steps": 4, "num_generations": 6}
    three, _ = converted({**MINIMAL, **sizes}, processes=3)
    assert three.rollout.prompts_per_step == 12
    result = convert_trl({**MINIMAL, **sizes})
    assert parse_recipe(dict(result.values), TrainRecipe).rollout.prompts_per_step == 4
    assert any(line.key == "processes" and "--processes" in line.text for line in result.lines)


def test_epochs_need_the_number_of_rows() -> None:
    epochs = {**MINIMAL, "max_steps": -1, "num_train_epochs": 2, "per_device_train_batch_size": 16}
    with pytest.raises(RecipeError, match="--rows N"):
        converted(epochs)
    recipe, _ = converted(epochs, rows=1000)
    assert recipe.training.steps == 1000  # 2 x 1,000 problems x 8 completions / 16


@pytest.mark.parametrize(
    ("keys", "key", "fate"),
    [
        ({"min_p": 0.1}, "min_p", "missing"),
        ({"loss_type": "vespo"}, "loss_type", "missing"),
        ({"reward_funcs": ["ioi_code", "accuracy"]}, "reward_funcs: ioi_code", "missing"),
        ({"lr_scheduler_type": "polynomial"}, "lr_scheduler_type", "missing"),
        ({"report_to": ["clearml"]}, "report_to", "missing"),
        ({"num_generatoins": 8}, "num_generatoins", "unknown"),
    ],
)
def test_what_cannot_be_translated_is_named(keys: dict[str, Any], key: str, fate: str) -> None:
    _, lines = converted({**MINIMAL, **keys})
    assert lines[key].fate == fate


def test_no_key_is_in_two_tables() -> None:
    assert set(NOT_NEEDED) & set(NOT_THERE) == set()


@pytest.mark.parametrize("key", [*NOT_NEEDED, *NOT_THERE])
def test_every_other_key_of_trl_has_its_reason(key: str) -> None:
    """Each key alone, with a value, gives exactly one line unless a section reads it."""
    result = convert_trl({**MINIMAL, key: 1}, Circumstances(processes=1))
    assert sum(line.key == key for line in result.lines) == 1


# ------------------------------------------------------------------------------------------------ on the command line


def written(tmp_path: Any, name: str, values: Any) -> str:
    path = tmp_path / name
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return str(path)


def test_the_command_writes_a_recipe_that_trains(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = written(tmp_path, "grpo.yaml", OPEN_RS), str(tmp_path / "recipe.yaml")
    assert main(["convert", source, "--processes", "3", "--out", out]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.replace(out, "").splitlines())) <= 80
    assert "72 completions" in printed
    assert main(["train", out, "--dry-run"]) == 0
    assert "12 x 6 = 72" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "values", "says"),
    [
        ("train", OPEN_RS, "is a GRPO recipe of TRL or open-r1. Run: frugalrl convert"),
        ("sft", OPEN_RS, "Run: frugalrl convert"),
        ("curate", OPEN_RS, "Run: frugalrl convert"),
        ("train", {"name": "a", "phases": [{"source": "arithmetic"}]}, "Run: frugalrl sft"),
        ("train", {"name": "a", "pools": [], "steps": []}, "Run: frugalrl curate"),
        ("curate", {"name": "a", "training": {"steps": 1}, "data": {}}, "Run: frugalrl train"),
        ("train", {"actor_rollout_ref": {"model": {"path": "x"}}}, "configuration of verl"),
        ("train", {"compute_environment": "LOCAL", "distributed_type": "DEEPSPEED"}, "frugalrl needs none"),
        ("train", {"model_name_or_path": "x", "output_dir": "y", "dataset_name": "z"}, "fine-tuning recipe of TRL"),
        ("convert", {"name": "a", "phases": []}, "Run it with: frugalrl sft"),
    ],
)
def test_a_recipe_given_to_the_wrong_command_names_the_right_one(
    tmp_path: Any, capsys: pytest.CaptureFixture[str], command: str, values: Any, says: str
) -> None:
    source = written(tmp_path, "given.yaml", values)
    assert main([command, source]) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_our_own_recipes_are_recognised() -> None:
    from frugalrl.config.loading import read_yaml, shipped_recipes

    for name, path in shipped_recipes().items():
        wanted = "curate" if name.startswith("curate/") else "sft" if "base" in name else "train"
        assert kind_of(read_yaml(path)) == wanted, name


@pytest.mark.parametrize("name", ["open-rs1", "open-rs2"])
def test_to_trl_and_back_is_the_same_recipe(name: str) -> None:
    """Everything that TRL can say survives the way there and back."""
    from frugalrl.convert.exports import to_trl

    ours = load_recipe(name, TrainRecipe)
    theirs, _ = to_trl(ours.model_dump(mode="json"), 3)
    back = parse_recipe(dict(convert_trl(theirs, Circumstances(processes=3)).values), TrainRecipe)
    for part in ("learning_rate", "schedule", "max_grad_norm", "weight_decay"):
        assert getattr(back.optimizer, part) == getattr(ours.optimizer, part)
    for part in ("group_size", "max_completion_tokens", "temperature", "top_p", "prompts_per_step"):
        assert getattr(back.rollout, part) == getattr(ours.rollout, part)
    assert back.algorithm.loss == ours.algorithm.loss
    assert [(one.name, one.weight) for one in back.rewards] == [(one.name, one.weight) for one in ours.rewards]
    assert back.training.steps == ours.training.steps


def test_verls_and_prime_rls_files_hold_the_recipes_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    import tomllib

    assert main(["convert", "open-rs2", "--to", "verl"]) == 0
    values = yaml.safe_load(capsys.readouterr().out.partition("Not translated")[0])
    actor = values["actor_rollout_ref"]["actor"]
    assert (actor["clip_ratio_low"], actor["kl_loss_coef"], actor["loss_agg_mode"]) == (
        0.2,
        0.04,
        "seq-mean-token-mean",
    )
    assert values["data"]["train_batch_size"] * values["actor_rollout_ref"]["rollout"]["n"] == 72
    assert main(["convert", "open-rs2", "--to", "prime-rl"]) == 0
    toml = tomllib.loads(capsys.readouterr().out.partition("Not translated")[0])
    assert toml["orchestrator"]["batch_size"] == 72
    assert toml["orchestrator"]["train"]["env"][0]["taskset"]["dataset_name"] == "knoveleng/open-rs"
    assert toml["trainer"]["optim"]["lr"] == 1e-6
    assert toml["seq_len"] == 4096
