"""The public API from outside: what it imports, what it returns, what it shows, and what it says of mistakes."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import frugalrl
from frugalrl.config.curation_schema import CurationSpec
from frugalrl.config.schema import SftRecipe, TrainRecipe
from frugalrl.errors import DataError, OutputError, RecipeError
from frugalrl.rewards.given import function_name, given_rewards

TINY = {
    "training.steps": 2,
    "training.save_every": 1,
    "data.train.limit": 40,
    "data.validation": None,
    "data.test": {"split": "test", "limit": 3},
    "rollout.prompts_per_step": 2,
    "rollout.group_size": 2,
    "rollout.max_completion_tokens": 12,
    "evaluation.samples_per_problem": 2,
}
"""Two problems x two completions of a few tokens, two steps."""


def brevity(completions, **columns):
    """Not importable where tests are no package of the user's: given as a function."""
    return [-len(text) / 100 for text in completions]


def nothing(completions, **columns):
    return [None] * len(completions)


@pytest.fixture(scope="module")
def recipe() -> TrainRecipe:
    return frugalrl.load_recipe("quickstart", TINY)


@pytest.fixture(scope="module")
def trained(recipe, tmp_path_factory):
    """One run that several tests look at: its result, what `on_step` saw, the lines that were shown."""
    seen: list[dict] = []
    lines: list[str] = []
    folder = tmp_path_factory.mktemp("api") / "run"
    rewards = ["accuracy", (brevity, 0.5)]
    result = frugalrl.train(recipe, rewards=rewards, on_step=seen.append, out=folder, show=lines.append)
    return result, seen, lines


# ------------------------------------------------------------------------------------------------- importing


def test_importing_it_loads_nothing_heavy_and_verifying_loads_no_torch():
    code = (
        "import sys, frugalrl\n"
        "heavy = {'torch', 'transformers', 'numpy', 'scipy', 'pydantic', 'yaml', 'datasets', 'pyarrow'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert {'train', 'verify', 'Reward'} <= set(dir(frugalrl))\n"
        "assert 'frugalrl.api' not in sys.modules\n"
        "assert frugalrl.verify('0.5', r'\\frac{1}{2}').label == 'correct'\n"
        "assert frugalrl.verify('x + x', '2x').label == 'correct'\n"
        "assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("first", ["frugalrl", "frugalrl.verify.answers", "frugalrl.verify.one_answer"])
def test_verify_is_the_function_and_the_package_in_whatever_order_they_are_imported(first):
    code = (
        f"import {first}\n"
        "import frugalrl\n"
        "assert frugalrl.verify('0.5', '1/2').label == 'correct'\n"
        "import frugalrl.verify.answers as answers\n"
        "assert frugalrl.verify.answers.judge is answers.judge\n"
        "from frugalrl import verify\n"
        "assert verify('0.5', gold='1/3').label == 'incorrect'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", frugalrl.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(frugalrl, name)
    assert name in dir(frugalrl)
    if name != "__version__":
        assert inspect.getdoc(value)
        reference = (Path(__file__).parents[1] / "docs" / "python-api.md").read_text(encoding="utf-8")
        assert f"`{name}`" in reference or f"{name}(" in reference


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'frugalrl' has no attribute 'trian'"):
        frugalrl.trian  # noqa: B018


def test_what_mypy_sees_is_what_there_is(tmp_path):
    """The TYPE_CHECKING block and the table name the same things in the same modules."""
    import ast

    tree = ast.parse(Path(frugalrl.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert seen == frugalrl._PUBLIC


# --------------------------------------------------------------------------------------------------- recipes


def test_a_recipe_by_name_by_path_and_by_values_is_the_same():
    path = Path(__file__).parents[1] / "recipes" / "mini" / "open-rs3.yaml"
    named = frugalrl.load_recipe("mini/open-rs3")
    assert named == frugalrl.load_recipe(path) == frugalrl.load_recipe(named.model_dump(mode="json"))
    assert isinstance(frugalrl.load_recipe("tiny-base", kind="sft"), SftRecipe)
    assert isinstance(frugalrl.load_recipe("curate/open-rs", kind="curate"), CurationSpec)


def test_a_change_gives_another_recipe_and_leaves_the_first():
    recipe = frugalrl.load_recipe("quickstart")
    changed = frugalrl.change(recipe, {"training.steps": 7, "rewards.0.weight": 3})
    assert (changed.training.steps, changed.rewards[0].weight) == (7, 3.0)
    assert changed == frugalrl.change(recipe, ["training.steps=7", "rewards.0.weight=3"])
    assert changed == frugalrl.load_recipe("quickstart", {"training.steps": 7, "rewards.0.weight": 3})
    assert recipe == frugalrl.load_recipe("quickstart") == frugalrl.change(recipe, {})
    assert frugalrl.change(recipe, {"rewards": list(changed.rewards)}).rewards == changed.rewards


def test_a_mapping_that_is_loaded_stays_as_it_is():
    values = frugalrl.load_recipe("quickstart").model_dump(mode="json")
    before = json.dumps(values)
    frugalrl.load_recipe(values, {"training.steps": 3})
    assert json.dumps(values) == before


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        (lambda: frugalrl.load_recipe("quikstart"), "There is no recipe at quikstart. Did you mean quickstart"),
        (lambda: frugalrl.load_recipe("zzz"), "Name a .yaml file or one of"),
        (lambda: frugalrl.load_recipe("no-such.yaml"), "There is no recipe at no-such.yaml"),
        (lambda: frugalrl.load_recipe(7), "A recipe cannot be read from 7"),
        (lambda: frugalrl.load_recipe("quickstart", kind="grpo"), "no kind of recipe 'grpo'"),
        (lambda: frugalrl.load_recipe("quickstart", {"training.step": 5}), "Did you mean 'steps'?"),
        (lambda: frugalrl.load_recipe("quickstart", {"training.steps": "5"}), "training.steps is wrong"),
        (lambda: frugalrl.load_recipe("quickstart", {"training.steps.a": 5}), "The change 'training.steps.a'"),
        (lambda: frugalrl.load_recipe("quickstart", {"rewards.9.weight": 5}), "a position from 0 to"),
        (lambda: frugalrl.load_recipe("quickstart", "training.steps=5"), "Changes are a mapping or a list"),
        (lambda: frugalrl.load_recipe("quickstart", {"name": object()}), "A recipe cannot hold <object"),
        (lambda: frugalrl.change(frugalrl.load_recipe("quickstart"), {"algorithm.preset": "dapo"}), "when a recipe is"),
        (lambda: frugalrl.train("quickstart", rewards="accuracy"), "Give a list, for example"),
        (lambda: frugalrl.train("quickstart", rewards=[]), "rewards is wrong"),
        (lambda: frugalrl.train("quickstart", rewards=[3]), "The reward 3 is given wrongly"),
        (lambda: frugalrl.train("quickstart", rewards=[(brevity,)]), "Give (function, weight)"),
        (lambda: frugalrl.train("quickstart", rewards=[(brevity, "much")]), "weight: input should be"),
        (lambda: frugalrl.train("quickstart", rewards=["accuracy", "accuracy"]), "is given twice"),
        (lambda: frugalrl.train("quickstart", on_step=3), "on_step is 3"),
        (lambda: frugalrl.train("quickstart", show="yes"), "show is 'yes'"),
        (lambda: frugalrl.train(frugalrl.load_recipe("tiny-base", kind="sft")), "is a recipe for sft()"),
        (lambda: frugalrl.compare("nowhere"), "There is nothing at nowhere"),
        (lambda: frugalrl.report([]), "none is named"),
        (lambda: frugalrl.report("nowhere"), "nowhere is not a run folder"),
        (lambda: frugalrl.evaluate("builtin:tiny", "arithmetic", k=0), "k is 0"),
        (lambda: frugalrl.evaluate("builtin:tiny", []), "names no benchmark"),
        (lambda: frugalrl.evaluate("builtin:tiny", "arithmetik"), "arithmetik"),
        (lambda: frugalrl.score(["text"]), "Row 1 of the data is str 'text'"),
        (lambda: frugalrl.score([{"completion": "1"}]), "row 1 has no gold answer"),
        (lambda: frugalrl.score([], workers=0), "Change workers"),
        (lambda: frugalrl.verify(0.5, "1/2"), "The answer is 0.5"),
        (lambda: frugalrl.verify("0.5", []), "The gold is []"),
    ],
)
def test_a_mistake_is_said_in_one_message_and_makes_nothing(tmp_path, monkeypatch, mistake, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(frugalrl.UserError) as caught:
        mistake()
    assert says in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_two_functions_of_one_name_are_refused():
    with pytest.raises(RecipeError, match="Two rewards are called"):
        given_rewards([lambda completions: [0.0], lambda completions: [1.0]])


def test_a_reward_can_be_a_name_a_function_a_pair_or_a_section():
    class Judge:
        def __call__(self, completions):
            return [1.0 for _ in completions]

    judge = Judge()
    section = {"name": nothing, "weight": 0.25, "conversational": True}
    terms, functions = given_rewards(["format", (brevity, 2), section, judge])
    names = [term.name for term in terms]
    assert names == ["format", function_name(brevity), function_name(nothing), function_name(judge)]
    assert [term.weight for term in terms] == [1.0, 2.0, 0.25, 1.0]
    assert [term.conversational for term in terms] == [False, False, True, False]
    assert functions == dict(zip(names[1:], (brevity, nothing, judge), strict=True))


def test_a_function_is_given_back_to_the_term_of_its_name():
    """What a saved recipe says of it holds."""
    (saved, _), _ = given_rewards([(brevity, 0.5), "accuracy"])
    terms, functions = given_rewards([saved, brevity])
    assert terms == (saved,)
    assert functions == {saved.name: brevity}


# -------------------------------------------------------------------------------------------------- training


def test_a_run_uses_the_functions_and_names_them_in_its_recipe(trained):
    result, seen, lines = trained
    name = function_name(brevity)
    assert [step["step"] for step in seen] == [1, 2]
    assert all(-1.0 <= step[f"reward/{name}"] < 0 for step in seen)
    expected = 1.0 * seen[0]["reward/accuracy"] + 0.5 * seen[0][f"reward/{name}"]
    assert seen[0]["reward/mean"] == pytest.approx(expected, abs=1e-6)
    saved = frugalrl.load_recipe(result.folder / "recipe.yaml")
    assert [(term.name, term.weight) for term in saved.rewards] == [("accuracy", 1.0), (name, 0.5)]
    assert any(line.startswith("Run folder:") for line in lines)


def test_its_metrics_are_those_of_the_log_and_those_that_on_step_saw(trained):
    result, seen, _ = trained
    steps = [line for line in result.metrics if "reward/mean" in line]
    assert [line["step"] for line in steps] == [1, 2]
    for logged, given in zip(steps, seen, strict=True):
        assert {name: value for name, value in given.items() if value == value} == {
            name: logged[name] for name, value in given.items() if value == value
        }


def test_its_result_shows_itself(trained):
    result, _, _ = trained
    assert repr(result).startswith(f"TrainResult(folder: {result.folder}, steps: 2, kept step: ")
    assert "test, base: " in repr(result)
    page = result._repr_html_()
    assert page.startswith("<table>")
    assert page.count("<tr>") == repr(result).count(": ") - repr(result).count("early: ")
    assert result.model == result.folder / "model"
    assert (result.model / "model.safetensors").is_file()
    assert result.summary.steps == 2
    with pytest.raises(AttributeError):
        result.folder = Path()


def test_a_run_is_compared_with_its_base_and_reported(trained, tmp_path):
    result, _, _ = trained
    compared = frugalrl.compare(result.folder, result.folder)
    assert compared.summary == {"test": "inconclusive"}
    assert compared.metrics[0]["difference"] == 0.0
    assert "test: inconclusive, +0.0 points" in repr(compared)
    assert "B is" in compared.text
    written = frugalrl.report(result.folder, tmp_path / "page.html")
    assert (written.page, written.card, written.folder) == (
        tmp_path / "page.html",
        tmp_path / "page.md",
        tmp_path,
    )
    assert written.page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [line["step"] for line in written.metrics if "reward/mean" in line] == [1, 2]


def test_what_a_text_says_is_no_markup(trained):
    result, _, _ = trained
    shown = frugalrl.compare(result.folder, result.folder)
    from dataclasses import replace

    assert "<b>" not in replace(shown, first="<b>base</b>")._repr_html_()


class _StopError(Exception):
    pass


def stop_after(step):
    def on_step(metrics):
        if metrics["step"] == step:
            raise _StopError

    return on_step


def test_a_run_with_functions_resumes_when_they_are_given_again(recipe, trained, tmp_path):
    """The same digits as straight through; without the function, one sentence says what is missing."""
    straight, _, _ = trained

    def local(completions, **columns):
        return brevity(completions)

    local.__qualname__ = "made.<locals>.local"
    with pytest.raises(_StopError) as caught:
        frugalrl.train(recipe, rewards=["accuracy", (local, 0.5)], on_step=stop_after(2), out=tmp_path / "run")
    assert "Raised by on_step." in caught.value.__notes__
    saved = frugalrl.load_recipe(tmp_path / "run" / "recipe.yaml")
    with pytest.raises(RecipeError, match="was given in a script or notebook and cannot be imported"):
        frugalrl.train(saved, out=tmp_path / "run", resume=True)
    with pytest.raises(OutputError, match="has another recipe"):
        frugalrl.train(saved, rewards=["accuracy"], out=tmp_path / "run", resume=True)
    resumed = frugalrl.train(saved, rewards=[*saved.rewards, local], out=tmp_path / "run", resume=True)

    def means(result):
        return [line["reward/mean"] for line in result.metrics if "reward/mean" in line]

    assert means(resumed) == means(straight)
    assert resumed.summary.final == straight.summary.final


def test_an_interrupted_run_ends_with_a_checkpoint_and_without_a_summary(recipe, tmp_path):
    import signal

    before = signal.getsignal(signal.SIGINT)

    def interrupt(metrics):
        signal.raise_signal(signal.SIGINT)

    result = frugalrl.train(recipe, on_step=interrupt, out=tmp_path / "run")
    assert (result.summary, result.model) == (None, None)
    assert "stopped: resume with resume=True" in repr(result)
    assert (tmp_path / "run" / "checkpoints" / "step-000001").is_dir()
    assert signal.getsignal(signal.SIGINT) is before
    finished = frugalrl.train(recipe, out=tmp_path / "run", resume=True)
    assert finished.summary.steps == 2


def test_a_run_outside_of_the_main_thread_leaves_signals_alone(recipe, tmp_path):
    import threading

    results = []
    thread = threading.Thread(target=lambda: results.append(frugalrl.train(recipe, out=tmp_path / "run")))
    thread.start()
    thread.join()
    assert results[0].summary.steps == 2


def test_fine_tuning_gives_a_model_to_train_further(tmp_path):
    rows = [{"prompt": f"Compute {n} + 1.", "completion": f"It is \\boxed{{{n + 1}}}."} for n in range(8)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    values = {
        "name": "fine",
        "phases": [{"source": str(tmp_path / "rows.jsonl")}],
        "training": {"batch_tokens": 128, "pack_tokens": 128, "log_every": 1},
    }
    result = frugalrl.sft(values, out=tmp_path / "run")
    assert result.model == tmp_path / "run" / "model"
    assert result.summary["loss/sft"] == result.metrics[-1]["loss/sft"]
    assert f"model: {result.model}" in repr(result)
    assert "loss/sft" in result._repr_html_()


# --------------------------------------------------------------------------------- evaluation, curation, scores


def test_an_evaluation_is_kept_and_not_drawn_again(tmp_path):
    lines: list[str] = []
    options = {"limit": 2, "k": 2, "max_tokens": 8, "out": tmp_path / "results", "device": "cpu"}
    first = frugalrl.evaluate("builtin:tiny", "arithmetic", **options)
    again = frugalrl.evaluate("builtin:tiny", ["arithmetic"], show=lines.append, **options)
    assert first == again
    assert "4 samples are there already" in lines[0]
    assert first.metrics[0]["benchmark"] == "arithmetic"
    assert (first.metrics[0]["problems"], first.metrics[0]["k"]) == (2, 2)
    assert first.summary["arithmetic"].samples == 2
    assert "2 problems x 2" in repr(first)
    assert "2 problems x 2" in first._repr_html_()
    assert (first.folder / "arithmetic.jsonl").is_file()
    assert [(one["benchmark"], one["sample"]) for one in first.samples] == [("arithmetic", n % 2) for n in range(4)]
    assert {one["verdict"] for one in first.samples} <= {"correct", "incorrect", "unknown"}
    assert frugalrl.compare(first.folder, again.folder).summary == {"arithmetic": "inconclusive"}


def test_a_curation_counts_its_steps(tmp_path):
    rows = [{"id": str(n), "problem": f"How much is {n} times {n + 7} pears?", "answer": str(n)} for n in range(6)]
    rows.append({"id": "broken", "problem": "Compute this thing.", "answer": "\\frac{1}{"})
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    pools = [{"name": "pool", "path": str(tmp_path / "pool.jsonl")}]
    values = {"name": "set", "pools": pools, "steps": [{"step": "gold_parses"}]}
    made = frugalrl.curate(values, out=tmp_path / "set")
    assert made.summary["train"] == 6
    assert made.metrics[0]["dropped"] == {"unparseable_gold": 1}
    assert "gold_parses: 7 -> 6" in repr(made)
    assert made.report.splits["train"] == 6
    again = frugalrl.curate(values, out=tmp_path / "set", resume=True)
    assert (again.report, again.summary) == (None, made.summary)


def test_scores_of_rows_of_a_file_and_of_a_function_agree(tmp_path):
    rows = [
        {"problem": "half", "completion": "\\boxed{0.5}", "gold": "1/2"},
        {"problem": "half", "completion": "\\boxed{2}", "gold": "1/2"},
        {"problem": "odd", "completion": "\\boxed{1}", "gold": "\\frac{1}{"},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    held = frugalrl.score(rows, rewards=["accuracy", brevity])
    written = frugalrl.score(tmp_path / "rows.jsonl", rewards=["accuracy", brevity], out=tmp_path / "scored.jsonl")
    assert [row["verdict"] for row in held.metrics] == ["correct", "incorrect", "unknown"]
    assert [row["accuracy"] for row in held.metrics] == [1.0, 0.0, None]
    assert held.summary == written.summary
    assert held.summary["accuracy"] == 0.5
    assert held.summary["unknown"] == pytest.approx(1 / 3)

    def untimed(result):
        return [{name: value for name, value in row.items() if name != "seconds"} for row in result.metrics]

    assert untimed(held) == untimed(written)
    assert (held.folder, written.folder) == (None, tmp_path)
    assert "accuracy: 0.500" in repr(held)
    assert frugalrl.score([]).summary == {"correct": None, "incorrect": None, "unknown": None, "accuracy": None}


@pytest.mark.parametrize(
    ("answer", "gold", "label"),
    [
        ("0.5", r"\frac{1}{2}", "correct"),
        ("2", "1/2", "incorrect"),
        (r"First 3 * 4 = 12. The answer is \boxed{12}.", "12", "correct"),
        ("7", ["6", "7"], "correct"),
        ("7", r"\frac{1}{", "unknown"),
        ("", "7", "incorrect"),
    ],
)
def test_one_answer_against_a_gold(answer, gold, label):
    assert frugalrl.verify(answer, gold).label == label


def test_how_an_answer_is_read_can_be_said():
    assert frugalrl.verify("0.5", "1/2", without_box="refuse").reason == "no_box"
    two = "It looks like \\boxed{1}. Let me check.\nNo: it is \\boxed{2}."
    assert [frugalrl.verify(two, "1", several_boxes=which).label for which in ("last", "first", "refuse")] == [
        "incorrect",
        "correct",
        "incorrect",
    ]


def test_the_errors_are_one_family():
    assert issubclass(DataError, frugalrl.UserError)
    assert issubclass(RecipeError, frugalrl.UserError)
