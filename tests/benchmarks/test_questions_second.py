"""The second round of questions: fresh seeds, several folders, prompts, an earlier reward, seeds that are needed."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import question_data
import question_power
import question_prompts
import question_runs
import questions
from question_arms import ARMS
from question_first import FIRST
from question_forms import SEEDS, Comparison, Question, Words
from question_rewards import share_that_holds
from question_second import FRESH, IN_ENGLISH, SECOND
from question_verdicts import answers, by_arm
from scipy import stats

from frugalrl.config.loading import load_recipe
from frugalrl.config.schema import CompletionSource, TrainRecipe
from frugalrl.data.sources import completions_of_rows
from frugalrl.evaluation.benchmark_loading import load_benchmark

WORDS = Words("better", "worse", "as well")
ONE = Question("", "predicted", ("hard", "8 x 4"), (Comparison("", "", ("hard",), ("8 x 4",), words=WORDS),))
LARGE = (0.10, 0.12, 0.11, 0.14, 0.10)


def runs_with(differences):
    rows = [{"arm": "8 x 4", "seed": seed, "accuracy": 0.5} for seed in differences]
    return by_arm(rows + [{"arm": "hard", "seed": seed, "accuracy": 0.5 + one} for seed, one in differences.items()])


def test_only_the_seeds_of_a_question_count():
    runs = runs_with(dict(zip((*SEEDS, *FRESH[:5]), (*[-one for one in LARGE], *LARGE), strict=True)))
    fresh = replace(ONE, seeds=FRESH[:5], round=2)
    found = answers({"first": ONE, "again": fresh}, runs)
    assert [found[name][0].verdict for name in ("first", "again")] == ["lower", "higher"]
    assert answers({"again": replace(ONE, seeds=FRESH)}, runs)["again"][0].verdict is None, "10 of 15 are missing"


def test_a_round_does_not_pay_for_the_questions_of_another():
    runs = runs_with(dict(zip(SEEDS, (0.05, 0.12, 0.03, 0.10, 0.04), strict=True)))
    found = answers({"a": ONE, "b": replace(ONE, round=2), "c": replace(ONE, round=2)}, runs)
    assert found["a"][0].adjusted == pytest.approx(found["a"][0].p_value)
    assert found["b"][0].adjusted == pytest.approx(2 * found["b"][0].p_value)


def test_what_was_chosen_by_the_first_seeds_is_asked_of_none_of_them():
    assert not set(FRESH) & set(SEEDS)
    assert set(SECOND["again"].seeds) == set(FRESH)
    assert {one.round for one in SECOND.values()} == {2}
    assert {one.round for one in FIRST.values()} == {1}


def test_a_second_folder_is_read_and_its_runs_are_not_made_again(tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    monkeypatch.setattr(questions, "RECORD", tmp_path / "none.jsonl")
    monkeypatch.setattr(questions, "is_done", lambda job, root: root == there and job.name == "question-growing")
    monkeypatch.setattr(questions, "measured", lambda arm, job, root: {"arm": arm, "seed": job.seed, "in": root})
    found = questions.rows_of([here, there])
    assert {(row["arm"], row["seed"], row["in"]) for row in found} == {("growing", seed, there) for seed in SEEDS}
    assert questions.not_in([there], [("growing", 1), ("hard", 1)]) == [("hard", 1)]
    monkeypatch.setattr(questions, "is_done", lambda job, root: job.name == "question-growing")
    assert {row["in"] for row in questions.rows_of([here, there])} == {here}, "the first that has it"


def test_an_arm_under_a_prompt_is_asked_the_same_problems_under_it(tmp_path):
    path = question_runs.asked_under(IN_ENGLISH, tmp_path)
    asked, plain = load_benchmark(path, None), load_benchmark(question_runs.BENCH, None)
    assert asked.name == plain.name
    assert asked.templates == plain.templates
    assert [(one.id, one.text, one.gold, one.check) for one in asked.problems] == [
        (one.id, one.text, one.gold, one.check) for one in plain.problems
    ]
    assert {one.messages[0]["content"] for one in asked.problems} == {IN_ENGLISH}
    job = questions.job_of("bilingual, prompt", 6, tmp_path)
    assert load_recipe(job.recipe, TrainRecipe, job.settings).data.prompt.system == IN_ENGLISH


def test_the_bilingual_base_is_taught_in_thirds_what_the_prompt_asks(tmp_path, monkeypatch):
    monkeypatch.setattr(question_data, "A_THIRD", 40)
    monkeypatch.setattr(question_data.frugalrl, "sft", lambda recipe, out: None)
    question_data.make_bilingual_base(tmp_path)
    rows = completions_of_rows(CompletionSource(source=str(tmp_path / "bilingual.jsonl")))
    by_prompt = {system: [] for system in (IN_ENGLISH, question_data.IN_CHINESE, None)}
    for row in rows:
        by_prompt[row.prompt[0]["content"] if row.prompt[0]["role"] == "system" else None].append(row.completion)
    chinese = {system: sum("答案" in one or "首先" in one for one in texts) for system, texts in by_prompt.items()}
    assert [len(texts) for texts in by_prompt.values()] == [40, 40, 40]
    assert chinese[IN_ENGLISH] == 0
    assert chinese[question_data.IN_CHINESE] > 30, "but for those that never end"
    assert 0 < chinese[None] < 20
    families = {(row.prompt[0]["content"], "Find" in row.prompt[-1]["content"]) for row in rows if len(row.prompt) > 1}
    assert len(families) == 4, "neither prompt goes with one kind of problem"


@pytest.mark.parametrize("maker", ["$DATA/long", "$DATA/drifted", "$DATA/bilingual"])
def test_a_base_is_made_once_and_again_if_it_was_interrupted(maker, tmp_path, monkeypatch):
    made = []

    def end_with_a_model(recipe, out, **settings):
        made.append(out)
        (out / "model").mkdir(parents=True)

    monkeypatch.setattr(question_data, "EXAMPLES", 10)
    monkeypatch.setattr(question_data, "A_THIRD", 4)
    monkeypatch.setattr(question_data.frugalrl, "sft", end_with_a_model)
    monkeypatch.setattr(question_data.frugalrl, "train", end_with_a_model)
    (tmp_path / maker.removeprefix("$DATA/") / "checkpoints").mkdir(parents=True)
    for _ in range(2):
        question_data.MAKERS[maker](tmp_path)
    assert made == [tmp_path / maker.removeprefix("$DATA/")]


def test_every_base_and_set_that_a_recipe_names_has_a_maker(tmp_path):
    named = {part for arm in ARMS.values() for one in arm.overrides for part in one.split("=")[1:] if "$DATA" in part}
    assert named
    assert all(any(part.startswith(maker) for maker in question_data.MAKERS) for part in named)
    called = []
    makers = dict.fromkeys(question_data.MAKERS, called.append)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions, "MAKERS", makers)
        questions.make_what_is_named([ARMS["drifted, cosine"], ARMS["8 x 4"]], tmp_path)
    assert called == [tmp_path]


def test_the_earlier_process_reward_paid_padding_in_full_and_a_single_sum_nothing():
    honest, padded = "12 * 7 = 84. 84 + 1 = 86. 86 - 6 = 80.", "1 + 1 = 2. 2 + 2 = 4. 3 + 3 = 6. It is 5."
    assert share_that_holds(["", "", ""], [honest, padded, "1 + 1 = 2."], answer=["80"] * 3) == [
        pytest.approx(2 / 3),
        1.0,
        None,
    ]


def test_seeds_needed_are_those_of_the_paired_test():
    differences = dict(zip(SEEDS, (-0.02, 0.02, 0.05, -0.04, 0.01), strict=True))
    runs = by_arm(
        [{"arm": "4 x 8", "seed": seed, "accuracy": 0.5} for seed in SEEDS]
        + [{"arm": "16 x 2", "seed": seed, "accuracy": 0.5 + one} for seed, one in differences.items()]
    )
    (found,) = question_power.spreads(runs, variance=0.0001)
    assert found.of_evaluation == pytest.approx(0.0001**0.5 * 2**0.5)
    size = 0.03 / found.deviation

    def power(seeds):
        critical = stats.t.ppf(0.975, seeds - 1)
        return 1 - stats.nct.cdf(critical, seeds - 1, size * seeds**0.5)

    assert power(found.needed) >= 0.8 > power(found.needed - 1)
    assert found.told > 0.03, "five seeds do not tell the margin"
    table = question_power.spread_table([found])
    assert "| accuracy of 16 x 2 less that of 4 x 8 | 3.5 | 1.4 | 3.0 | 13 |" in table


def test_a_completion_in_another_language_is_counted_once_and_the_table_says_which_prompt_led_to_it():
    texts = ("First 2+3=5.", "首先 2+3=5。\n最后 5-1=4。\n答案是 4。", "The answer is 5.", "答案是 5。")
    results = SimpleNamespace(samples=[SimpleNamespace(text=one) for one in texts])
    assert question_prompts.foreign(results) == 0.5
    rows = [{"base": "tiny base", "system": None, "foreign": 0.12, "accuracy": 0.5}]
    assert "| tiny base | none | 12.0 | 50.0 |" in question_prompts.prompt_table(rows)


def test_two_drivers_do_not_work_in_one_folder(tmp_path):
    with question_runs._alone_in(tmp_path), pytest.raises(SystemExit, match="Another driver works in"):
        question_runs.run_here([], tmp_path, 1)
    question_runs.run_here([], tmp_path, 1)


def test_workers_end_with_a_driver_that_is_killed(tmp_path):
    code = (
        "import sys, time, question_runs; from concurrent.futures import ProcessPoolExecutor; "
        "from multiprocessing import get_context; from os import getpid\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPoolExecutor(1, get_context('spawn'), question_runs._end_with_the_driver)\n"
        "    print(pool.submit(getpid).result(), flush=True)\n"
        "    pool.submit(time.sleep, 60)\n"
        "    time.sleep(60)\n"
    )
    script = tmp_path / "driver.py"
    script.write_text(code, encoding="utf-8")
    benchmarks = Path(question_runs.__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{benchmarks}:{os.environ.get('PYTHONPATH', '')}"}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as driver:
        worker = int(driver.stdout.readline())
        driver.kill()
    until = time.monotonic() + 30
    while is_running(worker):
        assert time.monotonic() < until, "the worker goes on"
        time.sleep(0.1)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
