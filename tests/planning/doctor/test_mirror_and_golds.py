"""A mirror before a run, and golds of held-out files that can be read and are wrong."""

import fsspec
import pytest

from frugalrl.planning.doctor.held_out_samples import held_out_golds
from frugalrl.planning.doctor.mirror_checks import mirror_finding
from frugalrl.types import Problem, Prompt, ScoredGroup
from tests.planning.doctor.test_findings import completion

WHO = {"name": "user", "orgs": [{"name": "lab", "roleInOrg": "write"}, {"name": "club", "roleInOrg": "read"}]}


@pytest.mark.parametrize(
    ("url", "level"),
    [
        ("file://{folder}/new/place", "green"),
        ("{folder}/new", "green"),
        ("file:///proc/nowhere/x", "red"),
        ("file://{folder}/file/below", "red"),
        ("file://{folder}/run/copy", "red"),
        ("file://{folder}/full", "yellow"),
        ("memory://x", "red"),
        ("ftpx://x/y", "red"),
        ("hf://noslash", "red"),
    ],
)
def test_a_mirror_is_opened_looked_into_and_tried(url, level, tmp_path):
    (tmp_path / "file").write_text("a file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "recipe.yaml").write_text("name: another")
    found = mirror_finding(url.format(folder=tmp_path), tmp_path / "run")
    assert found.level == level, found
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"], "nothing is left behind"


@pytest.mark.parametrize(("owner", "level"), [("user", "green"), ("lab", "green"), ("club", "red"), ("other", "red")])
def test_a_repository_of_the_hub_is_written_by_its_owner_and_those_with_a_role(owner, level, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi.repo_exists", lambda self, name: False)
    assert mirror_finding(f"hf://{owner}/run", None, lambda: WHO).level == level


def test_an_object_store_that_refuses_to_be_written_is_red(monkeypatch):
    """As one whose key may list and not put."""
    files = fsspec.filesystem("memory")

    def refused(*arguments, **more):
        raise PermissionError("AccessDenied")

    monkeypatch.setattr(type(files), "pipe_file", refused)
    monkeypatch.setattr("fsspec.core.url_to_fs", lambda url: (files, "/bucket/run"))
    found = mirror_finding("s3://bucket/run", None)
    assert found.level == "red"
    assert "AccessDenied" in found.message


PROBLEMS = [Problem(str(at), f"{at} + 10?", str(at + 10)) for at in range(12)]


def sampled(problems, knows=10):
    """Four samples of each, which agree on the true sum; of the others each is another."""
    groups = []
    for at, problem in enumerate(problems):
        true = str(int(problem.text.split()[0]) + 10)
        answers = [true] * 4 if at < knows else [str(900 + at * 4 + one) for one in range(4)]
        completions = [
            completion(extracted=answer, verdict="correct" if answer == problem.gold else "incorrect")
            for answer in answers
        ]
        groups.append(ScoredGroup(Prompt(problem, problem.text, (1,)), tuple(completions)))
    return groups


def with_golds(golds):
    return [Problem(one.id, one.text, str(gold)) for one, gold in zip(PROBLEMS, golds, strict=True)]


@pytest.mark.parametrize(
    ("golds", "level", "said"),
    [
        (range(10, 22), "green", "10 of 10"),
        ([21, *range(10, 21)], "red", "1 row further down"),
        ([*range(11, 22), 10], "red", "1 row further up"),
        ([n + 0.5 for n in range(10, 22)], "red", "likely wrong"),
        ([7] * 12, "red", "'10', gold '7'"),
    ],
)
def test_golds_of_other_rows_or_columns_are_found_by_what_samples_agree_on(golds, level, said):
    wrong = with_golds(golds)
    found = held_out_golds("validation", sampled(PROBLEMS), sampled(wrong), wrong)
    assert (found.level, said in found.message) == (level, True), found


def test_a_weak_model_or_a_harder_split_says_nothing_of_golds():
    wrong = with_golds([7] * 12)
    assert held_out_golds("test", sampled(PROBLEMS, knows=2), sampled(wrong), wrong).level == "green"
    assert held_out_golds("test", sampled(PROBLEMS), sampled(wrong, knows=2), wrong).level == "green"
    assert held_out_golds("test", sampled(wrong), sampled(wrong), wrong).level == "green", "train is no better"
