"""Reports of runs: the answer, the charts, what is missing, and nothing a model wrote comes alive."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from scipy.stats import binomtest

from frugalrl.config.loading import load_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import DataError, OutputError
from frugalrl.evaluation.ledger import note_look
from frugalrl.reporting import page_assets
from frugalrl.reporting.paper_page import cost_cells, interval, result_cells, selection_replay
from frugalrl.reporting.report import report_paper, report_runs
from frugalrl.reporting.run_card import fenced
from frugalrl.reporting.run_page import best_and_worst

ROOT = Path(__file__).parents[2]
PAPER = json.loads((ROOT / "src/frugalrl/assets/paper/open_rs.json").read_text())
VOID = {"meta", "br", "link", "img", "input", "hr"}
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>```\n</pre>"


class Checked(HTMLParser):
    """Counts elements, and fails where tags do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.seen)


def score(value: float) -> dict[str, float]:
    interval = {"avg_at_k": value, "ci_low": value - 0.05, "ci_high": value + 0.05}
    return {**interval, "k": 4, "n": 50, "pass_at_k": 0.9, "truncated_frac": 0.01, "mean_tokens": 30.0}


def summary(low: float | None = 0.1, high: float | None = 0.3) -> dict[str, object]:
    return {
        "name": "quickstart",
        "model": "builtin:tiny",
        "split": "test",
        "base": score(0.4),
        "final": score(0.6),
        "difference": {"value": 0.2, "ci_low": low, "ci_high": high},
        "solved_now": [{"problem": EVIL, "gold": "3", "before": EVIL, "after": EVIL}],
        "wall_seconds": {"rollout": 30.0, "update": 90.0, "total": 120.0},
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
    }


def step_line(step: int) -> dict[str, object]:
    return {
        "step": step,
        "unix_time": 1.0 * step,
        "reward/mean": 0.1 * step,
        "completion/mean_tokens": 30.0,
        "completion/truncated_frac": 0.0,
        "policy/kl": None if step == 2 else 0.01 * step,
        "policy/entropy": 1.0 / step,
        "group/zero_std_frac": 0.25,
        "time/rollout": 2.0,
        "time/update": 6.0,
    }


def evaluation_line(step: int, split: str) -> dict[str, object]:
    values = {"avg_at_k": 0.5, "ci_low": 0.4, "ci_high": 0.6, "truncated_frac": 0.0, "mean_tokens": 30.0}
    return {"step": step, **{f"{split}/{name}": value for name, value in values.items()}}


def sample_line(step: int) -> dict[str, object]:
    rewards = ((1.5, "correct"), (0.5, "incorrect"), (0.0, "unknown"))
    completions = [
        {
            "text": f"{EVIL} {label}",
            "reward": reward,
            "breakdown": {"accuracy": None},
            "verdict": label,
            "reason": "equal",
        }
        for reward, label in rewards
    ]
    return {"step": step, "prompt": EVIL, "gold": EVIL, "completions": completions}


def write_run(folder: Path, steps: int = 4, ending: dict[str, object] | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text((ROOT / "recipes/quickstart.yaml").read_text())
    lines = [evaluation_line(0, "validation"), evaluation_line(0, "test")]
    lines += [step_line(step) for step in range(1, steps + 1)]
    lines += [evaluation_line(2, "validation"), evaluation_line(steps, "validation"), evaluation_line(steps, "test")]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "samples.jsonl").write_text("".join(json.dumps(sample_line(step)) + "\n" for step in range(1, steps + 1)))
    if ending is not None:
        (folder / "summary.json").write_text(json.dumps(ending))
    return folder


def report(tmp_path: Path, *folders: Path) -> tuple[str, str]:
    out = tmp_path / "out.html"
    card = report_runs(folders, out)
    return without_our_scripts(out.read_text()), card.read_text()


def without_our_scripts(page: str) -> str:
    """A page without packed data and without the scripts that its own policy names by their hashes, which are ours."""
    policy = re.search(r"script-src ([^\"]*)\"", page)
    assert policy is not None
    for script in re.findall(r"<script>(.*?)</script>", page, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[1]
        assert script in page_assets.scripts()
        page = page.replace(f"<script>{script}</script>", "")
    return re.sub(r'<script type="application/json\+gzip" id="samples-[a-z0-9-]+">[A-Za-z0-9+/=]*</script>', "", page)


def test_a_report_is_one_file_that_needs_nothing_else(tmp_path):
    page, _ = report(tmp_path, write_run(tmp_path / "run", ending=summary()))
    parsed = Checked(page)
    assert {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in parsed.seen} == set()
    links = [dict(attributes)["href"] for tag, attributes in parsed.seen if tag == "a"]
    assert links
    assert all(link.startswith("#") and f'id="{link[1:]}"' in page for link in links), "to its own parts"
    attributes = {name for tag, attributes in parsed.seen if tag != "a" for name in attributes}
    assert attributes & {"src", "href", "srcset", "action"} == set()
    assert not any(name.startswith("on") for name in attributes)
    assert re.sub(r'xmlns="http://www.w3.org/2000/svg"', "", page).count("http://") == 0
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_what_a_model_wrote_stays_text(tmp_path):
    page, card = report(tmp_path, write_run(tmp_path / "run", ending=summary()))
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in card


def test_hostile_names_in_recipe_and_summary_stay_text(tmp_path):
    ending = {**summary(), "split": EVIL, "versions": {EVIL: EVIL}, "wall_seconds": {EVIL: 3.0}}
    folder = write_run(tmp_path / "<b>run|", ending=ending)
    text = (folder / "recipe.yaml").read_text().replace("name: quickstart", "name: '<script>x</script>'")
    (folder / "recipe.yaml").write_text(text)
    page, card = report(tmp_path, folder)
    Checked(page)
    outside_fences = re.sub(r"(?s)```yaml.*?```", "", card)
    for written in (page, outside_fences.replace("\\<", "")):
        assert "<script" not in written
        assert "<b>" not in written


@pytest.mark.parametrize(
    ("low", "high", "sentence"),
    [
        (0.1, 0.3, "Better than its base: +20.0 points, 95 % interval +10.0 points to +30.0 points"),
        (-0.3, -0.1, "Worse than its base"),
        (-0.1, 0.3, "Inconclusive: "),
        (None, None, "its interval is undefined"),
    ],
)
def test_the_verdict_is_that_of_the_interval(tmp_path, low, high, sentence):
    page, card = report(tmp_path, write_run(tmp_path / "run", ending=summary(low, high)))
    assert sentence in page
    assert sentence in card


def test_charts_cover_what_was_logged(tmp_path):
    page, _ = report(tmp_path, write_run(tmp_path / "run", ending=summary()))
    titles = re.findall(r"<title>([^<]*)</title><desc>", page)
    expected = ["validation accuracy", "Reward", "Completion length", "Truncated", "KL from the reference", "Entropy"]
    assert titles == [*expected, "Groups without a learning signal"]
    assert "from 50.0 % at 0 to 50.0 % at 4" in page
    assert "75 %" in page
    assert "1m30s" in page


def test_several_runs_lie_over_each_other(tmp_path):
    runs = [write_run(tmp_path / parent / "run", ending=summary()) for parent in ("a", "b", "c")]
    page, card = report(tmp_path, *runs)
    Checked(page)
    for label in ("a/run", "b/run", "c/run"):
        assert f"{label}: from 50.0 % at 0" in page
        assert label in card
    assert page.count('class="legend') == 1
    assert "The gains of 3 finished runs go from +20.0 points" in page


def test_a_run_still_going_is_reported_as_such(tmp_path):
    folder = write_run(tmp_path / "run")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "reward/me')
    page, card = report(tmp_path, folder)
    for text in (page, card):
        assert "There is no summary.json" in text.replace("\\", "")
        assert "1 line of metrics.jsonl could not be read" in text.replace("\\", "")
        assert "4 of 100 steps, not finished" in text


def test_an_empty_log_is_reported_as_such(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("")
    page, _ = report(tmp_path, folder)
    Checked(page)
    for sentence in ("No training step is logged yet", "recipe.yaml is missing", "No samples", "No times"):
        assert sentence in page


@pytest.mark.parametrize("text", ["null", "[]", "{", '{"base": 3, "final": [], "difference": "x", "solved_now": 4}'])
def test_a_broken_summary_breaks_nothing(tmp_path, text):
    folder = write_run(tmp_path / "run")
    (folder / "summary.json").write_text(text)
    Checked(report(tmp_path, folder)[0])


@pytest.mark.parametrize(
    "text", ["3\n", '{"step": 1}\n', '{"step": 1, "completions": [3, {"reward": "x"}, {"reward": 1}]}\n']
)
def test_broken_samples_break_nothing(tmp_path, text):
    folder = write_run(tmp_path / "run", ending=summary())
    (folder / "samples.jsonl").write_text(text)
    Checked(report(tmp_path, folder)[0])


def test_a_run_without_held_out_problems_says_so(tmp_path):
    ending = {**summary(), "base": None, "final": None, "difference": None, "solved_now": []}
    page, _ = report(tmp_path, write_run(tmp_path / "run", ending=ending))
    assert "the recipe has no held-out problems" in page


def test_a_fine_tuning_run_gets_its_loss_and_no_verdict(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.yaml").write_text((ROOT / "recipes/tiny-base.yaml").read_text())
    (folder / "metrics.jsonl").write_text('{"step": 5, "loss/sft": 1.5}\n{"step": 10, "loss/sft": 0.5}\n')
    page, card = report(tmp_path, folder)
    assert "a fine-tuning run is not compared with its base" in page
    assert "from 1.5 at 5 to 0.5 at 10" in page
    assert "grpo" not in card.split("---")[1]


def test_the_page_says_which_model_was_kept_and_why(tmp_path):
    rows = [
        {"name": "base", "step": 0, "score": score(0.4), "difference": None, "p_value": None, "verdict": None},
        {
            "name": "best",
            "step": 2,
            "score": score(0.6),
            "difference": {"value": 0.2, "ci_low": 0.1, "ci_high": 0.3},
            "p_value": 0.012,
            "verdict": "better",
        },
    ]
    ending = {**summary(), "contenders": rows, "choice": ["Step 2 is kept: it is the best."], "ended_early": EVIL}
    page, _ = report(tmp_path, write_run(tmp_path / "run", ending=ending))
    Checked(page)
    assert "Step 2 is kept: it is the best." in page
    assert "better (p = 0.012)" in page
    assert "+20.0 points" in page
    assert "<script>" not in page


@pytest.mark.parametrize(
    ("p_value", "kept_step", "says"),
    [
        (0.001, 4, "Better than its base"),
        (0.2, 4, "The minimum detectable effect of so many problems and samples is 7.0 points"),
        (0.2, 0, "No checkpoint was better than the base, which is kept"),
    ],
)
def test_the_verdict_is_that_of_the_permutation_test_where_there_is_one(tmp_path, p_value, kept_step, says):
    ending = {**summary(), "p_value": p_value, "kept_step": kept_step, "least_effect": 0.07}
    assert says in report(tmp_path, write_run(tmp_path / "run", ending=ending))[0]


def test_what_the_guard_did_and_the_machine_are_shown(tmp_path):
    folder = write_run(tmp_path / "run", ending=summary())
    events = [
        {"step": 3, "action": "rollback", "reason": "policy/kl is 0.9 <b>"},
        {"step": 3, "action": "rolled_back", "to": 1, "lr_factor": 0.5},
    ]
    (folder / "guard.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    environment = {"cpu": "Some Processor", "gpus": [], "hash/data/train": "a" * 64, "version/torch": "2.13.0"}
    (folder / "environment.json").write_text(json.dumps(environment))
    page, _ = report(tmp_path, folder)
    Checked(page)
    assert "policy/kl is 0.9 &lt;b&gt;" in page
    assert "back to step 1, learning rate times 0.5" in page
    assert "Some Processor" in page
    assert "a" * 16 in page
    assert "a" * 17 not in page
    (folder / "environment.json").write_text("[")
    assert "environment.json could not be read." in report(tmp_path, folder)[0]


def test_cost_is_shown_by_phase_where_the_machine_has_a_price(tmp_path):
    folder = write_run(tmp_path / "run", ending=summary())
    assert "No cost is known" in report(tmp_path, folder)[0]
    recipe = (folder / "recipe.yaml").read_text() + "budget: {usd_per_hour: 36.0}\n"
    (folder / "recipe.yaml").write_text(recipe)
    page, _ = report(tmp_path, folder)
    assert "$0.90" in page  # 90 s of update
    assert "$1.20" in page


def test_looking_at_a_test_set_for_two_trained_models_is_said(tmp_path):
    folder = write_run(tmp_path / "run", ending=summary())
    for step in (0, 4):
        note_look(folder, "test", step, (306, 4), "hash", "train")
    assert "A test set measures one model" not in report(tmp_path, folder)[0]
    note_look(folder, "test", 2, (306, 4), "hash", "eval")
    page, card = report(tmp_path, folder)
    assert "run: test was evaluated on 2 trained models of this run, after steps 2, 4." in page
    assert "A test set measures one model" in card


def test_best_and_worst_samples_are_of_other_groups_and_of_the_end():
    best, worst = best_and_worst([sample_line(step) for step in range(1, 41)])
    assert [(one["step"], one["reward"]) for one in best] == [(40, 1.5), (39, 1.5), (38, 1.5)]
    assert [(one["step"], one["reward"]) for one in worst] == [(40, 0.0), (39, 0.0), (38, 0.0)]


def test_a_fence_is_longer_than_any_in_the_text():
    assert fenced("a\n````\nb").startswith("`````\n")


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(DataError, match="is not a run folder"):
        report(tmp_path, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_same_run_twice_is_refused(tmp_path):
    folder = write_run(tmp_path / "run")
    with pytest.raises(OutputError, match="named twice"):
        report(tmp_path, folder, folder)


def test_a_report_replaces_reports_and_nothing_else(tmp_path):
    folder = write_run(tmp_path / "run", ending=summary())
    report(tmp_path, folder)
    report(tmp_path, folder)
    (tmp_path / "notes.md").write_text("mine")
    with pytest.raises(OutputError, match="is not a report"):
        report_runs([folder], tmp_path / "notes.html")
    assert (tmp_path / "notes.md").read_text() == "mine"
    assert not (tmp_path / "notes.html").exists()


def test_both_files_are_written_or_neither(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "run", ending=summary())

    def full_disk(self, *arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        report_runs([folder], tmp_path / "out.html")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_page_needs_the_ending_html(tmp_path):
    with pytest.raises(OutputError, match=r"does not end in \.html"):
        report_runs([write_run(tmp_path / "run")], tmp_path / "out.md")


def test_the_recipe_used_here_is_a_recipe():
    assert load_recipe(ROOT / "recipes/quickstart.yaml", TrainRecipe).training.steps == 100


def test_wilsons_interval_is_the_textbook_one():
    for right, n in ((14, 30), (0, 10), (422, 500), (40, 40)):
        expected = binomtest(right, n).proportion_ci(method="wilson")
        assert interval(right / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_published_numbers_stand_in_the_report_unchanged(tmp_path):
    card = report_paper(tmp_path / "open-rs.html").read_text()
    page = (tmp_path / "open-rs.html").read_text()
    Checked(page)
    for result in PAPER["results"]:
        for value, benchmark in zip(result["percent"], PAPER["benchmarks"], strict=True):
            if value is not None:
                low, high = (f"{100 * bound:.1f}" for bound in interval(value / 100, benchmark["n"]))
                assert f"{value:.1f} [{low}, {high}]" in card
                assert f'{value:.1f}<span class="ci">[{low}, {high}]</span>' in page
    assert "| Open-RS3 (step 50) | 46.7 [30.3, 63.9] | 84.4" in card
    assert "$3,629" in page


def test_the_headline_is_set_against_its_chance(tmp_path):
    card = report_paper(tmp_path / "open-rs.html").read_text()
    assert "AIME24 46.7 % is the largest of 21 released evaluations" in card
    assert "mean is 30.0 and their standard deviation 6.7" in card


def test_averages_of_the_data_file_are_those_of_its_rows():
    for result in PAPER["results"]:
        if result["average"] is not None:
            assert sum(result["percent"]) / 5 == pytest.approx(result["average"], abs=0.07)


def test_tables_have_a_cell_for_every_head():
    heads, rows = result_cells(PAPER)
    assert {len(row) for row in rows} == {len(heads)}
    for table in PAPER["costs"]:
        heads, cells = cost_cells(table)
        assert {len(row) for row in cells} == {len(heads)}


def test_the_selection_rule_is_replayed_on_the_published_numbers():
    first, second, third = selection_replay(PAPER)
    assert first.startswith("Experiment 1: Stopped at step 300: it is worse than step 100")
    assert "Stopped at step 200" in second
    assert "Step 100 is kept" in second
    assert "Stopped at step 250" in third
    assert "Step 150 is kept" in third
    assert "not shown" in third
