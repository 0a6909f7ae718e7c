"""The questions in miniature: arms are recipes, and verdicts follow from made-up runs that one can check by eye."""

import json
import math
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import question_runs
import questions
from figure_files import interval_file
from question_arms import ARMS, QUESTIONS
from question_forms import SEEDS, Comparison, Question, Words
from question_measures import UNITS, mean_of_steps, share_beside
from question_runs import END, is_done
from question_tables import forest, question_text, summary_table
from question_verdicts import answers, by_arm, is_answered, values_of, verdict_of
from scipy import stats

from frugalrl.config.loading import dump_recipe, load_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.reporting.bar_figures import Interval
from frugalrl.reporting.run_record import RunRecord
from frugalrl.statistics.intervals import Estimate
from frugalrl.verify.steps.derivation import Derivation

BETTER = Words("four is better", "four is worse", "four does as well")
ASKED = Question(
    title="Is four better than eight?",
    hypothesis="It is not.",
    arms=("8 x 4", "4 x 8"),
    comparisons=(Comparison("four less eight", "4, not 8", ("8 x 4",), ("4 x 8",), words=BETTER),),
    measures=("accuracy", "tokens"),
)
SPREAD = dict(zip(range(1, 11), (0.2, 0.9, 0.3, 0.8, 0.7, 0.50, 0.51, 0.49, 0.5, 0.52), strict=True))
"""Nothing can be told by the first five, and much by the others."""


def rows(arm, accuracies, tokens=40.0):
    return [{"arm": arm, "seed": seed, "accuracy": one, "tokens": tokens} for seed, one in accuracies.items()]


def both(first, second):
    return by_arm([*rows("8 x 4", dict(zip(SEEDS, first, strict=False))), *rows("4 x 8", dict.fromkeys(SEEDS, second))])


# ------------------------------------------------------------------------------------------- what is registered


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_is_a_recipe_that_runs_no_longer_than_the_rest(arm, tmp_path):
    job = questions.job_of(arm, 3, tmp_path)
    recipe = load_recipe(job.recipe, TrainRecipe, job.settings)
    assert recipe.seed == 3
    completions = recipe.training.steps * recipe.rollout.prompts_per_step * recipe.rollout.group_size
    assert completions <= 250 * 32
    assert "$DATA" not in recipe.model.path


def test_arms_of_a_question_differ_and_every_comparison_is_between_them():
    for question in QUESTIONS.values():
        assert len({ARMS[arm] for arm in question.arms}) == len(question.arms)
        for one in question.comparisons:
            assert {*one.arms, *one.against} <= set(question.arms)
            assert one.measure in UNITS
            assert len(one.label) <= 20
        assert any(one.primary for one in question.comparisons)
        assert "redicted" in question.hypothesis


def test_what_a_verdict_needs_runs_first_and_a_shared_arm_once():
    planned = questions.plan(QUESTIONS)
    assert len(planned) == len(set(planned))
    assert {arm for arm, _ in planned} == set(ARMS)
    assert planned[:4] == [("16 x 2", 1), ("4 x 8", 1), ("16 x 2", 2), ("4 x 8", 2)]
    assert planned.index(("process 1", 5)) < planned.index(("2 x 16", 1))


def test_folders_of_arms_are_told_apart(tmp_path):
    assert len({questions.job_of(arm, 1, tmp_path).folder(tmp_path) for arm in ARMS}) == len(ARMS)


# ------------------------------------------------------------------------------------------- verdicts


def test_values_are_paired_by_seed_and_a_seed_that_one_side_lacks_does_not_count():
    runs = by_arm([*rows("8 x 4", {1: 0.5, 2: 0.6, 3: 0.7}), *rows("4 x 8", {2: 0.5, 3: 0.4, 4: 0.9})])
    assert values_of(ASKED.comparisons[0], runs, SEEDS) == pytest.approx({2: 0.1, 3: 0.3})


def test_several_arms_count_by_their_mean():
    one = Comparison("", "", ("8 x 4", "16 x 2"), ("4 x 8",))
    runs = by_arm([*rows("8 x 4", {1: 0.2}), *rows("16 x 2", {1: 0.6}), *rows("4 x 8", {1: 0.1})])
    assert values_of(one, runs, SEEDS) == pytest.approx({1: 0.3})


def test_a_large_effect_is_told_and_its_p_value_is_that_of_scipy():
    first = [0.70, 0.72, 0.71, 0.74, 0.70]
    (found,) = answers({"a": ASKED}, both(first, 0.5))["a"]
    assert found.p_value == pytest.approx(stats.ttest_rel(first, [0.5] * 5).pvalue)
    assert found.adjusted == pytest.approx(found.p_value)
    assert found.verdict == "higher"


def test_the_same_effect_is_no_finding_among_many_questions():
    first = [0.50, 0.62, 0.49, 0.60, 0.61]
    alone = answers({"a": ASKED}, both(first, 0.5))["a"][0]
    assert alone.verdict == "inconclusive"
    clear = [0.55, 0.62, 0.53, 0.60, 0.54]
    assert answers({"a": ASKED}, both(clear, 0.5))["a"][0].verdict == "higher"
    among = answers({str(number): ASKED for number in range(8)}, both(clear, 0.5))["0"][0]
    assert among.adjusted == pytest.approx(8 * among.p_value)
    assert among.verdict == "inconclusive"


def test_an_unfinished_question_has_no_verdict_and_is_not_counted_in_the_correction():
    unfinished = Question("", "", ("2 x 16", "4 x 8"), (Comparison("", "", ("2 x 16",), ("4 x 8",), words=BETTER),))
    found = answers({"a": ASKED, "b": unfinished}, both([0.55, 0.62, 0.53, 0.60, 0.54], 0.5))
    assert found["a"][0].adjusted == pytest.approx(found["a"][0].p_value)
    assert found["b"][0].verdict is None
    assert not is_answered(found["b"])
    few = answers({"a": ASKED}, both([0.6, 0.7], 0.5))["a"]
    assert few[0].verdict is None
    assert math.isnan(few[0].adjusted)


@pytest.mark.parametrize(
    ("low", "high", "adjusted", "said"),
    [
        (-0.01, 0.02, 0.9, "no difference"),
        (-0.01, 0.04, 0.9, "inconclusive"),
        (0.001, 0.02, 0.01, "higher"),
        (-0.04, -0.01, 0.01, "lower"),
        (math.nan, math.nan, math.nan, "inconclusive"),
    ],
)
def test_the_rule(low, high, adjusted, said):
    assert verdict_of(Estimate((low + high) / 2, low, high), adjusted, 0.03) == said


def test_seeds_that_all_agree_have_no_interval_and_decide_nothing():
    assert answers({"a": ASKED}, both([0.5] * 5, 0.5))["a"][0].verdict == "inconclusive"


# ------------------------------------------------------------------------------------------- tables, figures, records


def test_the_tables_say_what_came_out_and_what_is_missing():
    runs = both([0.70, 0.72, 0.71, 0.74, 0.70], 0.5)
    found = answers({"a": ASKED}, runs)
    summary = summary_table({"a": ASKED}, found)
    assert "| Is four better than eight? | four is better | four less eight | +21.4 [+19.3, +23.5] |" in summary
    assert "| 5 of 5 | mini/short |" in summary
    text = question_text(ASKED, found["a"], runs)
    assert "| 8 x 4 | 70.0, 72.0, 71.0, 74.0, 70.0 | 71.4 | 40.00 |" in text
    assert "Not answered" not in text
    partial = both([0.7, 0.7], 0.5)
    assert "**Not answered**: seeds finished of 5 an arm: 8 x 4: 2, 4 x 8: 5." in question_text(
        ASKED, answers({"a": ASKED}, partial)["a"], partial
    )
    assert "| not answered | four less eight | - | - | 0 of 5 |" in summary_table(
        {"a": ASKED}, answers({"a": ASKED}, by_arm([]))
    )


def test_a_difference_that_is_shown_and_too_small_to_matter_is_both():
    runs = both([0.51, 0.511, 0.512, 0.511, 0.51], 0.5)
    found = answers({"a": ASKED}, runs)
    assert "| four is better, by less than matters |" in summary_table({"a": ASKED}, found)
    assert "| higher, by less than 3.0 |" in question_text(ASKED, found["a"], runs)


def test_a_comparison_made_again_stands_once_in_the_summary_and_what_is_decided_comes_first():
    again = replace(ASKED, title="The same on fresh seeds", seeds=(6, 7, 8, 9, 10), round=2)
    other = replace(
        ASKED,
        title="Is it so here?",
        comparisons=(replace(ASKED.comparisons[0], says="here: four less eight"),),
        round=3,
    )
    open_first = {"other": other, "a": ASKED, "again": again}
    runs = both([0.70, 0.30, 0.71, 0.34, 0.70], 0.5)
    before = [line.split(" | ") for line in summary_table(open_first, answers(open_first, runs)).splitlines()[2:]]
    assert [line[2:3] + line[5:6] for line in before] == [
        ["here: four less eight", "5 of 5"],
        ["four less eight", "5 of 5"],
    ]
    fresh = by_arm([*rows("8 x 4", dict.fromkeys(range(1, 11), 0.7)), *rows("4 x 8", SPREAD)])
    after = [line.split(" | ") for line in summary_table(open_first, answers(open_first, fresh)).splitlines()[2:]]
    assert [line[1] for line in after] == ["four is better", "inconclusive"]
    assert after[0][0] == "| Is four better than eight?", "under the question that it was made for"


def test_a_figure_has_a_line_for_each_difference_and_none_without_intervals():
    found = answers({"a": ASKED}, both([0.70, 0.72, 0.71, 0.74, 0.70], 0.5))["a"]
    figure = forest(ASKED, found)
    assert figure is not None
    assert "4, not 8" in "".join(ElementTree.fromstring(figure).itertext())
    assert "var(" not in figure
    assert forest(ASKED, answers({"a": ASKED}, by_arm([]))["a"]) is None
    root = ElementTree.fromstring(interval_file("Two", [Interval("a", 0.1, 0.0, 0.2), Interval("b", 0.0, -0.1, 0.1)]))
    assert len([one for one in root.iter() if one.tag.endswith("circle")]) == 2


def test_a_page_shows_a_figure_only_where_there_is_one():
    given = [
        *rows("16 x 2", dict(zip(SEEDS, (0.7, 0.72, 0.71, 0.74, 0.7), strict=True))),
        *rows("4 x 8", dict.fromkeys(SEEDS, 0.5)),
    ]
    texts, figures = questions.tables([dict.fromkeys(UNITS, 0.5) | one for one in given])
    assert list(figures) == ["question-group-size.svg"]
    assert "](figures/question-group-size.svg)" in texts["group-size"]
    assert "figures/" not in texts["data"]
    assert "| 2 samples a problem beat 8 |" in texts["questions"]


def test_the_record_keeps_the_lines_of_runs_that_are_elsewhere(tmp_path, monkeypatch):
    kept = tmp_path / "questions.jsonl"
    kept.write_text(json.dumps({"arm": "8 x 4", "seed": 2, "accuracy": 0.5}) + "\n")
    monkeypatch.setattr(questions, "RECORD", kept)
    assert questions.rows_of([tmp_path / "runs"]) == [{"arm": "8 x 4", "seed": 2, "accuracy": 0.5}]


def test_a_run_is_done_when_its_last_model_was_evaluated(tmp_path):
    job = questions.job_of("4 x 8", 1, tmp_path)
    folder = job.folder(tmp_path)
    (folder / END).mkdir(parents=True)
    (folder / "summary.json").write_text("{}")
    (folder / END / "arithmetic.jsonl").write_text("")
    assert not is_done(job, tmp_path), "no recipe"
    (folder / "recipe.yaml").write_text(dump_recipe(load_recipe(job.recipe, TrainRecipe, job.settings)))
    assert is_done(job, tmp_path)
    (folder / END / "arithmetic.jsonl").unlink()
    assert not is_done(job, tmp_path)


def test_a_mean_is_over_the_steps_that_have_the_metric_and_late_is_the_last_tenth():
    steps = [(step, {"metric": float(step) if step != 20 else None}) for step in range(1, 21)]
    run = RunRecord("run", "", {}, steps, [], [], {}, [], {}, [], [])
    assert mean_of_steps(run, "metric") == pytest.approx(10.0)
    assert mean_of_steps(run, "metric", late=True) == 19.0
    assert math.isnan(mean_of_steps(run, "absent"))


def test_true_sums_that_lead_nowhere_are_beside_the_point():
    straight = Derivation(stated=3, carried=3, wrong=0, given=3, given_used=3)
    padded = Derivation(stated=7, carried=3, wrong=1, given=3, given_used=3)
    assert share_beside([straight]) == 0.0
    assert share_beside([padded]) == pytest.approx(3 / 6)
    assert share_beside([straight, padded]) == pytest.approx(3 / 9)
    assert share_beside([]) == 0.0


def test_a_run_whose_evaluation_failed_starts_anew_and_leaves_only_what_is_measured(tmp_path, monkeypatch):
    job, asked = questions.job_of("16 x 2", 1, tmp_path), []

    def train(recipe, out, ignore_doctor):
        assert not out.exists(), "nothing of an earlier try"
        assert ignore_doctor
        (out / "checkpoints").mkdir(parents=True)
        (out / "model").mkdir()
        (out / "recipe.yaml").write_text(dump_recipe(recipe))
        (out / "summary.json").write_text("{}")

    def evaluate(model, bench, *, out, **settings):
        asked.append((bench, settings))
        out.mkdir()
        if len(asked) == 1:
            raise RuntimeError("stopped half-way")
        for one in bench:
            (out / f"{one}.jsonl").write_text("")

    monkeypatch.setattr(question_runs.frugalrl, "train", train)
    monkeypatch.setattr(question_runs.frugalrl, "evaluate", evaluate)
    with pytest.raises(RuntimeError):
        question_runs._make(job, tmp_path)
    assert not is_done(job, tmp_path)
    assert question_runs._make(job, tmp_path) == job.folder(tmp_path).name
    assert is_done(job, tmp_path)
    assert not (job.folder(tmp_path) / "checkpoints").exists()
    assert asked[1] == (
        ("arithmetic",),
        {"k": 1, "temperature": 0.6, "max_tokens": 256, "max_sequences": 64, "seed": 0},
    )


def test_no_arm_trains_with_more_tokens_than_it_is_evaluated_with(tmp_path):
    for arm in ARMS:
        job = questions.job_of(arm, 1, tmp_path)
        recipe = load_recipe(job.recipe, TrainRecipe, job.settings)
        schedule = recipe.length_schedule
        most = schedule.most_tokens if schedule and schedule.most_tokens else recipe.rollout.max_completion_tokens
        assert max(most, 192 if schedule else 0) <= question_runs.CAP
