"""k samples of each problem through a rollout engine, judged, and kept as records.

Seeds follow from the evaluation's seed, the problem and the sample's number, so base and trained model meet
the same randomness, a rerun gives the same numbers, and more samples only add.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from frugalrl.config.schema import EvaluationSettings
from frugalrl.errors import OutputError
from frugalrl.evaluation.records import Evaluation, SampleRecord
from frugalrl.files import written_whole
from frugalrl.rewards.rubric import verdicts_of
from frugalrl.rollout.collect import collect_groups
from frugalrl.rollout.engine import RolloutEngine, SamplingParams
from frugalrl.types import Prompt, RolloutGroup


def evaluate(
    engine: RolloutEngine,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    settings: EvaluationSettings,
    max_completion_tokens: int,
) -> Evaluation:
    """Sample and judge. There is at least one prompt."""
    sampling = SamplingParams(
        max_completion_tokens=settings.max_completion_tokens or max_completion_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
    )
    seed_parts = ("evaluation", settings.seed)
    groups = collect_groups(engine, tokenizer, prompts, settings.samples_per_problem, sampling, seed_parts)
    return Evaluation(tuple(prompts), tuple(_records(group) for group in groups))


def save_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Write the records as JSONL, all or nothing. Raises OutputError."""
    with written_whole(path) as file:
        for samples in evaluation.records:
            file.writelines(json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in samples)


def load_evaluation(prompts: Sequence[Prompt], path: Path) -> Evaluation:
    """The records of `save_evaluation`, for the same prompts. Raises OutputError if they do not fit."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        records = [SampleRecord(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise OutputError(f"{path} cannot be read: {error}. Remove it to evaluate again.") from None
    by_problem: dict[str, list[SampleRecord]] = {prompt.problem.id: [] for prompt in prompts}
    for record in records:
        if record.problem_id not in by_problem:
            raise OutputError(f"{path} holds other problems than the recipe's. Remove it to evaluate again.")
        by_problem[record.problem_id].append(record)
    return Evaluation(tuple(prompts), tuple(map(tuple, by_problem.values())))


def _records(group: RolloutGroup) -> tuple[SampleRecord, ...]:
    return tuple(
        SampleRecord(
            problem_id=group.prompt.problem.id,
            sample=number,
            verdict=verdict.label,
            reason=verdict.reason,
            extracted=verdict.extracted,
            completion_tokens=len(completion.token_ids),
            truncated=completion.finish_reason == "length",
            text=completion.text,
        )
        for number, (completion, verdict) in enumerate(zip(group.completions, verdicts_of(group), strict=True))
    )
