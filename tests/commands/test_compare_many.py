"""Several models against the first: correction, changed problems, parts, equivalence, looks, tables, and a page."""

import json

import numpy as np
import pytest

from frugalrl.api_comparison import compare_models
from frugalrl.cli import main
from frugalrl.errors import DataError
from frugalrl.evaluation.records import ProblemRecord, SampleRecord
from frugalrl.evaluation.results import ResultsHeader, write_results
from frugalrl.statistics.paired_tests import paired


def saved(folder, chance, seed=0, problems=60, k=4):
    """A model that solves problem n with the given chance."""
    rng = np.random.default_rng(seed)
    header = ResultsHeader("m", folder.name, None, folder.name, "p", "d", 0.6, 0.95, 64, 0, "f", "1", "1", 2.0, 2, "v")
    samples = [
        SampleRecord(f"p{n}", i, i, 9, "stop", "4", "correct" if rng.random() < chance(n) else "incorrect", "r", "t")
        for n in range(problems)
        for i in range(k)
    ]
    known = [ProblemRecord(f"p{n}", f"What is {n}?", "4", columns={"level": n % 2}) for n in range(problems)]
    write_results(folder / "m.jsonl", header, {"device": "cpu"}, samples, known)
    return folder


@pytest.fixture
def models(tmp_path):
    base = saved(tmp_path / "base", lambda n: 0.5)
    better = saved(tmp_path / "better", lambda n: 0.9 if n % 2 else 0.5, seed=1)
    same = saved(tmp_path / "same", lambda n: 0.5, seed=2)
    return base, better, same


def test_each_model_is_compared_with_the_first_and_corrected_for_all(models):
    together = compare_models(models)
    alone = [compare_models([models[0], one]).rows[0][1] for one in models[1:]]
    (_, better), (_, same) = together.rows
    assert (better.verdict, same.verdict) == ("better", "inconclusive")
    assert better.adjusted_p_value == pytest.approx(2 * alone[0].difference.p_value)
    assert same.adjusted_p_value == pytest.approx(max(alone[1].difference.p_value, better.adjusted_p_value))
    assert better.difference.level == 0.025
    assert "corrected (Holm) for all 2 comparisons of 2 models with A" in together.text


def test_problems_that_changed_and_where_are_listed(models):
    (one, _) = compare_models(models).others
    (found,) = one.details
    assert len(found.better) + len(found.worse) + found.same == 60
    assert [x.second - x.first for x in found.better] == sorted(
        [x.second - x.first for x in found.better], reverse=True
    )
    even, odd = found.parts
    assert (even.column, even.value, even.problems, odd.value) == ("level", "0", 30, "1")
    assert even.difference.ci_low < 0 < even.difference.ci_high
    assert odd.difference.ci_low > 0.1
    assert "by level, not corrected: 0 (30)" in compare_models(models).text


def test_no_worse_and_equivalent_are_questions_of_their_own(models):
    def asked(second, points):
        (one,) = compare_models([models[0], second], no_worse_than=points).others
        return one.details[0].no_worse

    assert not asked(models[2], 1).is_no_worse
    wide = asked(models[2], 30)
    assert (wide.is_no_worse, wide.is_equivalent) == (True, True)
    gain = asked(models[1], 5)
    assert (gain.is_no_worse, gain.is_equivalent) == (True, False)
    itself = asked(models[0], 1)
    assert itself.is_equivalent
    assert (itself.low, itself.high) == (pytest.approx(0.0, abs=0.01), pytest.approx(0.0, abs=0.01))
    assert "A loss of 1 points cannot be ruled out" in compare_models(models[::2], no_worse_than=1).text
    with pytest.raises(DataError, match="no_worse_than lies between"):
        compare_models(models, no_worse_than=-1)


def test_several_looks_share_the_five_percent(models):
    once, often = compare_models(models[:2]).rows[0][1], compare_models(models[:2], looks=4).rows[0][1]
    assert often.adjusted_p_value == pytest.approx(min(1.0, 4 * once.adjusted_p_value))
    assert often.difference.level == pytest.approx(0.0125)
    wider = often.difference.estimate.ci_high - often.difference.estimate.ci_low
    assert wider > once.difference.estimate.ci_high - once.difference.estimate.ci_low


def test_looks_keep_the_rate_of_false_claims():
    """Two equal models of 40 problems, looked at after 1, 2, 3 and 4 samples each: at 5 % and at a share of it."""
    rng = np.random.default_rng(0)
    claims = np.zeros(2)
    for _ in range(150):
        chance = rng.random(40)
        a, b = (rng.random((40, 4)) < chance[:, None] for _ in range(2))
        p = min(paired(a[:, :k].tolist(), b[:, :k].tolist()).p_value for k in (1, 2, 3, 4))
        claims += [p < 0.05, 4 * p < 0.05]
    assert claims[1] / 150 <= 0.07
    assert claims[0] > claims[1]


def test_json_markdown_and_latex_say_the_same(models, capsys):
    paths = [str(one) for one in models]
    assert main(["compare", *paths, "--format", "json", "--no-worse-than", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["verdict"] for one in found] == ["better", "inconclusive"]
    assert found[0]["no_worse"]["is_no_worse"]
    assert len(found[0]["better"]) + len(found[0]["worse"]) + found[0]["same"] == 60
    shown = f"{100 * found[0]['difference']:+.1f} ["
    for name in ("markdown", "latex"):
        assert main(["compare", *paths, "--format", name]) == 0
        out = capsys.readouterr().out
        assert shown in out
        assert len([line for line in out.splitlines() if "better" in line or "inconclusive" in line]) == 2
    assert "\\begin{tabular}" in out
    assert "\\\\" in out


def test_the_page_has_all_models_side_by_side(models, tmp_path, capsys):
    page = tmp_path / "compare.html"
    assert main(["compare", *[str(one) for one in models], "--page", str(page)]) == 0
    text = page.read_text()
    assert "Is it better?" in text
    assert "720 judged samples" in text
    assert 'class="finding good"' in text
    assert text.count('<span class="badge good">better</span>') == 1
    assert 'href="#samples?benchmark=m&amp;change=better%3A+better">40</a>' in text
    assert str(page) in capsys.readouterr().out
