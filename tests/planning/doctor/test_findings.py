"""Single checks on values whose answer can be seen by eye."""

from types import SimpleNamespace

import pytest
import torch

from frugalrl import api
from frugalrl.config.algorithm_schema import LossSettings
from frugalrl.config.optimizer_schema import OptimizerSettings
from frugalrl.planning.doctor import environment_checks as environment
from frugalrl.planning.doctor import optimisation_checks as optimisation
from frugalrl.planning.doctor import plan_checks
from frugalrl.planning.doctor import sampling_checks as sampling
from frugalrl.planning.doctor.data_checks import overlap_finding
from frugalrl.planning.doctor.finding import Finding
from frugalrl.planning.doctor.learning_rates import adamw_range, adapter_range
from frugalrl.planning.doctor.statistics_checks import statistics_findings
from frugalrl.planning.forecast.cards import card_named
from frugalrl.planning.forecast.plan import place_of, plan_run
from frugalrl.planning.forecast.shape import KNOWN
from frugalrl.types import Completion, Problem, Prompt, ScoredCompletion, ScoredGroup, Verdict


def completion(text="\\boxed{1}", tokens=10, verdict="incorrect", reward=0.0, extracted=None, cut=False):
    one = Completion(text, (5,) * tokens, (-0.1,) * tokens, "length" if cut else "stop", (0,) * tokens, 1)
    return ScoredCompletion(one, reward, {"accuracy": reward}, Verdict(verdict, extracted, "different"))


def group(completions, gold="12"):
    return ScoredGroup(Prompt(Problem("p", "?", gold), "?", (1,)), tuple(completions))


PAPER = KNOWN["deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"]
SETTINGS = sampling.SampleSettings(4, 100, 1.0, 4000, None)


def test_only_green_needs_no_fix():
    assert Finding("a/b", "green", "as it should be").fix == ""
    with pytest.raises(ValueError, match="no fix"):
        Finding("a/b", "red", "broken")


@pytest.mark.parametrize(("cut", "level"), [(2, "green"), (4, "yellow"), (8, "red")])
def test_truncation_by_its_share(cut, level):
    scored = [completion(tokens=100, cut=True)] * cut + [completion(tokens=50)] * (10 - cut)
    assert sampling.truncation(scored, SETTINGS).level == level


def test_the_cap_that_is_advised_fits_the_context():
    scored = [completion(tokens=100, cut=True)] * 10
    narrow = sampling.SampleSettings(4, 100, 1.0, 128, None)
    assert "rollout.max_completion_tokens=128" in sampling.truncation(scored, narrow).fix


def test_a_cap_that_was_tried_is_advised_with_what_was_seen():
    scored = [completion(tokens=100, cut=True)] * 10
    tried = (sampling.LongerCap(200, 9, 16), sampling.LongerCap(400, 1, 16))
    does = sampling.SampleSettings(4, 100, 1.0, 4000, None, tried)
    assert sampling.truncation(scored, does).fix.startswith("--set rollout.max_completion_tokens=400 (1 of 16")
    not_yet = sampling.SampleSettings(4, 100, 1.0, 4000, None, tried[:1])
    assert "max_completion_tokens=448, and try again (at 200 still 9 of 16" in sampling.truncation(scored, not_yet).fix


def test_groups_without_signal_are_told_apart_by_why():
    hard = [group([completion()] * 4) for _ in range(10)]
    easy = [group([completion(verdict="correct", reward=1.0)] * 4) for _ in range(10)]
    assert "easier problems" in sampling.signal(hard, SETTINGS).fix
    assert "skip_solved" in sampling.signal(easy, SETTINGS).fix
    assert sampling.signal(hard, SETTINGS).level == sampling.signal(easy, SETTINGS).level == "red"
    mixed = [group([completion(), completion(verdict="correct", reward=1.0)] * 2) for _ in range(5)]
    assert sampling.signal([*hard[:5], *mixed], SETTINGS).level == "green"


def test_a_larger_group_is_more_often_useful_and_the_shares_are_those_of_the_beta_binomial():
    """One right of two with the prior of a quarter: Beta(1.25, 1.25); two alike have 2 x 1.25 x 2.25 / (2.5 x 3.5)."""
    assert sampling.useful_share([[True, False]], 2) == pytest.approx(1 - 2 * 1.25 * 2.25 / (2.5 * 3.5))
    shares = [sampling.useful_share([[True, False, False, False]], size) for size in (2, 4, 8, 16)]
    assert shares == sorted(shares)


def test_answers_that_a_laxer_reading_finds_right_are_shown():
    wrong = [completion(extracted="12 \\text{ apples}") for _ in range(5)]
    found = sampling.misread([group([*wrong, completion(extracted="13")])], SETTINGS)
    assert found.level == "red"
    assert "apples" in found.message
    assert sampling.misread(
        [group([completion(extracted=answer) for answer in ("1/2", "12^2", "-12", "")])], SETTINGS
    ).level == ("green")


def trial(**changes):
    values = {
        "updated": {"policy/rollout_logprob_gap": 1e-6},
        "moved_nats": 0.03,
        "gradients": {"mlp": (0.1, 0), "norm": (0.2, 0)},
        "changed_share": 1.0,
        "changed_in_dtype": 1.0,
        "made_up": False,
    }
    return optimisation.TrialStep(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"updated": {"policy/rollout_logprob_gap": 0.5}}, "optimisation/engine"),
        ({"updated": {"policy/rollout_logprob_gap": float("nan")}}, "optimisation/engine"),
        ({"gradients": {"mlp": (0.1, 3)}}, "optimisation/gradient"),
        ({"gradients": {"mlp": (0.0, 0), "norm": (0.2, 0)}}, "optimisation/gradient"),
        ({"changed_share": 0.1}, "optimisation/update_size"),
        ({"moved_nats": 2.0}, "optimisation/distance"),
        ({"moved_nats": float("nan")}, "optimisation/distance"),
        ({"moved_nats": 0.0}, "optimisation/distance"),
    ],
)
def test_what_an_update_may_show(changes, name):
    rate = SimpleNamespace(learning_rate=4e-4)
    assert {one.level for one in optimisation.trial_findings(trial(), rate, "float32")} == {"green"}
    reds = [one.name for one in optimisation.trial_findings(trial(**changes), rate, "float32") if one.level == "red"]
    assert reds == [name]


def test_known_rates_are_in_range_and_the_line_between_them_falls():
    assert adamw_range(846_000).worked == pytest.approx(4e-4, rel=0.01)
    assert adamw_range(1_777_000_000).worked == pytest.approx(1e-6, rel=0.01)
    assert adamw_range(7_000_000_000).worked == pytest.approx(1e-6)
    worked = [adamw_range(size).worked for size in (10**6, 10**7, 10**8, 10**9)]
    assert worked == sorted(worked, reverse=True)


def test_an_evaluation_of_few_problems_is_yellow_with_a_number():
    class Settings:
        samples_per_problem = 2

    few, many = (statistics_findings(Settings(), 0, count, 0)[0] for count in (20, 2000))
    assert (few.level, many.level) == ("yellow", "green")
    assert "--set data.test.limit=" in few.fix
    assert statistics_findings(Settings(), 0, 0, 0)[0].level == "yellow"


def test_a_benchmark_problem_in_other_spelling_is_found(tmp_path):
    (tmp_path / "bench").mkdir()
    rows = "".join(f'{{"problem": "What is ${n} + {n}$?", "answer": "{2 * n}"}}\n' for n in range(500))
    (tmp_path / "bench" / "math500.jsonl").write_text(rows)
    copies = [Problem(str(n), f"What is  \\({n}+{n}\\)?", str(2 * n)) for n in range(6)]
    assert overlap_finding(copies, tmp_path).level == "red"
    assert overlap_finding(copies[:1], tmp_path).level == "yellow"
    assert overlap_finding([Problem("x", "Something new: what is 5 times 7?", "35")], tmp_path).level == "green"


def test_more_threads_than_cores_and_old_versions_are_named(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 10_000)
    assert environment._threads({"OMP_NUM_THREADS": "10000"}).level == "yellow"
    monkeypatch.setattr(environment, "_version", lambda name: "1.9.1+cpu")
    assert environment._versions().level == "red"
    assert "torch>=2.13" in environment._versions().fix


def test_a_folder_that_cannot_be_written_is_red(tmp_path):
    (tmp_path / "file").write_text("")
    assert environment._output(tmp_path / "file" / "run").level == "red"
    assert environment._output(tmp_path / "new" / "run").level == "green"


def test_a_large_model_on_a_cpu_is_yellow():
    assert environment.device_finding(torch.device("cpu"), 1_500_000_000, "bfloat16").level == "yellow"
    assert environment.device_finding(torch.device("cuda"), 1_500_000_000, "bfloat16").level == "green"


@pytest.mark.parametrize(("rate", "level"), [(1e-6, "green"), (5e-6, "green"), (1e-4, "green"), (1e-9, "red")])
def test_rates_of_adapters_that_others_used_at_a_billion_weights_are_green(rate, level):
    """Tina's 1e-6 and 5e-6 at 1.5B, and 1e-4 of Tinker's examples."""
    (found,) = optimisation.learning_rate_findings(OptimizerSettings(learning_rate=rate), 1_777_088_000, adapters=True)
    assert found.level == level
    assert adapter_range(854_144).worked == pytest.approx(2e-3, rel=0.01), "as measured on the tiny model"


@pytest.mark.parametrize(
    ("changes", "levels"),
    [
        ({}, {"green"}),
        ({"kl_coef": 0.04, "clip_high": 0.28}, {"green"}),
        ({"kl_coef": 1.0}, {"green", "yellow"}),
        ({"kl_coef": 5.0}, {"green", "red"}),
        ({"clip_high": 0.001}, {"green", "yellow"}),
        ({"clip_low": 0.0}, {"green", "yellow"}),
        ({"clip_low": 1.0}, {"green", "yellow"}),
        ({"surrogate": "gspo", "clip_high": 3e-4}, {"green"}),
    ],
)
def test_kl_and_clip_by_what_papers_used(changes, levels):
    assert {one.level for one in optimisation.loss_findings(LossSettings(**changes))} == levels


@pytest.mark.parametrize(("needed", "level"), [(1.0, "green"), (9.5, "yellow"), (11.0, "red")])
def test_a_disk_of_ten_gigabytes(needed, level):
    found = plan_checks.disk_finding(lambda recipe: needed, 10.0, api.load_recipe("quickstart"))
    assert found.level == level


def test_memory_that_is_short_names_what_makes_it_fit():
    recipe = api.load_recipe("open-rs2")
    fits, tight = (plan_run(recipe, PAPER, place_of(card_named(name))) for name in ("H200", "rtx-3090"))
    assert plan_checks.memory_finding(fits).level == "green"
    found = plan_checks.memory_finding(tight)
    assert found.level == "red"
    changed = api.change(recipe, found.fix.replace("--set ", "").split())
    assert plan_run(changed, PAPER, place_of(card_named("rtx-3090"))).fits
    many = api.change(recipe, {"rollout.prompts_per_step": 20_000, "rollout.group_size": 100})
    fix = plan_checks.memory_finding(plan_run(many, PAPER, place_of(card_named("A40")))).fix
    keys = [one.partition("=")[0] for one in fix.split() if "=" in one]
    assert len(keys) == len(set(keys)), "nothing is set twice"
    assert plan_run(api.change(many, fix.replace("--set ", "").split()), PAPER, place_of(card_named("A40"))).fits


def test_a_budget_below_the_plan_is_red_and_one_inside_its_interval_yellow():
    recipe = api.load_recipe("open-rs2")
    need = plan_run(recipe, PAPER, place_of(card_named("H200"))).hours
    for cap, level in ((0.5 * need.low, "red"), (need.value, "yellow"), (1.1 * need.high, None)):
        capped = api.change(recipe, {"budget.hours": cap})
        found = plan_checks.budget_findings(plan_run(capped, PAPER, place_of(card_named("H200"))), knows_time=True)
        assert [one.level for one in found] == ([] if level is None else [level])
        assert plan_checks.budget_findings(plan_run(capped, PAPER, place_of(card_named("H200"))), False) == []


@pytest.mark.parametrize(
    ("device", "card"),
    [
        ("NVIDIA A40", "A40"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA A100-PCIE-40GB", "A100-40GB"),
        ("NVIDIA GeForce RTX 4090", "RTX-4090"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA L40S", "L40S"),
        ("Tesla T4", None),
        ("NVIDIA L40", None),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
    ],
)
def test_a_device_is_found_in_the_table_by_the_name_that_torch_gives_it(device, card):
    found = plan_checks.card_of(device)
    assert (None if found is None else found.name) == card


def test_what_was_held_is_measured_against_what_is_there():
    assert plan_checks.measured_finding(1.0, 9.0, "cpu").level == "green"
    assert plan_checks.measured_finding(9.5, 0.5, "cpu").level == "yellow"
    assert plan_checks.measured_finding(46.0, 47.7, "cuda").level == "yellow"
    assert plan_checks.peak_gb(torch.device("cpu")) > 0.1
