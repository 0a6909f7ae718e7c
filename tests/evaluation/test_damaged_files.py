"""Logs and results files that are damaged, joined, or of another kind: refused in a sentence, never guessed."""

import json
import random
from pathlib import Path

import pytest

from frugalrl.api_logs import export_logs, import_log
from frugalrl.errors import DataError, OutputError, UserError
from frugalrl.evaluation.foreign_logs import _inspect_log
from frugalrl.evaluation.foreign_logs import import_log as read_log
from frugalrl.evaluation.measured_reader import read_measured
from frugalrl.evaluation.results import read_results
from frugalrl.reporting.evaluation_page import score_of_results

LOGS = Path(__file__).parent / "logs"
INSPECT = _inspect_log(LOGS / "inspect" / "sums.eval")
LM_EVAL = next((LOGS / "lm_eval").glob("samples_*.jsonl"))
ODD = (None, True, -1, 1e400, float("nan"), 10**40, "", "\ud800x", [], {}, [[]], 0.3, {"a": 1}, [None], "C")


def changed(path: Path, **values: object) -> Path:
    """The log of inspect_ai with other values in its first sample."""
    first, *rest = INSPECT["samples"]
    path.write_text(json.dumps({**INSPECT, "samples": [{**first, **values}, *rest]}))
    return path


def rows_of(folder: Path, *changes: dict) -> Path:
    """Rows of lm_eval's log, the first ones changed; None takes a column away."""
    rows = [json.loads(line) for line in LM_EVAL.read_text().splitlines()]
    for row, change in zip(rows, changes, strict=False):
        row.update(change)
    path = folder / "samples_sums_1.jsonl"
    kept = [{name: value for name, value in row.items() if value is not None} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    return path


def test_scores_in_words_of_old_versions_and_missing_ones(tmp_path):
    (old,) = read_log(changed(tmp_path / "a.json", scores=None, score={"value": "C", "answer": "x"}))
    assert old.results.samples[0].verdict == "correct"
    for value, verdict in [("yes", "correct"), ("false", "incorrect"), ("N", "incorrect"), ({"a": 1}, "unknown")]:
        (found,) = read_log(changed(tmp_path / "b.json", scores={"match": {"value": value}}))
        assert found.results.samples[0].verdict == verdict
    fewer = {**INSPECT, "samples": INSPECT["samples"][:1]}
    (tmp_path / "c.json").write_text(json.dumps(fewer))
    (found,) = read_log(tmp_path / "c.json")
    assert any("samples are in the log" in note for note in found.notes)


def test_what_is_no_verdict_is_refused(tmp_path):
    second = INSPECT["samples"][1]
    with pytest.raises(DataError, match="1 samples occur twice"):
        read_log(changed(tmp_path / "a.json", id=second["id"], epoch=second["epoch"]))
    every = [{"metrics": ["word_perplexity"], "word_perplexity": 23.5}] * 99
    with pytest.raises(DataError, match=r"is 23\.5 for a sample, and right or wrong lies in 0\.\.1"):
        read_log(rows_of(tmp_path, *every))
    columns = {name for row in LM_EVAL.read_text().splitlines() for name in json.loads(row)}
    own = {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "doc_hash", "prompt_hash"}
    bare = [dict.fromkeys(columns - own)] * 99
    with pytest.raises(DataError, match="holds no metric of a single sample"):
        read_log(rows_of(tmp_path, *bare))
    (found,) = read_log(rows_of(tmp_path, *[{"metrics": ["bleu", "exact_match"], "bleu": 0.9}] * 99))
    assert "metrics bleu, exact_match: exact_match counts" in found.notes


def test_two_models_that_no_log_names_are_not_the_same(tmp_path):
    hashes = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (found,) = read_log(rows_of(tmp_path / name))
        hashes.add(found.results.header.model_hash)
    assert len(hashes) == 2


@pytest.fixture
def results(tmp_path) -> Path:
    return next(import_log(LOGS / "inspect" / "sums.eval", tmp_path / "own").folder.glob("*.jsonl"))


@pytest.mark.parametrize(
    ("record", "values"),
    [
        ("sample", {"verdict": "maybe"}),
        ("sample", {"finish_reason": None}),
        ("sample", {"sample": -1}),
        ("sample", {"tokens": "7"}),
        ("sample", {"text": ["a"]}),
        ("problem", {"gold": 7}),
        ("problem", {"also_accepted": "7"}),
        ("problem", {"tolerance": "1/0"}),
        ("problem", {"columns": []}),
        ("header", {"temperature": "0.6"}),
        ("header", {"benchmark": None}),
    ],
)
def test_a_value_of_another_kind_is_refused(results, record, values):
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    at = next(number for number, line in enumerate(lines) if line["record"] == record)
    lines[at] |= values
    results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(OutputError, match="value of another kind than it is written with"):
        read_results(results)


def test_joined_files_and_copies_are_refused_and_gaps_are_not(results):
    text = results.read_text()
    results.with_name("copy.jsonl").write_text(text)
    with pytest.raises(DataError, match="both hold results on"):
        read_measured(results.parent)
    results.write_text(text + text.partition("\n")[0] + "\n")
    with pytest.raises(OutputError, match="2 files were joined in it"):
        read_results(results)
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        if line["record"] == "sample":
            line["sample"] += 3  # as replies of a server that came before the first three
    results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert score_of_results(read_results(results)).problems > 0


def places(value: object, path: tuple = ()) -> list[tuple]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(one for name, item in inner for one in places(item, (*path, name)))]


def damaged(value: object, chance: random.Random) -> object:
    copied = json.loads(json.dumps(value))
    *way, last = chance.choice(places(copied))
    at = copied
    for name in way:
        at = at[name]
    if chance.random() < 0.3:
        del at[last]
    else:
        at[last] = chance.choice(ODD)
    return copied


def test_no_damage_ends_in_a_traceback(results, tmp_path):
    chance = random.Random(7)
    rows = [json.loads(line) for line in LM_EVAL.read_text().splitlines()]
    own = [json.loads(line) for line in results.read_text().splitlines()]
    blob = (LOGS / "inspect" / "sums.eval").read_bytes()
    log, lm_eval = tmp_path / "log.json", tmp_path / "samples_sums_1.jsonl"
    packed, mine = tmp_path / "log.eval", tmp_path / "mine.jsonl"
    works = (
        lambda: read_log(log),
        lambda: read_log(lm_eval),
        lambda: read_log(packed),
        lambda: scored(mine),
        lambda: export_logs(mine, tmp_path / "out"),
    )
    messages = []
    for _ in range(40):
        log.write_text(json.dumps(damaged(INSPECT, chance)))
        lm_eval.write_text("".join(json.dumps(row) + "\n" for row in damaged(rows, chance)))
        at = chance.randrange(len(blob))
        packed.write_bytes(blob[:at] + bytes([chance.randrange(256)]) + blob[at + 1 :])
        mine.write_text("".join(json.dumps(row) + "\n" for row in damaged(own, chance)))
        messages += map(refusal, works)
    assert all("\n" not in message for message in messages)
    assert 20 < messages.count("") < len(messages) - 20


def scored(path: Path) -> object:
    results = read_results(path)
    return score_of_results(results) if results.samples else None


def refusal(work) -> str:
    """What it is refused with; empty if it is not."""
    try:
        work()
    except UserError as error:
        return str(error)
    return ""
