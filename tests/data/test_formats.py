"""Data as people have it: every format gives the same problems, and what is guessed is said."""

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pandas
import pyarrow
import pyarrow.parquet
import pytest

import frugalrl
from frugalrl.api_data import with_problems
from frugalrl.config.schema import CompletionSource, ProblemSource, PromptSettings
from frugalrl.data.objects import pools_of, rows_of, splits_of
from frugalrl.data.prompts import problem_messages
from frugalrl.errors import DataError
from frugalrl.tasks.loading import load_completions, load_problems
from tests.conftest import write_jsonl

ROWS = [
    {"problem": "1 + 1?", "answer": "2"},
    {"problem": 'A "half", with a comma?', "answer": "\\frac{1}{2}"},
    {"problem": "Two\nlines?", "answer": "025"},
]


def loaded(path: Path, **settings: Any) -> tuple[list[tuple[str, str]], list[str]]:
    """Text and gold of each problem, and what was said."""
    notes: list[str] = []
    problems = load_problems(ProblemSource(source=str(path), **settings), note=notes.append)
    return [(one.text, one.gold) for one in problems], notes


def as_array(path: Path) -> None:
    path.write_text(json.dumps(ROWS, indent=1))


def as_lines(path: Path) -> None:
    write_jsonl(path, ROWS)


def as_object(path: Path) -> None:
    path.write_text(json.dumps({"version": 2, "data": ROWS}))


def as_pandas_columns(path: Path) -> None:
    pandas.DataFrame(ROWS).to_json(path)  # what pandas writes unless told otherwise


def as_pandas_split(path: Path) -> None:
    pandas.DataFrame(ROWS).to_json(path, orient="split")


def as_pandas_index(path: Path) -> None:
    pandas.DataFrame(ROWS).to_json(path, orient="index")


def as_pandas_table(path: Path) -> None:
    pandas.DataFrame(ROWS).to_json(path, orient="table")


def as_columns_of_lists(path: Path) -> None:
    path.write_text(json.dumps(pandas.DataFrame(ROWS).to_dict("list")))


def as_csv(path: Path) -> None:
    pandas.DataFrame(ROWS).to_csv(path)  # with pandas' own index column


def as_excel_csv(path: Path) -> None:
    pandas.DataFrame(ROWS).to_csv(path, sep=";", index=False, encoding="utf-8-sig", lineterminator="\r\n")


def as_tsv(path: Path) -> None:
    pandas.DataFrame(ROWS).to_csv(path, sep="\t", index=False)


def as_saved(path: Path) -> None:
    datasets.Dataset.from_list(ROWS).save_to_disk(str(path))


def as_saved_splits(path: Path) -> None:
    rows = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"train": rows, "test": rows.select([0])}).save_to_disk(str(path))


def as_shards(path: Path) -> None:
    """A Hub snapshot without a card: shards of two splits."""
    (path / "data").mkdir(parents=True)
    for number, rows in enumerate((ROWS[:2], ROWS[2:])):
        pyarrow.parquet.write_table(
            pyarrow.Table.from_pylist(rows), path / "data" / f"train-{number:05}-of-00002.parquet"
        )
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS[:1]), path / "data" / "test-00000-of-00001.parquet")


def as_cache(path: Path) -> None:
    """The Hub client's cache folder, which keeps several snapshots."""
    for name in ("aaa", "bbb"):
        as_shards(path / "snapshots" / name)
    (path / "snapshots" / "aaa" / "data" / "train-00000-of-00002.parquet").unlink()
    (path / "refs").mkdir()
    (path / "refs" / "main").write_text("bbb")


def as_card(path: Path) -> None:
    """A Hub data set whose card says what is where, under names that say nothing."""
    path.mkdir()
    write_jsonl(path / "one.jsonl", ROWS)
    write_jsonl(path / "two.jsonl", ROWS[:1])
    card = "---\nconfigs:\n- config_name: default\n  data_files:\n"
    (path / "README.md").write_text(
        card + "  - {split: train, path: one.jsonl}\n  - {split: test, path: two.jsonl}\n---\n# x\n"
    )


def as_curated(path: Path) -> None:
    """The same rows in two formats, beside a ledger that holds none."""
    path.mkdir()
    for name, rows in (("train", ROWS), ("validation", ROWS[:1])):
        write_jsonl(path / f"{name}.jsonl", rows)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path / f"{name}.parquet")
    write_jsonl(path / "ledger.jsonl", [{"step": "read"}])


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.json", as_array), ("a.json", as_lines), ("a.json", as_object), ("a.json", as_pandas_columns),
        ("a.json", as_pandas_split), ("a.json", as_pandas_index), ("a.json", as_pandas_table),
        ("a.json", as_columns_of_lists), ("a.csv", as_csv), ("a.csv", as_excel_csv), ("a.tsv", as_tsv),
        ("saved", as_saved), ("splits", as_saved_splits), ("shards", as_shards), ("datasets--org--name", as_cache),
        ("card", as_card), ("curated", as_curated),
    ],
)  # fmt: skip
def test_every_format_gives_the_same_problems(tmp_path, name, write):
    write(tmp_path / name)
    expected = [(row["problem"], row["answer"]) for row in ROWS]
    assert loaded(tmp_path / name) == (expected, [])


def test_a_packed_csv_is_read_too(tmp_path):
    as_csv(tmp_path / "a.csv")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    assert loaded(tmp_path / "b.csv.gz") == loaded(tmp_path / "a.csv")


def test_a_split_is_never_mixed_with_another(tmp_path):
    as_shards(tmp_path / "shards")
    assert len(loaded(tmp_path / "shards", split="test")[0]) == 1
    with pytest.raises(DataError, match=r"no split 'validation', only test, train"):
        loaded(tmp_path / "shards", split="validation")
    as_saved_splits(tmp_path / "saved")
    with pytest.raises(DataError, match="no split 'validation', only train, test"):
        loaded(tmp_path / "saved", split="validation")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"question": "Q?", "ground_truth": "7"}, ["'question'", "'ground_truth'"]),
        ({"Problem": "Q?", "Answer": "7"}, ["'Problem'", "'Answer'"]),
        ({"prompt": [{"role": "user", "content": "Q?"}], "solution": "So \\boxed{7}"}, ["'prompt'"]),
        (
            {"prompt": [{"role": "user", "content": "Q?"}], "reward_model": {"style": "rule", "ground_truth": "7"}},
            ["'prompt'", "'reward_model.ground_truth'"],
        ),
        (
            {"prompt": '[{"role": "user", "content": "Q?"}]', "reward_model": '{"ground_truth": "7"}'},
            ["'prompt'", "'reward_model.ground_truth'"],
        ),
        (
            {"messages": [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "\\boxed{7}"}]},
            ["'messages'", "assistant's last message"],
        ),
        (
            {"conversations": [{"from": "human", "value": "Q?"}, {"from": "gpt", "value": "\\boxed{7}"}]},
            ["'conversations'"],
        ),
    ],
    ids=["names", "case", "trl", "verl", "verl-as-text", "open-r1", "sharegpt"],
)  # fmt: skip
def test_columns_of_other_tools_are_found_and_the_guess_is_said(tmp_path, row, says):
    path = write_jsonl(tmp_path / "data.jsonl", [row])
    problems, notes = loaded(path)
    assert problems == [("Q?", "7")]
    assert len(notes) == 1
    assert all(one in notes[0] for one in says), notes
    assert "problem_field" in notes[0]


def test_verls_own_parquet_layout_is_read(tmp_path):
    row = {
        "data_source": "math", "prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q?"}],
        "ability": "math", "reward_model": {"style": "rule", "ground_truth": "7"}, "extra_info": {"index": 0},
    }  # fmt: skip
    path = tmp_path / "train.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), path)
    (problem,) = load_problems(ProblemSource(source=str(path)))
    assert (problem.text, problem.gold, problem.columns["data_source"]) == ("Q?", "7", "math")
    plain = PromptSettings()
    assert problem_messages(problem, plain) == row["prompt"]
    ours = problem_messages(problem, PromptSettings(system="T", template="Solve: {problem}"))
    assert ours == [{"role": "system", "content": "T"}, {"role": "user", "content": "Solve: Q?"}]


def test_a_column_that_is_named_is_never_replaced_by_a_guess(tmp_path):
    path = write_jsonl(tmp_path / "data.jsonl", [{"question": "Q?", "answer": "7", "gold": "8"}])
    assert loaded(path)[0] == [("Q?", "7")]
    with pytest.raises(DataError, match="no text in 'quest'"):
        loaded(path, problem_field="quest")
    nested = write_jsonl(tmp_path / "nested.jsonl", [{"problem": "Q?", "answer": "7", "meta": {"final": "9"}}])
    assert loaded(nested, answer_field="meta.final") == ([("Q?", "9")], [])


@pytest.mark.parametrize("value", [["1/2", "0.5"], "['1/2', '0.5']", '["1/2", "0.5"]'])
def test_several_accepted_golds(tmp_path, value):
    path = write_jsonl(tmp_path / "data.jsonl", [{"problem": "p", "answer": value}])
    assert load_problems(ProblemSource(source=str(path)))[0].accepted == ("1/2", "0.5")
    interval = write_jsonl(tmp_path / "interval.jsonl", [{"problem": "p", "answer": "[1, 2]"}])
    assert load_problems(ProblemSource(source=str(interval)))[0].accepted == ("[1, 2]",)


def test_conversations_are_examples_of_fine_tuning(tmp_path):
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    path = write_jsonl(tmp_path / "sft.jsonl", [{"messages": turns}])
    (example,) = load_completions(CompletionSource(source=str(path)))
    assert (example.prompt, example.completion) == ((turns[0],), "b")
    bad = write_jsonl(tmp_path / "bad.jsonl", [{"messages": turns[:1]}])
    with pytest.raises(DataError, match="line 1 has messages that do not end with an answer"):
        load_completions(CompletionSource(source=str(bad)))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "problem,answer\np,1,2\n", "line 2 has 3 cells and the header 2"),
        ("a.csv", "answer,answer\n1,2\n", "names the column 'answer' twice"),
        ("a.csv", "problem,answer\n", "is empty"),
        ("a.csv", "\xff\xfep", "UTF"),
        ("a.csv", 'problem,answer\n"p,1\n', "cannot be read as CSV"),
        ("a.json", "[1, 2]", "entry 1 is not a JSON object"),
        ("a.json", '{"a": [{"x": 1}], "b": [{"x": 2}]}', "several lists (a, b)"),
        ("a.json", '[{"a": 1},\n', "is not JSON"),
        ("a.json", "3", "is not a list of objects"),
        ("a.json", '{"columns": ["a", "b"], "data": [[1, 2], [3]]}', "entry 2 is no list of 2 cells"),
        ("a.json", '{"columns": 3, "data": [[1]]}', "no lists under columns and data"),
        ("a.json", '{"a": [1, 2], "b": [3]}', "a 2, b 1"),
    ],
)
def test_faults_are_named_with_their_place(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError) as caught:
        loaded(tmp_path / name)
    assert says in str(caught.value)
    assert ",." not in str(caught.value)


TABLES = {
    "pandas": lambda: pandas.DataFrame(ROWS),
    "datasets": lambda: datasets.Dataset.from_list(ROWS),
    "pyarrow": lambda: pyarrow.Table.from_pylist(ROWS),
    "list": lambda: list(ROWS),
    "columns": lambda: {name: [row[name] for row in ROWS] for name in ROWS[0]},
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_in_python_give_the_same_rows(kind):
    assert list(rows_of(TABLES[kind]())) == ROWS


def test_missing_and_numpy_values_become_plain_ones():
    frame = pandas.DataFrame({"a": [1, 2], "b": [0.5, float("nan")], "c": ["x", None]})
    assert list(rows_of(frame)) == [{"a": 1, "b": 0.5, "c": "x"}, {"a": 2, "b": None, "c": None}]
    assert json.dumps(list(rows_of(frame)))


def test_what_is_no_table_is_refused():
    for value in ("problems.jsonl", 3, {"problem": "p", "answer": "1"}, [1, 2]):
        with pytest.raises(DataError):
            list(rows_of(value))
    with pytest.raises(DataError, match="splits train, dev"):
        splits_of(datasets.DatasetDict({name: TABLES["datasets"]() for name in ("train", "dev")}), ("train",))


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_alone_is_the_only_pool_and_names_tell_several(kind):
    table = TABLES[kind]()
    assert list(pools_of(table, ())) == ["data"]
    assert list(pools_of(table, ("mine",))) == ["mine"]
    assert list(pools_of({"a": table, "b": table}, ())) == ["a", "b"]
    with pytest.raises(DataError, match="pools a, b"):
        pools_of(table, ("a", "b"))


@pytest.mark.parametrize("kind", TABLES)
def test_a_set_curated_from_a_table_is_that_of_its_file(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    steps = [{"step": "gold_parses"}, {"step": "duplicates"}]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    read = frugalrl.curate({"name": "a", "pools": [{"name": "mine", "path": "rows.jsonl"}], "steps": steps})
    made = frugalrl.curate({"name": "b", "steps": steps}, data={"mine": TABLES[kind]()})
    files = [next(one.folder.rglob("*.jsonl")).read_bytes() for one in (read, made)]
    assert files[0] == files[1]
    assert made.summary == read.summary


def test_a_pool_of_a_spec_is_replaced_and_keeps_its_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"question": row["problem"], "answer": row["answer"]} for row in ROWS]
    pool = {"name": "mine", "path": "nowhere.jsonl", "columns": {"problem": "question"}}
    spec = frugalrl.load_recipe({"name": "a", "pools": [pool], "steps": [{"step": "gold_parses"}]}, kind="curate")
    assert frugalrl.curate(spec, data=rows).summary["train"] == len(ROWS)


EXAMPLES = [{"prompt": f"{n} + 1 = ?", "completion": f"It is \\boxed{{{n + 1}}}."} for n in range(4)]
FINE = {"name": "fine", "training": {"batch_tokens": 128, "pack_tokens": 128, "log_every": 1}}


def test_fine_tuning_on_a_table_gives_the_weights_of_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in EXAMPLES))
    read = frugalrl.sft({**FINE, "phases": [{"source": "rows.jsonl"}]}, out="runs/a")
    made = frugalrl.sft(FINE, data={"train": pandas.DataFrame(EXAMPLES), "validation": EXAMPLES[:2]}, out="runs/b")
    weights = [(one.model / "model.safetensors").read_bytes() for one in (read, made)]
    assert weights[0] == weights[1]
    assert "validation" in (made.folder / "recipe.yaml").read_text()
    with pytest.raises(DataError, match="no examples to train on"):
        frugalrl.sft(FINE, data={"validation": EXAMPLES})


def test_a_data_frame_can_be_scored():
    frame = pandas.DataFrame([{"completion": "\\boxed{2}", "gold": "2"}, {"completion": "\\boxed{3}", "gold": "2"}])
    result = frugalrl.score(frame, workers=1)
    assert [row["verdict"] for row in result.kept] == ["correct", "incorrect"]


def test_tables_become_files_that_a_resumed_run_finds_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = frugalrl.load_recipe("quickstart")
    tables = {"train": TABLES["pandas"](), "test": TABLES["list"]()[:1]}
    first, second = with_problems(recipe, tables), with_problems(recipe, tables)
    assert first == second
    assert first.data.train.source != first.data.test.source
    assert [one.gold for one in load_problems(first.data.train)] == [row["answer"] for row in ROWS]
    assert first.data.validation == recipe.data.validation
