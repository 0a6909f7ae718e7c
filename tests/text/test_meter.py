"""The meter on texts made by hand, on real solutions, and as a command."""

import argparse
import itertools
import math
import random
import time

import pytest

from frugalrl.commands import meter as command
from frugalrl.config.schema import RewardTerm
from frugalrl.errors import DataError
from frugalrl.rewards.process import checks_of
from frugalrl.rewards.reasoning_steps import reasoning_steps_reward
from frugalrl.rewards.rubric import build_rubric, score_group
from frugalrl.tasks.arithmetic import generate
from frugalrl.tasks.strategies import STRATEGY_MIX, draw_strategy, write_completion
from frugalrl.text.language import language_fraction
from frugalrl.text.language_id import load_identifier
from frugalrl.text.meter import clean_reward, meter_metrics, meter_text
from tests.conftest import write_jsonl
from tests.rewards.reward_builders import data_rows, group_of

PLAIN = "We add the two numbers, and the sum of them is equal to four."
SOLUTIONS = {
    "MATH": ("bench/math500.jsonl", 1),
    "GSM8K": ("bench/gsm8k_test.jsonl", 1),
    "OlympiadBench": ("bench/olympiadbench.jsonl", 1),
    "MATH train": ("pool/math_train_7500.jsonl.gz", 5),
    "GSM8K train": ("pool/gsm8k_train_7473.jsonl.gz", 5),
}


def alarms(text, **options):
    return meter_text(text, load_identifier(), **options).alarms


def test_a_plain_solution_raises_no_alarm_and_earns_the_reward():
    report = meter_text(PLAIN, load_identifier())
    assert report.alarms == ()
    assert clean_reward(report) == 1.0
    assert report.target_language_fraction == 1.0
    assert report.script_fractions == {"latin": 1.0}


@pytest.mark.parametrize(
    ("text", "options", "alarm"),
    [
        (PLAIN + " 所以答案是五。", {}, "foreign_language"),
        (
            " ".join(f"We add {n} to it, and so the sum grows." for n in range(30)) + " wait, let me check" * 120,
            {},
            "repetition",
        ),
        ("哈" * 200, {"target_language": "zh"}, "repetition"),
        (PLAIN + "\ufffd\ufffd", {}, "unprintable"),
        (PLAIN + "\u202e\x00", {}, "unprintable"),
        (PLAIN, {"reasoning_open": True}, "unclosed_reasoning"),
        ("<think>" + PLAIN, {}, "unclosed_reasoning"),
        (PLAIN, {"truncated": True}, "truncated"),
    ],
)
def test_each_fault_raises_its_own_alarm_alone(text, options, alarm):
    assert alarms(text, **options) == (alarm,)
    assert clean_reward(meter_text(text, load_identifier(), **options)) == 0.0


def test_a_loop_that_began_late_is_seen_in_the_tail():
    fresh = " ".join(f"In case {n} the value {n * n} is not equal to {n + 7}." for n in range(400))
    assert alarms(fresh) == ()
    assert alarms(fresh + " so the answer is, so the answer is" * 60) == ("repetition",)


def test_a_text_without_prose_is_not_judged():
    report = meter_text("$1 + 1 = 2$", load_identifier())
    assert report.judged_sentences == 0
    assert math.isnan(report.target_language_fraction)


def test_metrics_are_means_over_completions_and_shares_over_sentences():
    texts = [PLAIN, PLAIN + " 所以答案是五。"]
    metrics = meter_metrics([meter_text(text, load_identifier()) for text in texts])
    assert metrics["meter/target_language_frac"] == pytest.approx(2 / 3)
    assert metrics["meter/foreign_completion_frac"] == 0.5
    assert metrics["meter/truncated_frac"] == 0.0
    assert math.isnan(meter_metrics([])["meter/alarm_frac"])


def test_language_and_clean_are_rewards():
    rubric = build_rubric([RewardTerm(name="language"), RewardTerm(name="clean")], 100)
    first, second = score_group(rubric, group_of([PLAIN, PLAIN + " 所以答案是五。"])).completions
    assert first.breakdown == {"language": 1.0, "clean": 1.0}
    assert second.breakdown == {"language": 0.5, "clean": 0.0}
    [cut] = score_group(rubric, group_of([PLAIN], truncated=True)).completions
    assert cut.breakdown["clean"] == 0.0


@pytest.mark.parametrize("name", SOLUTIONS)
def test_no_false_alarm_on_written_solutions(name, shared_data):
    file, every = SOLUTIONS[name]
    solutions = [row["solution"] for row in data_rows(shared_data, file)[::every]]
    identify = load_identifier()
    ringing = [text for text in solutions if meter_text(text, identify).alarms]
    assert len(ringing) <= 0.005 * len(solutions), ringing[:3]


def test_a_completion_takes_microseconds():
    identify = load_identifier()
    text = PLAIN * 15  # some 900 characters, as a solution of MATH
    meter_text(text, identify)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        meter_text(text, identify)
        times.append(time.perf_counter() - start)
    assert min(times) < 1e-3


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "\\[",
            "\\(",
            "$",
            "$$",
            "[asy]",
            "```",
            "`",
            "<<",
            "\\begin{a}[",
            "\\text{",
            "a",
            "a ",
            "$a",
            "\n",
            " ",
            "\\",
        ),
        *("<", ". ", "中", "哈哈 ", "\u202e", "\ud800", "- ", "1.\n", "\n ", "=1+", "<think>", "</think>"),
    ],
)
def test_a_hostile_text_costs_linear_time(piece):
    """A hundred thousand characters; quadratic patterns would take minutes."""
    text = piece * (100_000 // len(piece))
    start = time.process_time()
    meter_text(text, load_identifier())
    reasoning_steps_reward(text, False)
    checks_of(text)
    for closing in ("$", "\\]", "}"):
        meter_text("$" + text + closing, load_identifier())
    assert time.process_time() - start < 5.0


def test_the_tiny_reasoners_traces_are_told_apart():
    """Its completions are two short lines; the reward must not be silent on either language."""
    rng = random.Random(0)
    for problem in itertools.islice(generate(0, "test"), 40):
        strategy = draw_strategy(rng, problem, STRATEGY_MIX)
        english, chinese = (write_completion(rng, problem, strategy, language) for language in ("en", "zh"))
        assert language_fraction(english, load_identifier()) == 1.0
        assert language_fraction(chinese, load_identifier()) == 0.0


# ---------------------------------------------------------------------------------------------- the command


def run_command(*arguments):
    parser = argparse.ArgumentParser()
    command.register(parser.add_subparsers())
    chosen = parser.parse_args(["meter", *map(str, arguments)])
    return chosen.func(chosen)


def test_the_command_prints_metrics_scripts_and_alarms(tmp_path, capsys):
    rows = [
        {"completion": PLAIN},
        {"prediction": PLAIN + " 所以答案是五。"},
        {"completion": [{"role": "assistant", "content": PLAIN}], "finish_reason": "length"},
        {"completion": PLAIN, "prompt": "Q<think>\n"},
    ]
    assert run_command(write_jsonl(tmp_path / "rows.jsonl", rows)) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("4 completions")
    assert "meter/foreign_completion_frac    0.2500" in printed
    assert "foreign_language 1" in printed
    assert "row 3: truncated" in printed
    assert "row 4: unclosed_reasoning" in printed
    assert "latin 9" in printed


@pytest.mark.parametrize(
    ("row", "arguments", "message"),
    [({"text": "x"}, [], "--field"), ({"completion": 3}, [], "line 1"), ({"completion": "x"}, ["--field", "y"], "'y'")],
)
def test_a_row_without_a_completion_is_named(tmp_path, row, arguments, message):
    with pytest.raises(DataError, match=message):
        run_command(write_jsonl(tmp_path / "rows.jsonl", [row]), *arguments)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no data file"):
        run_command(tmp_path / "nowhere.jsonl")


def test_a_language_that_is_no_code_is_refused_at_once(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_command(tmp_path / "rows.jsonl", "--target-language", "English")
    assert stopped.value.code == 2
    assert "ISO 639-1" in capsys.readouterr().err
