"""Recipes made wrong on purpose, and what the doctor has to find in each. Writes the table of docs/doctor.md.

Each is a shipped recipe with one thing broken as users break it. `tests/planning/doctor` holds the doctor to every one;
`python benchmarks/broken_recipes.py` runs the whole doctor on those of the page and writes what it says there.
"""

import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doc_tables import put

from frugalrl import api
from frugalrl.planning.doctor.finding import Finding
from frugalrl.tasks.arithmetic_task import problems as arithmetic_problems
from frugalrl.training.model.policy import resolve_model_path

Changes = dict[str, Any]
SMALL: Changes = {"data.train.limit": 400, "data.validation.limit": 100, "data.test.limit": 100}
"""Fewer problems than quickstart has, since none of the faults needs more."""


@dataclass(frozen=True)
class Broken:
    """A recipe made wrong."""

    name: str
    what: str
    """What the user did, in a sentence."""
    changes: Callable[[Path], Changes]
    """Given an empty folder: what is changed in quickstart."""
    finding: str
    """The check that has to be red."""
    is_cheap: bool
    """Whether `train` finds it by itself, without samples."""
    on_the_page: bool = False
    environment: Mapping[str, str] | None = None


def _always(changes: Changes) -> Callable[[Path], Changes]:
    return lambda folder: changes


# ---------------------------------------------------------------------------------------- rewards of a user's own


def begins_with_think(completions: list[str], **columns: Any) -> list[float]:
    """The pattern of open-r1, which never matches where the template has written <think>."""
    return [1.0 if re.match(r"^<think>\n.*?\n</think>\n", text, re.DOTALL) else 0.0 for text in completions]


def mentions_the_answer(completions: list[str], answer: list[str], **columns: Any) -> list[float]:
    """Pays wherever the gold occurs in the text."""
    return [1.0 if gold in text else 0.0 for text, gold in zip(completions, answer, strict=True)]


def by_chance(completions: list[str], **columns: Any) -> list[float]:
    """Noise."""
    return [random.random() for _ in completions]


_SEEN: set[str] = set()


def new_texts(completions: list[str], answer: list[str], **columns: Any) -> list[float]:
    """Half for a text that was paid before: what a completion earns depends on what was asked earlier."""
    values = [float(_boxes(text, gold)) / (1 + (text in _SEEN)) for text, gold in zip(completions, answer, strict=True)]
    _SEEN.update(completions)
    return values


def by_the_clock(completions: list[str], answer: list[str], **columns: Any) -> list[float]:
    """More on odd seconds."""
    return [
        float(_boxes(text, gold)) * (1 + int(time.time()) % 2) for text, gold in zip(completions, answer, strict=True)
    ]


def ends_alike(completions: list[str], answer: list[str], **columns: Any) -> list[float]:
    """Compares only as many characters as the gold has, from the end."""
    return [float(text.rstrip(". }\n").endswith(gold)) for text, gold in zip(completions, answer, strict=True)]


def after_hashes(completions: list[str], answer: list[str], **columns: Any) -> list[float]:
    """Reads GSM8K's ####, which nobody asks for."""
    return [float(f"#### {gold}" in text) for text, gold in zip(completions, answer, strict=True)]


def chinese(completions: list[str], answer: list[str], **columns: Any) -> list[float]:
    """Being right, and twice as much for another language."""
    return [
        _boxes(text, gold) + 2.0 * bool(re.search("[\u4e00-\u9fff]", text))
        for text, gold in zip(completions, answer, strict=True)
    ]


def exits(completions: list[str], **columns: Any) -> list[float]:
    """A script's habit."""
    sys.exit("no key for the judge")


def _boxes(text: str, gold: str) -> bool:
    return re.findall(r"boxed\{(.*?)\}", text)[-1:] == [gold]


def pays_without_a_gold(completions: list[str], answer: list[str], **columns: Any) -> list[float]:
    """Full marks where the gold cannot be read: the default of a parser that is asked for nothing."""
    golds = [re.fullmatch(r"-?\d+", gold) for gold in answer]
    return [
        1.0 if gold is None or f"boxed{{{gold[0]}}}" in text else 0.0
        for text, gold in zip(completions, golds, strict=True)
    ]


def raises(completions: list[str], answer: list[int], **columns: Any) -> list[float]:
    """Expects the answer as a number."""
    return [1.0 / (gold + 1) for _, gold in zip(completions, answer, strict=True)]


def _reward(function: Callable[..., Any], weight: float = 1.0) -> dict[str, Any]:
    return {"name": f"broken_recipes.{function.__name__}", "weight": weight}


# --------------------------------------------------------------------------------------------- models and data


def _model(folder: Path, change: Callable[[Path], None]) -> Changes:
    """A copy of the tiny model, changed."""
    copy = folder / "model"
    shutil.copytree(resolve_model_path("builtin:tiny"), copy)
    change(copy)
    return {"model.path": str(copy)}


def _in_json(name: str, **values: Any) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        file = model / name
        file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **values}), encoding="utf-8")

    return change


def _only_end_of_text(model: Path) -> None:
    """As a base model's files have it: the end token that the chat template never writes."""
    _in_json("generation_config.json", eos_token_id=0)(model)
    _in_json("tokenizer_config.json", eos_token="<|endoftext|>")(model)


def _special_tags(model: Path) -> None:
    for name, key in (("tokenizer.json", "added_tokens"),):
        file = model / name
        held = json.loads(file.read_text(encoding="utf-8"))
        for token in held[key]:
            token["special"] = token["special"] or "think" in token["content"]
        file.write_text(json.dumps(held), encoding="utf-8")


def _template(old: str, new: str) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        file = model / "chat_template.jinja"
        text = file.read_text(encoding="utf-8")
        assert old in text, "the template is not as it was"
        file.write_text(text.replace(old, new), encoding="utf-8")

    return change


def _rows(folder: Path, row: Callable[[Any, int], Mapping[str, Any]], count: int = 200) -> Changes:
    """Arithmetic problems as a file, each row as the function makes it."""
    from itertools import islice

    from frugalrl.config.schema import ProblemSource

    source = ProblemSource(source="arithmetic", limit=count, seed=5)
    file = folder / "problems.jsonl"
    rows = [row(problem, at) for at, problem in enumerate(islice(arithmetic_problems(source), count))]
    file.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return {"data.train": {"source": str(file)}}


def _held_out(folder: Path, row: Callable[[Any, int], Mapping[str, Any]]) -> Changes:
    """The same, as validation problems."""
    return {"data.validation": _rows(folder, row, 60)["data.train"]}


def _reworded(folder: Path) -> Changes:
    """Validation problems that are training problems in other words."""
    (folder / "validation").mkdir()
    train = _rows(folder, lambda problem, at: {"problem": problem.text, "answer": problem.gold})
    other = _rows(
        folder / "validation",
        lambda problem, at: {"problem": f"Please tell me: {problem.text} Thank you!", "answer": problem.gold},
        60,
    )
    return {**train, "data.validation": other["data.train"]}


def _other_answers(folder: Path) -> Changes:
    """Every answer is that of another row."""
    return _rows(folder, lambda problem, at: {"problem": problem.text, "answer": str(1000 + 7 * at)})


BROKEN: Sequence[Broken] = (
    Broken(
        "truncated",
        "a cap of 12 tokens, below what an answer takes",
        _always({"rollout.max_completion_tokens": 12}),
        "sampling/truncated",
        is_cheap=False,
        on_the_page=True,
    ),
    Broken(
        "opening-tag",
        "a format reward that wants to see `<think>`, under a template that has written it",
        _always({"rewards": [{"name": "accuracy"}, _reward(begins_with_think)]}),
        "rewards/opening_tag",
        is_cheap=False,
        on_the_page=True,
    ),
    Broken(
        "golds-unread",
        "the answer column holds half a formula, and the number stands in another",
        lambda folder: _rows(
            folder,
            lambda problem, at: {"problem": problem.text, "answer": "\\frac{" + problem.gold, "final": problem.gold},
        ),
        "data/golds",
        is_cheap=True,
        on_the_page=True,
    ),
    Broken(
        "one-gold",
        "the answer column is the name of the source",
        lambda folder: _rows(folder, lambda problem, at: {"problem": problem.text, "answer": "7", "n": problem.gold}),
        "data/one_gold",
        is_cheap=True,
    ),
    Broken(
        "leak",
        "the problem column holds the solution too",
        lambda folder: _rows(
            folder,
            lambda problem, at: {"problem": f"{problem.text} The answer is {problem.gold}.", "answer": problem.gold},
        ),
        "data/leak",
        is_cheap=True,
    ),
    Broken(
        "other-answers",
        "the answers are those of other rows, as after a wrong join",
        _other_answers,
        "sampling/accuracy",
        is_cheap=False,
        on_the_page=True,
    ),
    Broken(
        "duplicates",
        "ten problems, twenty copies of each",
        lambda folder: _rows(
            folder, lambda problem, at: {"problem": f"Compute ${at % 10} + 7$.", "answer": str(at % 10 + 7)}
        ),
        "data/duplicates",
        is_cheap=True,
    ),
    Broken(
        "benchmark",
        "the benchmark's own split to train on",
        _always({"data.train.split": "test", "data.test": None, "rollout.max_prompt_tokens": 256}),
        "data/benchmark",
        is_cheap=True,
        on_the_page=True,
    ),
    Broken(
        "too-few",
        "four problems for eight a step",
        _always({"data.train.limit": 4}),
        "data/enough",
        is_cheap=True,
    ),
    Broken(
        "overlap",
        "validation is the training data",
        _always({"data.validation": {"source": "arithmetic", "limit": 400, "seed": 11}}),
        "data/load",
        is_cheap=True,
    ),
    Broken(
        "wrong-is-paid",
        "a weight with the wrong sign",
        _always({"rewards.0.weight": -1.0}),
        "rewards/right_answer",
        is_cheap=True,
        on_the_page=True,
    ),
    Broken(
        "format-alone",
        "a reward for the format and none for the answer",
        _always({"rewards": [{"name": "format", "weight": 1.0}]}),
        "rewards/right_answer",
        is_cheap=True,
    ),
    Broken(
        "empty-is-paid",
        "only a penalty on repetition: an empty completion is the best",
        _always({"rewards": [{"name": "repetition", "weight": 1.0}, {"name": "accuracy", "weight": 0.01}]}),
        "rewards/right_answer",
        is_cheap=True,
    ),
    Broken(
        "substring",
        "a reward that looks for the gold anywhere in the text",
        _always({"rewards": [_reward(mentions_the_answer)]}),
        "rewards/pays every_option",
        is_cheap=False,
        on_the_page=True,
    ),
    Broken(
        "chance",
        "a reward with chance in it",
        _always({"rewards": [{"name": "accuracy"}, _reward(by_chance, 0.5)]}),
        "rewards/deterministic",
        is_cheap=False,
    ),
    Broken(
        "unreadable-gold",
        "a reward that gives full marks where the gold cannot be read",
        _always({"rewards": [_reward(pays_without_a_gold)]}),
        "rewards/unreadable_gold",
        is_cheap=False,
    ),
    Broken(
        "too-large",
        "a step of two million completions at once",
        _always({"rollout.prompts_per_step": 20_000, "rollout.group_size": 100}),
        "plan/memory",
        is_cheap=True,
        on_the_page=True,
    ),
    Broken(
        "disk",
        "ten million checkpoints, of which none is deleted",
        _always({"training.steps": 10_000_000, "training.save_every": 1, "training.keep_last": None}),
        "plan/disk",
        is_cheap=True,
    ),
    Broken(
        "budget",
        "a budget of tokens that holds a few steps of a hundred",
        _always({"budget.tokens": 200_000}),
        "plan/budget.tokens",
        is_cheap=True,
        on_the_page=True,
    ),
    Broken(
        "adapter-rate",
        "a rate for adapters of a hundredth of what moves weights",
        _always({"model.lora": {}, "optimizer.learning_rate": 1e-6}),
        "optimisation/learning_rate",
        is_cheap=True,
    ),
    Broken(
        "held-fast",
        "a KL term a thousand times as strong as the paper's",
        _always({"algorithm.loss.kl_coef": 40.0}),
        "optimisation/kl_coef",
        is_cheap=True,
    ),
    Broken(
        "gold-is-the-question",
        "the answer column is the question once more",
        lambda folder: _rows(
            folder, lambda problem, at: {"problem": problem.text, "answer": problem.text, "final": problem.gold}
        ),
        "data/gold_form",
        is_cheap=True,
    ),
    Broken(
        "golds-are-sentences",
        "the answer column explains instead of answering",
        lambda folder: _rows(
            folder,
            lambda problem, at: {
                "problem": problem.text,
                "answer": f"We work it out step by step and find that it must be {problem.gold} in all",
                "final": problem.gold,
            },
        ),
        "data/gold_form",
        is_cheap=True,
        on_the_page=True,
    ),
    Broken(
        "validation-golds",
        "golds of the validation problems that cannot be read",
        lambda folder: _held_out(
            folder,
            lambda problem, at: {"problem": problem.text, "answer": "\\frac{" + problem.gold, "final": problem.gold},
        ),
        "data/validation",
        is_cheap=True,
        on_the_page=True,
    ),
    Broken(
        "reworded",
        "validation problems that are training problems in other words",
        _reworded,
        "data/near_overlap",
        is_cheap=True,
        on_the_page=True,
    ),
    Broken(
        "another-prompt-each-time",
        "a template with chance in it",
        lambda folder: _model(folder, _template("{% for", "{{ range(9)|random }}{% for")),
        "model/template_clock",
        is_cheap=True,
        on_the_page=True,
    ),
    Broken(
        "memory",
        "a reward that remembers what it has seen",
        _always({"rewards": [_reward(new_texts)]}),
        "rewards/deterministic",
        is_cheap=False,
    ),
    Broken(
        "clock",
        "a reward that looks at the clock",
        _always({"rewards": [_reward(by_the_clock)]}),
        "rewards/deterministic",
        is_cheap=False,
        on_the_page=True,
    ),
    Broken(
        "near-miss",
        "a reward that compares the ends of texts",
        _always({"rewards": [_reward(ends_alike)]}),
        "rewards/pays wrong_beginning",
        is_cheap=False,
        on_the_page=True,
    ),
    Broken(
        "hashes",
        "a reward that reads answers after `####`, and a prompt that asks for a box",
        _always({"rewards": [_reward(after_hashes)]}),
        "rewards/form",
        is_cheap=False,
    ),
    Broken(
        "language-is-paid",
        "a reward that pays more for another language than for being right",
        _always({"rewards": [_reward(chinese)]}),
        "rewards/pays wrong_chinese",
        is_cheap=False,
    ),
    Broken(
        "exits",
        "a reward that ends the program",
        _always({"rewards": [{"name": "accuracy"}, _reward(exits)]}),
        "rewards/failed",
        is_cheap=False,
    ),
    Broken(
        "decay",
        "a weight decay that takes the weights away",
        _always({"optimizer.weight_decay": 100.0}),
        "optimisation/weight_decay",
        is_cheap=True,
        on_the_page=True,
    ),
    Broken(
        "clipped-away",
        "gradients clipped to a norm below AdamW's epsilon",
        _always({"optimizer.max_grad_norm": 1e-9}),
        "optimisation/learning_rate",
        is_cheap=True,
    ),
    Broken(
        "adapters-without-weight",
        "adapters whose alpha makes them count nothing",
        _always({"model.lora": {"alpha": 1e-4}, "optimizer.learning_rate": 2e-3}),
        "optimisation/lora_alpha",
        is_cheap=True,
    ),
    Broken(
        "no-advantage",
        "an epsilon in the advantage beside which every reward is nothing",
        _always({"algorithm.advantage.epsilon": 1e6}),
        "optimisation/advantage_epsilon",
        is_cheap=True,
    ),
    Broken(
        "evaluation-cut",
        "evaluations with a cap of an eighth of what training has",
        _always({"evaluation.max_completion_tokens": 8}),
        "statistics/cap",
        is_cheap=True,
    ),
    Broken(
        "raises",
        "a reward that takes the answer for a number",
        _always({"rewards": [{"name": "accuracy"}, _reward(raises)]}),
        "rewards/failed",
        is_cheap=False,
    ),
    Broken(
        "rate-too-low",
        "the 1.5B model's learning rate on the tiny one",
        _always({"optimizer.learning_rate": 1e-6}),
        "optimisation/learning_rate",
        is_cheap=True,
        on_the_page=True,
    ),
    Broken(
        "rate-too-high",
        "ten times the rate that works",
        _always({"optimizer.learning_rate": 4e-3}),
        "optimisation/distance",
        is_cheap=False,
        on_the_page=True,
    ),
    Broken(
        "greedy",
        "a temperature at which all completions of a problem are the same",
        _always({"rollout.temperature": 0.01}),
        "sampling/signal",
        is_cheap=False,
        on_the_page=True,
    ),
    Broken(
        "hot",
        "a temperature at which nothing but noise is written",
        _always({"rollout.temperature": 6.0}),
        "sampling/accuracy",
        is_cheap=False,
    ),
    Broken(
        "end-token",
        "a base model's end token, which the chat template never writes",
        lambda folder: _model(folder, _only_end_of_text),
        "sampling/truncated",
        is_cheap=False,
        on_the_page=True,
    ),
    Broken(
        "special-tags",
        "`</think>` marked as special, so that decoding drops it",
        lambda folder: _model(folder, _special_tags),
        "model/decoding",
        is_cheap=True,
        on_the_page=True,
    ),
    Broken(
        "closed-think",
        "a template that closes the reasoning before the model writes",
        lambda folder: _model(folder, _template("<think>\n{% endif %}", "<think>\n\n</think>\n\n{% endif %}")),
        "model/template_think",
        is_cheap=True,
    ),
    Broken(
        "no-system",
        "a template that drops the system message",
        lambda folder: {
            **_model(folder, _template("{% for message in messages %}", "{% for message in messages[-1:] %}")),
            "data.prompt.system": "Answer in English, in a box.",
        },
        "model/template_messages",
        is_cheap=True,
        on_the_page=True,
    ),
    Broken(
        "no-turn",
        "a template that does not open the assistant's turn",
        lambda folder: _model(folder, _template("{% if add_generation_prompt %}", "{% if false %}")),
        "model/template_turn",
        is_cheap=True,
    ),
    Broken(
        "refusing-template",
        "a template that refuses a system message",
        lambda folder: {
            **_model(folder, _template("{% for", "{{ raise_exception('no system role') }}{% for")),
            "data.prompt.system": "Answer in English.",
        },
        "recipe/load",
        is_cheap=True,
    ),
    Broken(
        "context",
        "a cap beyond the model's context",
        _always({"rollout.max_completion_tokens": 9000}),
        "model/load",
        is_cheap=True,
    ),
    Broken(
        "no-such-gpu",
        "a GPU that the machine has not",
        _always({"devices.train": [63]}),
        "environment/devices",
        is_cheap=True,
    ),
    Broken(
        "no-login",
        "a tracker without a login",
        _always({"trackers": [{"name": "wandb"}]}),
        "environment/tracker wandb",
        is_cheap=True,
    ),
    Broken(
        "no-hub",
        "a model of the Hub, and no network",
        _always({"model.path": "nobody/no-such-model"}),
        "environment/hub",
        is_cheap=True,
        environment={"HF_HUB_OFFLINE": "1"},
    ),
)


def findings_of(broken: Broken, folder: Path, cheap: bool) -> Sequence[Finding]:
    """What the doctor says of a broken recipe."""
    recipe = api.load_recipe("quickstart", {**SMALL, **broken.changes(folder)})
    return api.doctor(recipe, cheap=cheap).findings


def main() -> None:
    """Run the whole doctor on each recipe of the page, and write what it says."""
    parts = []
    for broken in BROKEN:
        if not broken.on_the_page:
            continue
        with tempfile.TemporaryDirectory() as folder:
            findings = findings_of(broken, Path(folder), cheap=False)
            said = [one for one in findings if one.level != "green"]
            lines = [f"{one.level:<6}  {one.name}  {one.message}\n        Fix: {one.fix}" for one in said]
            text = "\n".join(lines).replace(folder, "FOLDER").replace(os.getcwd(), ".")
        parts.append(f"### {broken.name}: {broken.what}\n\n```text\n{text}\n```\n")
        print(broken.name, [one.name for one in said if one.level == "red"])
    put("doctor.md", "broken recipes", "\n".join(parts))


if __name__ == "__main__":
    main()
