"""What should stop a person, not the run: signs in the first steps that nothing can be learned.

Pure: scored groups in, sentences out. Each says what happened, the likely cause, and what to do.
"""

from collections import Counter
from collections.abc import Sequence

from frugalrl.types import ScoredCompletion, ScoredGroup

ALARM_STEP = 3
"""Alarms look at the first three steps together: with one step a constant reward may be chance."""


def alarms(groups: Sequence[ScoredGroup]) -> list[str]:
    """Warnings about all the groups of the first steps; empty if all is well."""
    completions = [scored for group in groups for scored in group.completions]
    warnings = []
    if all(scored.completion.finish_reason == "length" for scored in completions):
        longest = max(len(scored.completion.token_ids) for scored in completions)
        warnings.append(
            f"Every completion of the first {ALARM_STEP} steps was truncated at {longest} tokens, so none could "
            "be right. Raise rollout.max_completion_tokens, or check that the model's end tokens are in its "
            "generation_config.json."
        )
    for name in completions[0].breakdown:
        values = {scored.breakdown[name] for scored in completions}
        if len(values) == 1:
            warnings.append(_constant(name, values.pop(), completions))
    return warnings


def _constant(name: str, value: float | None, completions: Sequence[ScoredCompletion]) -> str:
    shown = "gave no verdict" if value is None else f"was {value:g}"
    return (
        f"The reward {name} {shown} for every completion of the first {ALARM_STEP} steps: it teaches nothing. "
        f"{_likely_cause(name, value, completions)}"
    )


_CAUSES = {
    "unclosed_reasoning": "no reasoning was closed with </think>: raise rollout.max_completion_tokens, or ask for "
    "the format in data.prompt",
    "no_box": "no answer stood in \\boxed{}: ask for it in data.prompt",
    "empty_box": "the box was empty",
    "different": "the answers were read and were wrong: choose easier problems or a stronger model",
    "unparseable_gold": "the gold answers cannot be read: check the data's answer_field with frugalrl check-golds",
}


def _likely_cause(name: str, value: float | None, completions: Sequence[ScoredCompletion]) -> str:
    if value is not None and value > 0 and name in ("accuracy", "format"):
        return "Every completion passes: choose harder problems, or drop this reward."
    reason, times = Counter(scored.verdict.reason for scored in completions).most_common(1)[0]
    share = f"{times} of {len(completions)} completions"
    if reason in _CAUSES:
        return f"Likely cause ({share}): {_CAUSES[reason]}."
    return f"Most common verdict ({share}): {reason}. Look at samples.jsonl in the run's folder."
