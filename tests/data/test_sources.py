"""Reading problems and completions: every kind of file, and an error with file and line for every fault."""

import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest

from frugalrl.config.schema import CompletionSource, ProblemSource
from frugalrl.errors import DataError
from frugalrl.tasks.loading import load_completions, load_problems
from tests.conftest import write_jsonl

ROWS = [
    {"id": "a", "problem": "1 + 1?", "answer": "2", "level": 3},
    {"id": "b", "problem": "Half of one?", "solution": "It is \\boxed{\\frac{1}{2}}."},
    {"id": "c", "problem": "Eggs?", "answer": "She has 9 left.\n#### 18"},
    {"id": "d", "problem": "Seven?", "answer": 7},
]
GOLDS = ["2", "\\frac{1}{2}", "18", "7"]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet", ".parquet.gz"])
def test_every_kind_of_file_gives_the_same_problems(tmp_path, suffix):
    path = tmp_path / f"data{suffix}"
    columns = ("id", "problem", "answer", "solution")
    rows = [{name: str(row[name]) if name in row else None for name in columns} for row in ROWS]
    if "parquet" in suffix:
        plain = tmp_path / "plain.parquet"
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), plain)
        data = plain.read_bytes()
        plain.unlink()
    else:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
    problems = load_problems(ProblemSource(source=str(path)))
    assert [problem.gold for problem in problems] == GOLDS
    assert [problem.id for problem in problems] == ["a", "b", "c", "d"]


def test_other_columns_travel_with_the_problem(tmp_path):
    path = write_jsonl(tmp_path / "data.jsonl", ROWS)
    assert load_problems(ProblemSource(source=str(path)))[0].columns == {"level": 3}


def test_columns_can_be_named_and_rows_limited(tmp_path):
    path = write_jsonl(tmp_path / "data.jsonl", [{"question": "q1", "final": "1"}, {"question": "q2", "final": "2"}])
    source = ProblemSource(source=str(path), problem_field="question", answer_field="final", limit=1)
    assert [(problem.text, problem.gold) for problem in load_problems(source)] == [("q1", "1")]


def test_a_folder_and_a_hub_data_set_are_read_too(tmp_path, monkeypatch):
    """The Hub cannot be reached in tests; `datasets` reads the same layout from a local folder by the same call."""
    folder = tmp_path / "org" / "name"
    folder.mkdir(parents=True)
    write_jsonl(folder / "train.jsonl", ROWS[:2])
    assert len(load_problems(ProblemSource(source=str(folder)))) == 2
    import datasets

    real = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", lambda path, *rest, **named: real(str(folder), *rest, **named))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    problems = load_problems(ProblemSource(source="org/other", split="train"))
    assert [problem.gold for problem in problems] == GOLDS[:2]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ('{"problem": "p", "answer": "1"}\n{"problem": \n', "line 2 is not JSON"),
        ('{"problem": "p", "answer": "1"}\n\n[1, 2]\n', "line 3 is not a JSON object"),
        ('{"asked": "p", "answer": "1"}\n', "line 1 has no text in 'problem' (columns: asked, answer)"),
        ('{"problem": "p", "answer": "1"}\n{"problem": "p2"}\n', "1 rows have no gold answer, the first at"),
        (
            '{"id": 1, "problem": "p", "answer": "1"}\n{"id": 1, "problem": "q", "answer": "2"}\n',
            "two rows with the id",
        ),
    ],
)
def test_faults_in_a_file_are_named_with_their_line(tmp_path, content, says):
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        load_problems(ProblemSource(source=str(path)))
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_rows_without_gold_are_left_out_only_on_request(tmp_path):
    path = write_jsonl(tmp_path / "data.jsonl", [*ROWS, {"id": "e", "problem": "?", "answer": "  "}])
    assert len(load_problems(ProblemSource(source=str(path), skip_without_gold=True))) == 4


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing.jsonl", "There is no data file"),
        ("data.xlsx", "of no known kind"),
        ("broken.jsonl.gz", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, says):
    if "missing" not in name:
        (tmp_path / name).write_bytes(b"not gzip")
    with pytest.raises(DataError, match=says):
        load_problems(ProblemSource(source=str(tmp_path / name)))


def test_a_truncated_parquet_file_is_an_error(tmp_path):
    path = tmp_path / "data.parquet"
    path.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        load_problems(ProblemSource(source=str(path)))


def test_completions_take_texts_and_messages(tmp_path):
    messages = [{"role": "user", "content": "hi"}]
    rows = [
        {"prompt": "1 + 1?", "completion": "2"},
        {"prompt": messages, "completion": [{"role": "assistant", "content": "hello"}]},
    ]
    examples = load_completions(CompletionSource(source=str(write_jsonl(tmp_path / "sft.jsonl", rows))))
    assert [example.completion for example in examples] == ["2", "hello"]
    assert examples[1].prompt == tuple(messages)


def test_a_completion_row_without_completion_is_named(tmp_path):
    path = write_jsonl(tmp_path / "sft.jsonl", [{"prompt": "p", "completion": "c"}, {"prompt": "p"}])
    with pytest.raises(DataError, match="line 2 has no text in 'completion'"):
        load_completions(CompletionSource(source=str(path)))


def test_the_real_files_are_read(shared_data):
    gsm8k = load_problems(ProblemSource(source=str(shared_data / "pool" / "gsm8k_train_7473.jsonl.gz")))
    assert len(gsm8k) == 7473
    assert gsm8k[0].gold == "72"
    aime = load_problems(ProblemSource(source=str(shared_data / "bench" / "aime24.jsonl")))
    assert len(aime) == 30


def test_the_real_pool_is_as_dirty_as_it_was_published_and_says_so(shared_data):
    source = str(shared_data / "pool" / "deepscaler_40k.jsonl.gz")
    with pytest.raises(DataError, match="rows have no gold answer"):
        load_problems(ProblemSource(source=source))
    assert len(load_problems(ProblemSource(source=source, skip_without_gold=True))) > 40_000
