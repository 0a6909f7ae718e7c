"""Logs of other evaluation tools as results of ours, so that their numbers get intervals, pages and a second judge.

Read here: inspect_ai (`.json`, `.eval`), lm-evaluation-harness (`results_*.json` with `samples_*.jsonl`), lighteval
(`results_*.json` with `details_*.parquet`); written by inspect_ai 0.3.285, lm_eval 0.4.13, lighteval 0.13.0.

Decisions:
- A verdict is the tool's own: correct where its score is C, true, or at least a half. `frugalrl regrade` judges again.
- What a log does not say is not made up: a temperature, top_p or token limit of -1 stands for "not stated".
- Where a tool scored one of several responses of a problem, the others are left out, and a note says so. A score of all
  of them together is no verdict on the first, unless it is 0, or a mean of 1.
- A metric that is none of those known here counts only if all its values lie in 0..1: a perplexity is no verdict.
"""

import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from frugalrl.data.fingerprint import problems_hash
from frugalrl.data.sources import read_rows
from frugalrl.data.tables import decompressed_zstd
from frugalrl.errors import DataError
from frugalrl.evaluation.records import ProblemRecord, SampleRecord
from frugalrl.evaluation.results import FORMAT, Results, ResultsHeader

_NOT_STATED = -1
_ZSTD = 93
_SCORES = ("exact_match", "math_verify", "extractive_match", "acc", "acc_norm", "pass@k", "accuracy")
"""Metrics that say whether an answer is right, the first that a log has."""
_NO_METRICS = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash",
    "target_hash",
}  # fmt: skip
"""Columns of lm_eval's rows, where an old version does not list the metrics."""


_UNREADABLE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError, RuntimeError, zipfile.BadZipFile,
    zlib.error, struct.error,
)  # fmt: skip
"""What reading a file that is no such log, or a damaged one, raises."""
_WORDS = {"C": 1.0, "I": 0.0, "P": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""inspect_ai's correct, incorrect, partly right and no answer, and the words that it reads as numbers."""
_OF_ALL = ("pass@", "maj@", "majority@", "g-pass@")
"""How metrics begin that a single right response of several may decide."""


@dataclass(frozen=True)
class Imported:
    """Results of one task of a log, and what was left out of it."""

    results: Results
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Scored:
    """One response, in any tool's log."""

    id: str
    number: int
    problem: str
    gold: tuple[str, ...]
    prompt: str
    text: str
    score: float | None
    reason: str
    answer: str | None = None
    tokens: int = 0
    truncated: bool = False
    choices: tuple[str, ...] = ()
    columns: Mapping[str, Any] | None = None


def import_log(path: Path) -> list[Imported]:
    """The tasks of a log: a file, or the folder of one model. Raises DataError for what is no log that is known."""
    if not path.exists():
        raise DataError(f"There is nothing at {path}. Name a log of inspect_ai, lm-evaluation-harness or lighteval.")
    try:
        found = list(_tasks(path))
    except _UNREADABLE as error:
        raise DataError(
            f"{path} cannot be read as a log: {type(error).__name__} {error}. Logs of inspect_ai 0.3, lm_eval 0.4 and "
            "lighteval 0.13 are known."
        ) from None
    if not found:
        raise DataError(
            f"{path} holds no samples of a log that is known. Give an inspect_ai log, or the folder that lm_eval "
            "(--log_samples) or lighteval (--save-details) wrote."
        )
    return found


def _tasks(path: Path) -> Iterator[Imported]:
    if path.is_file():
        if path.suffix == ".eval" or (path.suffix == ".json" and not path.name.startswith("results_")):
            yield _inspect(path)
        else:
            yield from _harness([path] if path.name.startswith("samples_") else [])
        return
    for log in sorted([*path.rglob("*.eval"), *path.rglob("*.json")]):
        if log.suffix == ".eval" or not log.name.startswith("results_"):
            yield _inspect(log)
    yield from _harness(sorted(path.rglob("samples_*.jsonl")))
    yield from _lighteval(sorted(path.rglob("details_*.parquet")))


# ------------------------------------------------------------------------------------------------ inspect_ai


def _inspect(path: Path) -> Imported:
    log = _inspect_log(path)
    spec = log["eval"]
    config = {**(spec.get("model_generate_config") or {}), **((log.get("plan") or {}).get("config") or {})}
    version = (spec.get("packages") or {}).get("inspect_ai", "unknown version")
    scored: list[_Scored] = []
    names: set[str] = set()
    for sample in log.get("samples") or []:
        scores: dict[str, dict[str, Any]] = sample.get("scores") or _old_score(sample)
        name, score = next(iter(scores.items()), ("", dict[str, Any]()))
        names.add(name)
        output = sample.get("output") or {}
        choice = (output.get("choices") or [{}])[0]
        target = sample["target"]
        scored.append(
            _Scored(
                id=str(sample["id"]),
                number=int(sample["epoch"]) - 1,
                problem=_text_of(sample["input"]),
                gold=tuple(map(str, target)) if isinstance(target, list) else (str(target),),
                prompt=json.dumps(_prompt_messages(sample), ensure_ascii=False),
                text=_inspect_text(choice, output),
                score=_number(score.get("value")),
                reason=str(score.get("value")) if score else "not_scored",
                answer=score.get("answer") if isinstance(score.get("answer"), str) else None,
                tokens=int((output.get("usage") or {}).get("output_tokens") or 0),
                truncated=choice.get("stop_reason") in ("max_tokens", "model_length"),
                choices=tuple(sample.get("choices") or ()),
                columns=sample.get("metadata") or {},
            )
        )
    notes = [f"{path.name} ended with status {log['status']}"] if log.get("status") != "success" else []
    notes += [f"{len(names)} scorers; the first of each sample counts"] if len(names) > 1 else []
    expected = _samples_of(spec)
    notes += [f"{len(scored)} of {expected} samples are in the log"] if len(scored) < expected else []
    maker = f"inspect_ai {version} {next(iter(names), '')}".strip()
    name = str(spec.get("task", "log")).rsplit("/", 1)[-1]
    return Imported(_results(name, str(spec.get("model")), maker, config, scored, str(path)), tuple(notes))


def _old_score(sample: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Logs of early versions hold one score, without its scorer's name."""
    score = sample.get("score")
    return {"score": dict(score)} if isinstance(score, Mapping) else {}


def _samples_of(spec: Mapping[str, Any]) -> int:
    """As many as the evaluation was to have; 0 if the log does not say."""
    data, config = spec.get("dataset") or {}, spec.get("config") or {}
    problems, epochs, limit = data.get("samples"), config.get("epochs") or 1, config.get("limit")
    if not isinstance(problems, int) or not isinstance(epochs, int):
        return 0
    return (min(problems, limit) if isinstance(limit, int) else problems) * epochs


def _inspect_log(path: Path) -> dict[str, Any]:
    if path.suffix == ".json":
        log: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return log
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        log = json.loads(_entry(path, entries["header.json"]))
        names = sorted(name for name in entries if name.startswith("samples/"))
        log["samples"] = [json.loads(_entry(path, entries[name])) for name in names]
    return log


def _entry(path: Path, info: zipfile.ZipInfo) -> bytes:
    """An entry's bytes; inspect_ai compresses with zstd, which Python 3.11's zipfile cannot read."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name_length, extra_length = struct.unpack("<HH", file.read(30)[26:30])
        file.seek(name_length + extra_length, 1)
        data = file.read(info.compress_size)
    if info.compress_type == _ZSTD:
        return decompressed_zstd(data)
    return zlib.decompress(data, -15) if info.compress_type == zipfile.ZIP_DEFLATED else data


def _prompt_messages(sample: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"role": str(one.get("role")), "content": _text_of(one.get("content"))}
        for one in sample.get("messages") or []
        if one.get("role") != "assistant"
    ]


def _inspect_text(choice: Mapping[str, Any], output: Mapping[str, Any]) -> str:
    content = (choice.get("message") or {}).get("content")
    if not isinstance(content, list):
        return str(output.get("completion") or content or "")
    reasoning = "".join(str(one.get("reasoning") or "") for one in content if one.get("type") == "reasoning")
    answer = "".join(str(one.get("text") or "") for one in content if one.get("type") == "text")
    return f"<think>{reasoning}</think>{answer}" if reasoning else answer


def _text_of(value: Any) -> str:
    """A text, the last user's message, or the texts of a message's parts."""
    if isinstance(value, str):
        return value
    users = [one for one in value or [] if one.get("role") == "user"]
    if users:
        return _text_of(users[-1].get("content"))
    return "".join(str(one.get("text") or "") for one in value or [] if isinstance(one, Mapping))


# ----------------------------------------------------------------------------------- lm-evaluation-harness


def _harness(files: Sequence[Path]) -> Iterator[Imported]:
    for file in files:
        rows = [dict(row) for _, row in read_rows(file)]
        if not rows:
            raise DataError(f"{file} holds no sample. Log samples with the tool, and import again.")
        stamp = file.stem.rsplit("_", 1)[-1]
        results = file.with_name(f"results_{stamp}.json")
        about = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else {}
        filters = list(dict.fromkeys(str(row.get("filter")) for row in rows))
        kept = [row for row in rows if str(row.get("filter")) == filters[0]]
        notes = [f"filters {', '.join(filters)}: {filters[0]} counts"] if len(filters) > 1 else []
        if any(len(row["resps"][0]) > 1 for row in kept if isinstance(row["resps"][0], list)):
            notes.append("lm_eval scored one of several responses of a problem; the others are left out")
        if not all(isinstance(_response(row), str) for row in kept):
            notes.append("log-likelihoods of choices, and no text: they cannot be judged again")
        name = file.stem.removeprefix("samples_").removesuffix(f"_{stamp}")
        metric, more = _metric(kept[0].get("metrics") or kept[0], file)
        notes += more
        maker = f"lm_eval {about.get('lm_eval_version', 'unknown version')} {metric}"
        settings = kept[0].get("arguments", {}).get("gen_args_0", {}).get("arg_1")
        config = dict(settings) if isinstance(settings, dict) else {}
        if config.get("do_sample") is False:
            config["temperature"] = 0.0
        config["max_tokens"] = config.get("max_gen_toks", _NOT_STATED)
        model = str((about.get("config") or {}).get("model_args") or about.get("model_name") or "unknown")
        yield Imported(
            _results(name, model, maker, config, [_of_harness(row, metric) for row in kept], str(file)), tuple(notes)
        )


def _response(row: Mapping[str, Any]) -> Any:
    """The first one."""
    raw = row["resps"][0]
    return raw[0] if isinstance(raw, list) and raw else raw


def _of_harness(row: Mapping[str, Any], metric: str) -> _Scored:
    prompt = str(row["arguments"]["gen_args_0"]["arg_0"])
    doc = row.get("doc") or {}
    text = next((str(doc[name]) for name in ("problem", "question", "query") if isinstance(doc.get(name), str)), prompt)
    responses = row["filtered_resps"]
    first = responses[0] if responses else ""
    raw = _response(row)
    return _Scored(
        id=str(row["doc_id"]),
        number=0,
        problem=text,
        gold=tuple(map(str, row["target"])) if isinstance(row["target"], list) else (str(row["target"]),),
        prompt=prompt,
        text=raw if isinstance(raw, str) else json.dumps(raw),
        score=_number(row.get(metric)),
        reason=metric,
        answer=first if isinstance(first, str) else None,
        columns={name: value for name, value in doc.items() if isinstance(value, str | int | float)},
    )


def _metric(names: Iterable[Any], file: Path) -> tuple[str, list[str]]:
    """The metric that says what is right, and a note where there are others. Raises DataError for none."""
    known = [str(one) for one in names if str(one) not in _NO_METRICS]
    if not known:
        raise DataError(f"{file} holds no metric of a single sample. Log samples with their scores, and import again.")
    chosen = next((one for one in _SCORES if one in known), known[0])
    return chosen, [f"metrics {', '.join(known)}: {chosen} counts"] if len(known) > 1 else []


# ------------------------------------------------------------------------------------------------ lighteval


def _lighteval(files: Sequence[Path]) -> Iterator[Imported]:
    for file in files:
        rows = [dict(row) for _, row in read_rows(file)]
        stamp = file.stem.rsplit("_", 1)[-1]
        found = sorted(file.parents[min(3, len(file.parents) - 1)].rglob(f"results_{stamp}.json"))
        about = json.loads(found[0].read_text(encoding="utf-8")).get("config_general", {}) if found else {}
        config = (about.get("model_config") or {}).get("generation_parameters") or {}
        config = {**config, "max_tokens": config.get("max_new_tokens") or _NOT_STATED}
        name = file.stem.removeprefix("details_").removesuffix(f"_{stamp}").replace("|", "-")
        if not rows:
            raise DataError(f"{file} holds no sample. Save details with the tool, and import again.")
        metric, notes = _metric(_plain(rows[0]["metric"]), file)
        several = any(len(_plain(row["model_response"]).get("text") or ()) > 1 for row in rows)
        notes += ["lighteval keeps one score a problem; further responses are left out"] if several else []
        scored = [_of_lighteval(row, metric, at) for at, row in enumerate(rows)]
        model = str(about.get("model_name") or (about.get("model_config") or {}).get("model_name") or "unknown")
        yield Imported(_results(name, model, f"lighteval {metric}", config, scored, str(file)), tuple(notes))


def _of_lighteval(row: Mapping[str, Any], metric: str, at: int) -> _Scored:
    doc, response, scores = (_plain(row[name]) for name in ("doc", "model_response", "metric"))
    gold = doc["gold_index"]
    golds = tuple(str(doc["choices"][one]) for one in (gold if isinstance(gold, list) else [gold]))
    texts, tokens = response.get("text") or [""], response.get("output_tokens") or [[]]
    reasoning = (response.get("reasonings") or [None])[0]
    text = f"<think>{reasoning}</think>{texts[0]}" if reasoning else str(texts[0])
    return _Scored(
        id=str(doc.get("id") or at),
        number=0,
        problem=str(doc["query"]),
        gold=golds,
        prompt=str(response.get("input") or doc["query"]),
        text=text,
        score=_of_the_first(_number(scores.get(metric)), metric, len(texts)),
        reason=metric,
        tokens=len(tokens[0]) if tokens and isinstance(tokens[0], list) else 0,
    )


def _of_the_first(score: float | None, metric: str, responses: int) -> float | None:
    """What a score says of the first of several responses; None where it may have been right or wrong."""
    if responses < 2 or score == 0:
        return score
    return score if score == 1 and not metric.startswith(_OF_ALL) else None


def _plain(value: Any) -> dict[str, Any]:
    """lighteval writes columns as structures, or as their text in JSON."""
    found = json.loads(value) if isinstance(value, str) else value
    return dict(found)


# ------------------------------------------------------------------------------------------------ to our own


def _results(
    benchmark: str, model: str, maker: str, config: Mapping[str, Any], scored: Sequence[_Scored], source: str
) -> Results:
    if not scored:
        raise DataError(f"{source} holds no sample. Log samples with the tool, and import again.")
    _refuse_what_is_no_verdict(scored, maker, source)
    problems = {one.id: _problem(one) for one in scored}
    header = ResultsHeader(
        benchmark=benchmark,
        model=model,
        step=None,
        # Of two models that no log names nothing says that they are the same.
        model_hash=_hash("imported", maker.split()[0], model, *([source] if model in ("unknown", "None") else [])),
        prompt_hash=_hash("imported", *(problem.prompt for problem in problems.values())),
        data_hash=problems_hash([problem.as_problem() for problem in problems.values()]),
        temperature=_stated(config.get("temperature")),
        top_p=_stated(config.get("top_p")),
        max_completion_tokens=int(_stated(config.get("max_tokens"))),
        seed=int(_stated(config.get("seed"))),
        dtype="not stated",
        frugalrl="",
        math_verify="",
        verifier_limit_seconds=0.0,
        format=FORMAT,
        verifier="",
        answer_policy="",
        judged_by=maker,
        asked_through=maker.split()[0],
        source=source,
    )
    return Results(header, tuple(map(_sample, scored)), (), problems)


def _refuse_what_is_no_verdict(scored: Sequence[_Scored], maker: str, source: str) -> None:
    """Raise DataError for samples that stand twice, and for scores that cannot be right or wrong."""
    repeated = len(scored) - len({(one.id, one.number) for one in scored})
    if repeated:
        raise DataError(f"{repeated} samples occur twice in {source}. Import the log of one evaluation.")
    outside = next((one.score for one in scored if one.score is not None and not 0 <= one.score <= 1), None)
    if outside is not None:
        raise DataError(
            f"The score of {source} ({maker}) is {outside:g} for a sample, and right or wrong lies in 0..1. Log a "
            "metric that says whether an answer is right, such as exact_match."
        )


def _problem(one: _Scored) -> ProblemRecord:
    columns: dict[str, Any] = dict(one.columns or {})
    if one.choices:
        lines = "\n".join(f"{letter}) {text}" for letter, text in zip("ABCDEFGHIJ", one.choices, strict=False))
        text = f"{one.problem}\n\n{lines}"
        return ProblemRecord(one.id, text, one.gold[0], one.gold[1:], None, "choice", one.prompt, columns)
    gold, *others = one.gold or ("",)
    return ProblemRecord(one.id, one.problem, gold, tuple(others), None, "maths", one.prompt, columns)


def _sample(one: _Scored) -> SampleRecord:
    verdict = "unknown" if one.score is None else "correct" if one.score >= 0.5 else "incorrect"
    return SampleRecord(
        problem_id=one.id,
        sample=one.number,
        seed=_NOT_STATED,
        tokens=one.tokens,
        finish_reason="length" if one.truncated else "stop",
        extracted=one.answer,
        verdict=verdict,  # type: ignore[arg-type]  # one of the three above
        reason=one.reason,
        text=one.text,
    )


def _number(value: Any) -> float | None:
    """A score, or None for what is none."""
    if isinstance(value, bool | int | float):
        return float(value) if math.isfinite(value) else None
    return _WORDS.get(value, _WORDS.get(value.lower())) if isinstance(value, str) else None


def _stated(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float(_NOT_STATED)


def _hash(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:16]
