"""The doctor finds what was broken on purpose, is silent on what is shipped, and `train` heeds it."""

import json
import re

import pytest
from broken_recipes import BROKEN, Broken
from broken_recipes import SMALL as ENOUGH

from frugalrl import api
from frugalrl.cli import main
from frugalrl.config.loading import shipped_recipes
from frugalrl.planning.doctor import data_checks
from frugalrl.planning.doctor.finding import Finding, worst
from frugalrl.verify.golds import check_golds

SHIPPED = sorted(name for name in shipped_recipes() if not name.startswith(("curate/", "tiny-base")))

GREEN = Finding("", "green", "")
SMALL = {"data.train.limit": 100, "data.validation.limit": 40, "data.test.limit": 40}
"""The doctor reads, checks and tokenizes all rows: with a quarter of the benchmark's it needs a third of the time."""


@pytest.fixture(scope="module", autouse=True)
def _golds_are_checked_once():
    """Most recipes here have the same rows: the same golds under the same verifier have the same checks."""
    known = {}

    def remembered(golds, pool):
        key = tuple(golds), repr((pool.limits, pool.policy))
        if key not in known:
            known[key] = check_golds(golds, pool)
        return known[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(data_checks, "check_golds", remembered)
        yield


@pytest.fixture(autouse=True)
def _no_benchmarks(monkeypatch, tmp_path):
    """Overlap with benchmarks has its own test: reading them takes longer than all else."""
    monkeypatch.setenv("FRUGALRL_DATA", str(tmp_path / "absent"))


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_what_is_broken_is_red_and_says_what_to_change(broken: Broken, tmp_path, monkeypatch):
    for name, value in (broken.environment or {}).items():
        monkeypatch.setenv(name, value)
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    recipe = api.load_recipe("quickstart", {**SMALL, **broken.changes(tmp_path)})
    is_cheap = broken.is_cheap or broken.finding.startswith("rewards/")  # which needs no samples
    findings = {one.name: one for one in api.doctor(recipe, cheap=is_cheap).findings}
    assert broken.finding in findings, sorted(findings)
    assert findings[broken.finding].level == "red", findings[broken.finding]
    assert len(findings[broken.finding].fix) > 10
    if is_cheap and (sets := sets_of(findings[broken.finding].fix)):
        after = {one.name: one for one in api.doctor(api.change(recipe, sets), cheap=True).findings}
        at_most = ("green", "yellow") if broken.finding == "plan/budget.tokens" else ("green",)  # inside its interval
        assert after.get(broken.finding, GREEN).level in at_most, (sets, after[broken.finding])
        assert [name for name, one in after.items() if one.level == "red" and name not in findings] == []


def sets_of(fix: str) -> list[str]:
    """The changes of the first remedy that a fix names, as after `--set`; none if one is for the user to fill in."""
    first = re.split(r",? or |; ", fix)[0]
    sets = [one.strip("'").rstrip(",") for one in re.findall(r"--set ('[^']*'|\S+)", first)]
    return [] if any(re.search(r"=[A-Z ]{4,}|=N$", one) for one in sets) else sets


def test_quickstart_is_green_in_every_check_within_twenty_seconds():
    found = api.doctor("quickstart")
    assert [one for one in found.findings if one.level != "green"] == []
    assert len(found.findings) > 35
    assert found.seconds < 20 * 3, "20 s on an idle machine; tests run side by side"


@pytest.mark.parametrize("name", [name for name in SHIPPED if name.startswith("mini/")])
def test_the_miniatures_are_green(name):
    recipe = api.load_recipe(name, ENOUGH if name != "mini/collapse" else {"data.train.limit": 400})
    found = api.doctor(recipe, cheap=name not in ("mini/collapse", "mini/open-rs3-language"))
    assert [one for one in found.findings if one.level != "green"] == []


@pytest.mark.parametrize("name", ["open-rs1", "open-rs2", "open-rs3", "frugal"])
def test_the_papers_recipes_are_green_where_their_model_and_data_are_at_hand(name, tmp_path):
    """On the tiny model and arithmetic: what belongs to their own model (size, rate, type) is put aside."""
    rows = [{"problem": f"Compute ${a} + {b}$.", "answer": str(a + b)} for a in range(40) for b in range(20)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes = {
        "model": {"path": "builtin:tiny"},
        "data.train.source": str(file),
        "data.validation": {"source": "arithmetic", "split": "validation", "limit": 128},
        "optimizer.learning_rate": 4e-4,
    }
    found = api.doctor(api.load_recipe(name, changes), cheap=True)
    assert [one for one in found.findings if one.level != "green"] == []


def test_train_refuses_what_is_red_leaves_nothing_behind_and_can_be_told_otherwise(tmp_path, capsys):
    out = tmp_path / "run"
    wrong = ["--set", "rewards.0.weight=-1.0", "--set", "training.steps=1", "--set", "evaluation.samples_per_problem=1"]
    small = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value // 4}")]
    assert main(["train", "quickstart", *wrong, *small, "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert "rewards/right_answer" in said.out
    assert "--ignore-doctor" in said.err
    assert not out.exists()
    assert main(["train", "quickstart", *wrong, *small, "--out", str(out), "--ignore-doctor"]) in (0, 3)
    assert (out / "summary.json").is_file()


def test_the_command_prints_json_and_exits_with_two_on_red(capsys):
    small = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    code = main(["doctor", "quickstart", "--cheap", "--json", "--set", "optimizer.learning_rate=1e-9", *small])
    found = json.loads(capsys.readouterr().out)
    assert code == 2
    assert found["level"] == "red"
    (red,) = [one for one in found["findings"] if one["level"] == "red"]
    assert red["name"] == "optimisation/learning_rate"
    assert red["fix"] == "--set optimizer.learning_rate=0.0004"


def test_a_recipe_that_cannot_be_read_is_a_red_finding_in_json(capsys):
    assert main(["doctor", "quickstart", "--json", "--set", "rollout.tempature=1"]) == 2
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert "temperature" in finding["message"]
    assert worst([]) == "green"
