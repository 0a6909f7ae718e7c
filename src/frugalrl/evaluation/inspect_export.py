"""Results as an inspect_ai log (version 2, JSON), so that its viewer and its analysis open ours. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from frugalrl.evaluation.records import ProblemRecord, SampleRecord
from frugalrl.evaluation.results import Results
from frugalrl.statistics.intervals import avg_at_k
from frugalrl.types import VerdictLabel

_VALUES: Mapping[VerdictLabel, str] = {"correct": "C", "incorrect": "I", "unknown": "N"}
_SCORER = "frugalrl"


def inspect_log(results: Results, created: str) -> dict[str, Any]:
    """The log as plain values. created: an ISO 8601 time, with its zone."""
    header = results.header
    ids = list(dict.fromkeys(one.problem_id for one in results.samples))
    epochs = 1 + max(one.sample for one in results.samples)
    by_problem: dict[str, list[bool]] = {}
    for one in results.samples:
        by_problem.setdefault(one.problem_id, []).append(one.is_correct)
    accuracy = avg_at_k(list(by_problem.values()))
    name = f"{header.benchmark}-{header.model_hash}"
    config = {"temperature": header.temperature, "top_p": header.top_p, "max_tokens": header.max_completion_tokens}
    config["seed"] = header.seed
    stated = {name: value for name, value in config.items() if value >= 0}
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": name,
            "run_id": name,
            "created": created,
            "task": header.benchmark,
            "task_id": name,
            "task_version": 0,
            "task_args": {},
            "dataset": {"name": header.benchmark, "location": header.source, "samples": len(ids), "sample_ids": ids},
            "model": header.model,
            "model_generate_config": stated,
            "model_args": {"weights": header.model_hash, "dtype": header.dtype},
            "config": {"epochs": epochs},
            "packages": {"frugalrl": header.frugalrl},
            "metadata": {"judged_by": header.judged_by, "verifier": header.verifier, "data_hash": header.data_hash},
        },
        "plan": {"name": "plan", "steps": [], "config": stated},
        "results": {
            "total_samples": len(results.samples),
            "completed_samples": len(results.samples),
            "scores": [_score(accuracy.value, accuracy.ci_low, accuracy.ci_high)],
        },
        "stats": {"started_at": created, "completed_at": created, "model_usage": {}},
        "samples": [
            _sample(one, results.problems.get(one.problem_id) or ProblemRecord(one.problem_id, "", ""), header.model)
            for one in results.samples
        ],
    }


def _score(value: float, low: float, high: float) -> dict[str, Any]:
    metrics = {"accuracy": value, "ci_low": low, "ci_high": high}
    return {
        "name": _SCORER,
        "scorer": _SCORER,
        "params": {},
        "metrics": {name: {"name": name, "value": number, "params": {}} for name, number in metrics.items()},
    }


def _sample(one: SampleRecord, problem: ProblemRecord, model: str) -> dict[str, Any]:
    asked = _messages(problem)
    answer = {"role": "assistant", "content": one.text, "source": "generate", "model": model}
    return {
        "id": one.problem_id,
        "epoch": one.sample + 1,
        "input": problem.problem,
        "target": [problem.gold, *problem.also_accepted] if problem.also_accepted else problem.gold,
        "messages": [*asked, answer],
        "output": {
            "model": model,
            "choices": [{"message": answer, "stop_reason": "max_tokens" if one.is_truncated else "stop"}],
            "completion": one.text,
            "usage": {"input_tokens": 0, "output_tokens": one.tokens, "total_tokens": one.tokens},
        },
        "scores": {
            _SCORER: {"value": _VALUES[one.verdict], "answer": one.extracted, "explanation": one.reason},
        },
        "metadata": {**problem.columns, "prompt": problem.prompt, "seed": one.seed},
        "store": {},
        "events": [],
        "model_usage": {},
        "attachments": {},
    }


def _messages(problem: ProblemRecord) -> Sequence[Mapping[str, str]]:
    """The messages where a server was asked by them, else the problem as the user's."""
    try:
        found = json.loads(problem.prompt.removesuffix("\n<think>\n"))
    except ValueError:
        found = None
    if isinstance(found, list) and all(isinstance(one, dict) and "role" in one and "content" in one for one in found):
        return [{"role": str(one["role"]), "content": str(one["content"])} for one in found]
    return [{"role": "user", "content": problem.problem}]
