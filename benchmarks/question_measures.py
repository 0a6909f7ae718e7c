"""What a finished run of the questions in miniature came to: one line of benchmarks/records/questions.jsonl.

`accuracy`, `tokens`, `truncated` and what is said of wrong completions are of the last model on the test problems, a
sample each; where there are several domains, of all of them together, with `accuracy_DOMAIN` beside it.
`correct_in_training` and `dead_groups` are means over training steps, `foreign_late` over the last tenth of them, of
completions at the rollout's temperature. `pay_of_wrong` is what the process reward would pay wrong completions, whether
or not the run was paid by it, and `beside_the_point` the share of their true equalities that carry nothing to the
answer: both are what gaming it would raise. Not covered: runs that are not finished.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from question_arms import ARMS
from question_runs import BENCH, QuestionRun, end_of

from frugalrl.evaluation.results import Results, read_results
from frugalrl.reporting.run_reader import read_run
from frugalrl.reporting.run_record import RunRecord
from frugalrl.rewards.process import process_derivation, process_reward
from frugalrl.verify.steps.derivation import Derivation

UNITS = {
    "accuracy": "points",
    "accuracy_arithmetic": "points",
    "accuracy_logic": "points",
    "accuracy_programs": "points",
    "correct_in_training": "points",
    "dead_groups": "points",
    "foreign_late": "points",
    "pay_of_wrong": "points",
    "beside_the_point": "points",
    "tokens": "tokens",
    "rollout_tokens": "tokens",
    "tokens_per_right": "tokens",
    "truncated_in_training": "points",
    "equalities": "equalities",
}
"""points: shares in 0..1, shown as percentages."""
HEADINGS = {
    "accuracy": "accuracy",
    "accuracy_arithmetic": "arithmetic",
    "accuracy_logic": "logic",
    "accuracy_programs": "programs",
    "correct_in_training": "correct in training",
    "tokens": "tokens",
    "dead_groups": "groups without variance",
    "rollout_tokens": "tokens sampled",
    "tokens_per_right": "tokens per right answer",
    "truncated_in_training": "cut off in training",
    "foreign_late": "late, not in English",
    "pay_of_wrong": "process pays wrong ones",
    "beside_the_point": "equalities beside the point",
    "equalities": "equalities",
}


def measured(arm: str, job: QuestionRun, root: Path) -> dict[str, Any]:
    """The line of a run."""
    run = read_run(job.folder(root), job.name)
    ends = {name: read_results(end_of(job, root, name)) for name in (Path(bench).stem for bench in job.benches)}
    samples = [one for results in ends.values() for one in results.samples]
    each = {f"accuracy_{name}": fmean(one.is_correct for one in results.samples) for name, results in ends.items()}
    return {
        "arm": arm,
        "recipe": ARMS[arm].recipe,
        "overrides": list(ARMS[arm].overrides),
        "seed": job.seed,
        "accuracy": fmean(one.is_correct for one in samples),
        "tokens": fmean(one.tokens for one in samples),
        "tokens_per_right": sum(one.tokens for one in samples) / max(1, sum(one.is_correct for one in samples)),
        "truncated": fmean(one.is_truncated for one in samples),
        "truncated_in_training": mean_of_steps(run, "completion/truncated_frac"),
        "correct_in_training": mean_of_steps(run, "verdict/correct_frac"),
        "dead_groups": mean_of_steps(run, "group/zero_std_frac"),
        "foreign_late": mean_of_steps(run, "meter/foreign_completion_frac", late=True),
        "rollout_tokens": run.steps[-1][1]["cost/tokens"],
        **(each if len(each) > 1 else {}),
        **of_the_steps(ends[BENCH]),
        "versions": run.summary["versions"],
    }


def mean_of_steps(run: RunRecord, metric: str, late: bool = False) -> float:
    """The mean over the steps that have it; late: over the last tenth of the steps. NaN if none has it."""
    first = 0.9 * run.steps[-1][0] if late else 0.0
    known = [value for step, values in run.steps if step > first and (value := values.get(metric)) is not None]
    return fmean(known) if known else math.nan


def of_the_steps(results: Results) -> dict[str, float]:
    """How the process reward sees the completions: what it pays wrong ones, and how many equalities there are."""
    found = [
        (one.is_correct, process_derivation(one.text, results.problems[one.problem_id].problem, one.extracted))
        for one in results.samples
    ]
    wrong = [derivation for is_correct, derivation in found if not is_correct]
    return {
        "pay_of_wrong": fmean(process_reward(one) or 0.0 for one in wrong) if wrong else 0.0,
        "beside_the_point": share_beside([one for _, one in found]),
        "equalities": fmean(one.stated for _, one in found),
    }


def share_beside(derivations: Sequence[Derivation]) -> float:
    """Of the equalities that hold, the share that carries nothing to the answer. 0 if none holds."""
    true = sum(one.stated - one.wrong for one in derivations)
    return sum(max(0, one.stated - one.wrong - one.carried) for one in derivations) / true if true else 0.0
