"""GRPO recipes of TRL, open-r1 and open-rs, key by key, into ours.

Decisions:
- A key that the file leaves out has the default of the release of TRL that it was written for, and these changed
  (`trl_releases.py`). The keys of a file tell its releases; the newest of them is taken, `defaults` overrides that, and
  where they differ the line says so.
- Batch arithmetic becomes explicit: completions of an update = per device x accumulation x processes.
- Nothing is dropped without a line, and values that would be refused or mean something else are said.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from frugalrl.convert.report import Converted, KeyLine
from frugalrl.convert.trl_keys import NOT_NEEDED, NOT_THERE
from frugalrl.convert.trl_reading import Circumstances, Reading, as_list, as_number, as_texts, short
from frugalrl.convert.trl_releases import default_of
from frugalrl.convert.trl_rewards import REWARD_KEYS, reward_terms
from frugalrl.errors import RecipeError

_HELD_OUT = 128
_DTYPES = ("float32", "bfloat16", "float16")
_OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw_apex_fused")
_LOSSES = {
    "grpo": "sequence",
    "bnpo": "token",
    "dapo": "token",
    "dr_grpo": "constant",
    "cispo": "token",
    "sapo": "token",
}


_UNKNOWN = Circumstances()


def convert_trl(values: Mapping[str, Any], given: Circumstances = _UNKNOWN) -> Converted:
    """Our recipe for a file of theirs. Raises RecipeError for what makes a recipe impossible."""
    reading = Reading(dict(values), given.defaults)
    recipe: dict[str, Any] = {"name": given.name}
    for part in (_model, _data, _rewards, _rollout, _algorithm, _optimizer, _training, _trackers):
        recipe |= part(reading, given)
    return Converted(recipe, (*reading.lines, *_left(reading)))


def _left(reading: Reading) -> Iterator[KeyLine]:
    """A line for each key that no part took."""
    for key in reading.values:
        if key in reading.taken:
            continue
        if key in NOT_NEEDED:
            yield KeyLine(key, "dropped", NOT_NEEDED[key])
        elif key in NOT_THERE:
            yield KeyLine(key, "missing", f"{short(reading.values[key])}: {NOT_THERE[key]}")
        else:
            known = [*NOT_NEEDED, *NOT_THERE, *reading.taken]
            close = difflib.get_close_matches(key, known, n=1)
            yield KeyLine(key, "unknown", f"did you mean {close[0]}?" if close else "see docs/reference/recipe.md")


# --------------------------------------------------------------------------------------- sections of the recipe


def _model(reading: Reading, given: Circumstances) -> dict[str, Any]:
    path = reading.take("model_name_or_path", "model.path")
    if not path:
        raise RecipeError("The recipe names no model. Add model_name_or_path.")
    section: dict[str, Any] = {"path": str(path), "dtype": _dtype(reading)}
    revision = reading.optional("model_revision", "model.revision")
    if revision not in (None, "main"):
        section["revision"] = revision
    section["gradient_checkpointing"] = bool(reading.take("gradient_checkpointing", "model.gradient_checkpointing"))
    section |= _adapter(reading)
    return {"model": section}


def _dtype(reading: Reading) -> str:
    """What is computed in: the dtype of the weights, or that of mixed precision around fp32 weights."""
    asked = reading.optional("torch_dtype", "model.dtype") or reading.take("dtype", "model.dtype")
    reading.taken.add("dtype")
    if asked not in _DTYPES:
        reading.say("dtype", "changed", f"{asked} becomes bfloat16; the optimizer keeps fp32 masters")
        return "bfloat16"
    if asked != "float32":
        return str(asked)
    if reading.values.get("fp16"):
        reading.say("fp16", "changed", "mixed precision -> model.dtype: float16, with fp32 masters and a loss scale")
        return "float16"
    reading.taken.add("bf16")
    if reading.values.get("bf16", default_of("bf16", reading.release)):
        why = "true" if "bf16" in reading.values else f"not set, true by default in TRL {reading.release}"
        reading.say("bf16", "changed", f"{why}: mixed precision -> model.dtype: bfloat16, with fp32 masters")
        return "bfloat16"
    if "bf16" in reading.values:
        reading.say("bf16", "translated", "false -> model.dtype: float32")
    return "float32"


def _adapter(reading: Reading) -> dict[str, Any]:
    """The section `model.lora`; peft's own defaults of rank and alpha where the file says only use_peft."""
    if not reading.optional("use_peft", "model.lora"):
        return {}
    rank = reading.optional_count("lora_r", "model.lora.rank") or 16
    alpha = reading.optional_number("lora_alpha", "model.lora.alpha") or 32.0
    lora: dict[str, Any] = {"rank": rank, "alpha": alpha, "dropout": 0.0}
    dropout = reading.optional_number("lora_dropout", "model.lora.dropout")
    lora["dropout"] = 0.05 if dropout is None else dropout
    named = reading.optional("lora_target_modules", "model.lora.target")
    targets = as_texts(named or ["q_proj", "v_proj"])
    if targets == ["all-linear"]:
        return {"lora": lora}
    known = [one for one in targets if one in _PROJECTIONS]
    if len(known) < len(targets):
        reading.say("lora_target_modules", "missing", f"only {', '.join(_PROJECTIONS)} get adapters")
    return {"lora": lora | ({"target": known} if known else {})}


_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def _data(reading: Reading, given: Circumstances) -> dict[str, Any]:
    name = reading.optional("dataset_name", "data.train.source")
    if not name:
        raise RecipeError("The recipe names no data. Add dataset_name, or write the mixture with frugalrl curate.")
    source: dict[str, Any] = {"source": str(name)}
    for key in ("dataset_config", "dataset_configs"):
        subset = reading.optional(key, "data.train.subset")
        if subset:
            source["subset"] = as_texts(subset)[0]
    source["split"] = reading.optional("dataset_train_split", "data.train.split") or "train"
    column = reading.optional("dataset_prompt_column", "data.train.problem_field")
    if column and column != "problem":
        source["problem_field"] = column
    source["skip_without_gold"] = True
    reading.say("skip_without_gold", "added", "rows without a gold answer are left out; open-r1 pays them in full")
    data: dict[str, Any] = {"train": source, **_validation(reading, source)}
    prompt = {"system": _system(reading)} if reading.values.get("system_prompt") else {}
    reading.taken.add("system_prompt")
    return {"data": {**data, **({"prompt": prompt} if prompt else {})}}


def _validation(reading: Reading, source: Mapping[str, Any]) -> dict[str, Any]:
    strategy = reading.optional("eval_strategy", "evaluation.every")
    split = reading.optional("dataset_test_split", "data.validation.split")
    if split and str(strategy or "no") not in ("no", "False"):
        return {"validation": {**source, "split": split}}
    reading.say(
        "validation", "added",
        f"{_HELD_OUT} training problems are held out to choose the checkpoint by; remove "
        "data.validation to train on all",
    )  # fmt: skip
    return {"validation": {**source, "limit": _HELD_OUT}}


def _system(reading: Reading) -> str:
    text = str(reading.values["system_prompt"])
    if "{{}}" in text:
        reading.say(
            "system_prompt", "changed", "-> data.prompt.system; its doubled braces reached the model, here they do not"
        )
        return text.replace("{{}}", "{}")
    reading.say("system_prompt", "translated", "-> data.prompt.system")
    return text


def _rewards(reading: Reading, given: Circumstances) -> dict[str, Any]:
    names = reading.optional("reward_funcs", "rewards")
    if names is None:
        names = ["accuracy", "format", "tag_count"]
        reading.say("reward_funcs", "added", f"not set: open-r1's default {', '.join(names)} -> rewards")
    weights = reading.optional("reward_weights", "the weights of rewards")
    names = as_texts(names)
    weights = None if weights is None else [as_number("reward_weights", one) for one in as_list(weights)]
    if weights is not None and len(weights) != len(names):
        raise RecipeError(f"The recipe has {len(names)} reward_funcs and {len(weights)} reward_weights. Give as many.")
    cap = reading.peek_count("max_completion_length")
    reading.taken.update(REWARD_KEYS)
    return {"rewards": reward_terms(names, weights, reading.values, cap, reading.say)}


def _rollout(reading: Reading, given: Circumstances) -> dict[str, Any]:
    group = reading.count("num_generations", "rollout.group_size")
    completions = _completions(reading, given)
    prompts = max(1, -(-completions // group))
    if prompts * group != completions:
        reading.say(
            "num_generations", "changed", f"{completions} is no multiple of {group}: rounded up to {prompts} prompts"
        )
    section: dict[str, Any] = {"prompts_per_step": prompts, "group_size": group}
    section["max_prompt_tokens"] = reading.optional_count("max_prompt_length", "rollout.max_prompt_tokens") or 512
    section["skip_long_prompts"] = True
    reading.say(
        "skip_long_prompts", "added", "longer prompts are left out; TRL cut off their beginning, or took them whole"
    )
    section["max_completion_tokens"] = reading.count("max_completion_length", "rollout.max_completion_tokens")
    section["temperature"] = reading.number("temperature", "rollout.temperature")
    top_p = reading.optional_number("top_p", "rollout.top_p")
    if top_p not in (None, 1.0):
        section["top_p"] = top_p
    section |= _top_k(reading)
    return {"rollout": section}


def _top_k(reading: Reading) -> dict[str, int]:
    """TRL 0.16 and 0.17 sampled among 50 tokens unless told otherwise; -1 and 0 are all."""
    left_out = "top_k" not in reading.values and default_of("top_k", reading.release) is None
    value = None if left_out else reading.count("top_k", "rollout.top_k", least=-1)
    return {"top_k": value} if value is not None and value > 0 else {}


def _completions(reading: Reading, given: Circumstances) -> int:
    """Completions of a step, from sizes that are a device's."""
    processes = given.processes or 1
    device = reading.count("per_device_train_batch_size", "rollout.prompts_per_step")
    accumulation = reading.count("gradient_accumulation_steps", "rollout.prompts_per_step")
    update = device * accumulation * processes
    whole = reading.optional_count("generation_batch_size", "rollout.prompts_per_step")
    rounds = reading.optional_count("steps_per_generation", "rollout.prompts_per_step")
    sampled = whole or (device * rounds * processes if rounds else update)
    why = f"{device} per device x {accumulation} accumulations x {processes} processes = {update} completions"
    if given.processes is None:
        reading.say("processes", "changed", f"{why}; the file does not say how many processes: give --processes N")
    else:
        reading.say("processes", "translated", why)
    if sampled != update:
        reading.say(
            "generation_batch_size", "changed",
            f"{sampled} completions were sampled for updates of {update}; here a step samples {sampled} "
            "and updates on all",
        )  # fmt: skip
    return sampled


def _algorithm(reading: Reading, given: Circumstances) -> dict[str, Any]:
    kind = str(reading.take("loss_type", "algorithm.loss.aggregation"))
    loss: dict[str, Any] = {"aggregation": _LOSSES.get(kind, "token")}
    if kind not in _LOSSES:
        reading.say("loss_type", "missing", f"{kind} is not built in; write it as a function, algorithm.loss.surrogate")
    if kind == "bnpo":
        reading.say("loss_type", "changed", "bnpo averaged tokens over a device's batch; here it is the whole batch")
    if kind in ("cispo", "sapo"):
        loss["surrogate"] = kind
    if reading.optional("importance_sampling_level", "algorithm.loss.surrogate") == "sequence":
        loss["surrogate"] = "gspo"
    epsilon = reading.number("epsilon", "algorithm.loss.clip_low and clip_high")
    high = reading.optional_number("epsilon_high", "algorithm.loss.clip_high")
    loss |= {"clip_low": epsilon, "clip_high": epsilon if high is None else high}
    loss["kl_coef"] = reading.number("beta", "algorithm.loss.kl_coef", why="0 holds no reference model")
    loss["kl_estimator"] = _kl_estimator(reading, loss["kl_coef"])
    loss |= _plain(reading, _PLAIN_LOSS, "algorithm.loss")
    section: dict[str, Any] = {"advantage": _advantage(reading, kind), "loss": loss}
    section["updates_per_batch"] = reading.count("num_iterations", "algorithm.updates_per_batch")
    if reading.optional("mask_truncated_completions", "algorithm.mask_truncated"):
        section["mask_truncated"] = True
    section |= _entropy(reading) | _reference(reading, loss["kl_coef"])
    return {"algorithm": section}


def _kl_estimator(reading: Reading, kl_coef: float) -> str:
    """TRL's correction is on by default since 1.10, and matters only where there is a KL term."""
    key = "use_bias_correction_kl"
    matters = key in reading.values or kl_coef > 0
    unbiased = reading.take(key, "algorithm.loss.kl_estimator") if matters else False
    return "k3_unbiased" if unbiased else "k3"


def _plain(reading: Reading, names: Mapping[str, str], section: str) -> dict[str, float]:
    """Numbers that mean the same under our name; those that the file leaves out stay out."""
    found = {ours: reading.optional_number(key, f"{section}.{ours}") for key, ours in names.items()}
    return {ours: value for ours, value in found.items() if value is not None}


_PLAIN_LOSS = {
    "delta": "delta", "sapo_temperature_pos": "tau_pos", "sapo_temperature_neg": "tau_neg",
    "off_policy_mask_threshold": "off_policy_mask",
}  # fmt: skip


def _advantage(reading: Reading, kind: str) -> dict[str, Any]:
    scale = reading.take("scale_rewards", "algorithm.advantage")
    if str(scale).lower() in ("false", "none"):
        return {"preset": "trl", "divisor": "none"}
    if str(scale).lower() == "batch":
        reading.say(
            "scale_rewards", "missing", "batch: the deviation is that of the group; a rule of your own can differ"
        )
    if kind == "dr_grpo":
        reading.say(
            "scale_rewards",
            "changed",
            "Dr. GRPO does not divide; TRL does unless scale_rewards is none, and so does this",
        )
    return {"preset": "trl"}


def _entropy(reading: Reading) -> dict[str, Any]:
    found: dict[str, Any] = dict(_plain(reading, _PLAIN_ENTROPY, "algorithm.entropy"))
    if reading.optional("use_adaptive_entropy", "algorithm.entropy.adaptive"):
        found["adaptive"] = True
    lowest = reading.optional_number("entropy_coef_min", "algorithm.entropy.coef")
    if lowest:
        reading.say("entropy_coef_min", "missing", f"{lowest:g}: an adaptive coefficient may fall to 0 here")
    return {"entropy": found} if found else {}


_PLAIN_ENTROPY = {
    "entropy_coef": "coef", "entropy_target": "target", "entropy_coef_delta": "step", "entropy_coef_max": "coef_max",
}  # fmt: skip


def _reference(reading: Reading, kl_coef: float) -> dict[str, Any]:
    if not reading.optional("sync_ref_model", "algorithm.reference_reset_every") or not kl_coef:
        reading.taken.add("ref_model_sync_steps")
        return {}
    steps = reading.count("ref_model_sync_steps", "algorithm.reference_reset_every")
    reading.say("sync_ref_model", "changed", "the reference is replaced whole, and the optimizer is reset with it")
    return {"reference_reset_every": steps}


def _optimizer(reading: Reading, given: Circumstances) -> dict[str, Any]:
    section: dict[str, Any] = {"learning_rate": reading.number("learning_rate", "optimizer.learning_rate")}
    name = reading.optional("optim", "optimizer.name")
    if str(name) in _OPTIMIZERS_OF_8_BITS:
        section["state_bits"] = 8
        reading.say("optim", "changed", f"{name} becomes adamw with moments of 8 bits and fp32 masters; not paged")
    elif name is not None and str(name) not in _OPTIMIZERS:
        reading.say("optim", "changed", f"{name} becomes adamw with fp32 masters and moments")
    section |= _plain(reading, _PLAIN_OPTIMIZER, "optimizer")
    schedule, floor = _schedule(reading, section["learning_rate"])
    section |= {"schedule": schedule, "warmup_fraction": _warmup(reading), "min_lr_fraction": floor}
    return {"optimizer": section}


_OPTIMIZERS_OF_8_BITS = ("adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit")
"""transformers' names of bitsandbytes' AdamW."""
_PLAIN_OPTIMIZER = {
    "weight_decay": "weight_decay", "adam_beta1": "beta1", "adam_beta2": "beta2", "adam_epsilon": "epsilon",
    "max_grad_norm": "max_grad_norm",
}  # fmt: skip


def _schedule(reading: Reading, rate: float) -> tuple[str, float]:
    kind = str(reading.take("lr_scheduler_type", "optimizer.schedule"))
    extra = reading.optional_mapping("lr_scheduler_kwargs", "optimizer.min_lr_fraction")
    floor = as_number(
        "min_lr_rate", extra.get("min_lr_rate", as_number("min_lr", extra.get("min_lr", 0.0)) / (rate or 1.0))
    )
    for name, ours in (("cosine", "cosine"), ("constant", "constant"), ("linear", "linear")):
        if kind.startswith(name) and "restart" not in kind:
            return ours, floor
    reading.say(
        "lr_scheduler_type", "missing", f"there is no {kind}; cosine is taken. cosine, linear and constant are there"
    )
    return "cosine", floor


def _warmup(reading: Reading) -> float:
    steps = reading.optional_number("warmup_steps", "optimizer.warmup_fraction")
    if steps:
        total = reading.peek_count("max_steps", 0)
        if steps >= 1 and total <= 0:
            reading.say("warmup_steps", "missing", "a share of the steps is needed: set optimizer.warmup_fraction")
            return 0.0
        return steps if steps < 1 else min(1.0, steps / total)
    return reading.number("warmup_ratio", "optimizer.warmup_fraction")


def _training(reading: Reading, given: Circumstances) -> dict[str, Any]:
    steps = _steps(reading, given)
    section: dict[str, Any] = {"steps": steps}
    strategy = str(reading.optional("save_strategy", "training.save_every") or "steps")
    every = reading.optional_number("save_steps", "training.save_every")
    if strategy == "steps":
        section["save_every"] = _share_of(every if every is not None else 500, steps)
    elif strategy != "no":
        reading.say("save_strategy", "changed", f"{strategy}: the best and the last checkpoint are saved in any case")
    keep = reading.optional_count("save_total_limit", "training.keep_last")
    if keep:
        section["keep_last"] = keep
    looks = reading.optional_number("eval_steps", "evaluation.every")
    saved = section.get("save_every")
    every_look = _share_of(looks, steps) if looks else saved and min(saved, steps)
    if not looks and every_look:
        reading.say("evaluation.every", "added", f"{every_look}, as often as a checkpoint is saved")
    return {
        "evaluation": {"every": every_look} if every_look else {},
        "training": section,
        "seed": reading.count("seed", "seed", least=0),
    }


def _share_of(value: float, steps: int) -> int:
    return max(1, round(value * steps)) if value < 1 else int(value)


def _steps(reading: Reading, given: Circumstances) -> int:
    steps = reading.optional_count("max_steps", "training.steps") or 0
    if steps > 0:
        if "num_train_epochs" in reading.values:
            reading.say("num_train_epochs", "dropped", "max_steps decides")
        return steps
    epochs = reading.optional_number("num_train_epochs", "training.steps") or 3.0
    if given.rows is None:
        raise RecipeError(
            f"The recipe counts {epochs:g} epochs and no steps. Give --rows N, the number of rows of the training data."
        )
    group = reading.peek_count("num_generations")
    device = reading.peek_count("per_device_train_batch_size")
    accumulation = reading.peek_count("gradient_accumulation_steps")
    found = max(1, int(epochs * given.rows * group / (device * accumulation * (given.processes or 1))))
    reading.say("num_train_epochs", "changed", f"{epochs:g} epochs of {given.rows:,} rows -> training.steps: {found}")
    return found


def _trackers(reading: Reading, given: Circumstances) -> dict[str, Any]:
    named = reading.optional("report_to", "trackers")
    names = as_texts(named or [])
    project = reading.optional("wandb_project", "trackers.project")
    known = [name for name in names if name in ("wandb", "trackio", "tensorboard", "mlflow")]
    for name in set(names) - set(known) - {"none"}:
        reading.say("report_to", "missing", f"there is no tracker {name}; metrics.jsonl is always written")
    return (
        {"trackers": [{"name": name, **({"project": project} if project else {})} for name in known]} if known else {}
    )
