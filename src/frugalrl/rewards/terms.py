"""The built-in terms of a rubric: what each reward reads from a group, passed to its formula.

A term gives one value for each completion, in order; None is "no verdict". A term that needs a verdict pays nothing if
it is unknown.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from frugalrl.rewards import open_rs, process_model
from frugalrl.rewards.format import code_format_reward, format_reward, tag_count_reward
from frugalrl.rewards.length import cosine_reward, group_length_rewards, soft_overlong_reward
from frugalrl.rewards.process import process_derivation, process_reward
from frugalrl.rewards.reasoning_steps import reasoning_steps_reward
from frugalrl.rewards.user_functions import Values
from frugalrl.text.language import language_code, language_fraction, language_reward
from frugalrl.text.language_id import load_identifier
from frugalrl.text.meter import clean_reward, meter_text
from frugalrl.text.reasoning import prefills_think
from frugalrl.text.repetition import repetition_reward, words_of
from frugalrl.types import RolloutGroup, Verdict
from frugalrl.verify.answers import CORRECT_VALUE, judge
from frugalrl.verify.code import checker as code_reward
from frugalrl.verify.maths.extraction import AnswerPolicy, extract_answer

Verdicts = Sequence[Verdict]
_STATED_TOO = AnswerPolicy(without_box="stated")
"""For the process reward a plain "A: 26" is the answer, whatever the run's own policy says of boxes."""


def accuracy(group: RolloutGroup, verdicts: Verdicts) -> Values:
    """1 for correct, 0 for incorrect, None for unknown."""
    return [CORRECT_VALUE[verdict.label] for verdict in verdicts]


def format_(group: RolloutGroup, verdicts: Verdicts) -> Values:
    """`format_reward`."""
    reasoning_open = _prefilled(group)
    return [format_reward(text, reasoning_open) for text in _texts(group)]


def code_format(group: RolloutGroup, verdicts: Verdicts) -> Values:
    """`code_format_reward`."""
    reasoning_open = _prefilled(group)
    return [code_format_reward(text, reasoning_open) for text in _texts(group)]


def tag_count(group: RolloutGroup, verdicts: Verdicts, **settings: Any) -> Values:
    """`tag_count_reward`."""
    reasoning_open = _prefilled(group)
    return [tag_count_reward(text, reasoning_open, **settings) for text in _texts(group)]


def reasoning_steps(group: RolloutGroup, verdicts: Verdicts, **settings: Any) -> Values:
    """`reasoning_steps_reward`."""
    reasoning_open = _prefilled(group)
    return [reasoning_steps_reward(text, reasoning_open, **settings) for text in _texts(group)]


def cosine(group: RolloutGroup, verdicts: Verdicts, **settings: Any) -> Values:
    """`cosine_reward`; None for unknown."""
    return [
        None
        if verdict.label == "unknown"
        else cosine_reward(verdict.label == "correct", len(completion.token_ids), **settings)
        for completion, verdict in zip(group.completions, verdicts, strict=True)
    ]


def length(group: RolloutGroup, verdicts: Verdicts) -> Values:
    """`group_length_rewards` over the completions with a verdict; None for the others."""
    known = [index for index, verdict in enumerate(verdicts) if verdict.label != "unknown"]
    rewards = group_length_rewards(
        [verdicts[index].label == "correct" for index in known],
        [len(group.completions[index].token_ids) for index in known],
    )
    values: list[float | None] = [None] * len(verdicts)
    for index, reward in zip(known, rewards, strict=True):
        values[index] = reward
    return values


def soft_overlong(group: RolloutGroup, verdicts: Verdicts, **settings: Any) -> Values:
    """`soft_overlong_reward`."""
    return [soft_overlong_reward(len(completion.token_ids), **settings) for completion in group.completions]


def repetition_settings(ngram_size: int = 3, max_penalty: float = -1.0, over_tokens: bool = False) -> None:
    """What the term `repetition` takes. Raises ValueError as `repetition_reward` does.

    over_tokens: n-grams of token ids, which see loops in scripts without spaces; else of words.
    """
    repetition_reward((), ngram_size, max_penalty)


def repetition(group: RolloutGroup, verdicts: Verdicts, over_tokens: bool = False, **settings: Any) -> Values:
    """`repetition_reward` over words or token ids."""
    return [
        repetition_reward(completion.token_ids if over_tokens else words_of(completion.text), **settings)
        for completion in group.completions
    ]


def language_settings(target_language: str = "en", strict: bool = False) -> None:
    """What the term `language` takes: an ISO 639-1 code, and all or nothing. Raises ValueError for another code."""
    language_code(target_language)


def clean_settings(target_language: str = "en") -> None:
    """What the term `clean` takes. Raises ValueError for what is no ISO 639-1 code."""
    language_code(target_language)


def language(group: RolloutGroup, verdicts: Verdicts, target_language: str = "en", **settings: Any) -> Values:
    """`language_reward` of the share of sentences in the target language."""
    identify = load_identifier()
    return [language_reward(language_fraction(text, identify, target_language), **settings) for text in _texts(group)]


def clean(group: RolloutGroup, verdicts: Verdicts, target_language: str = "en") -> Values:
    """`clean_reward` of the meter's report."""
    identify, reasoning_open = load_identifier(), _prefilled(group)
    return [
        clean_reward(
            meter_text(
                completion.text,
                identify,
                reasoning_open,
                completion.finish_reason == "length",
                target_language,
            )
        )
        for completion in group.completions
    ]


def process(group: RolloutGroup, verdicts: Verdicts, verifier_checks: int = 4) -> Values:
    """`process_reward` of what a completion's equalities carry from the problem to the answer it gives."""
    reasoning_open, problem = _prefilled(group), group.prompt.problem.text
    values = []
    for text in _texts(group):
        answer = extract_answer(text, reasoning_open, _STATED_TOO).answer
        values.append(process_reward(process_derivation(text, problem, answer, _judged_equal, verifier_checks)))
    return values


def load_process_model(**settings: Any) -> tuple[process_model.StepScorer, process_model.Aggregate]:
    """The scorer (loaded once) and how its scores are put together. Raises ModelError."""
    chosen = process_model.process_model_settings(**settings)
    return process_model.load_step_scorer(chosen), chosen.aggregate


def process_model_term(group: RolloutGroup, verdicts: Verdicts, **settings: Any) -> Values:
    """`process_model_reward` of a stored classifier's scores."""
    scorer, aggregate = load_process_model(**settings)
    reasoning_open = _prefilled(group)
    problem = group.prompt.problem.text
    return [
        process_model.process_model_reward(scorer(problem, process_model.steps_of(text, reasoning_open)), aggregate)
        for text in _texts(group)
    ]


def code(group: RolloutGroup, verdicts: Verdicts, **settings: Any) -> Values:
    """The code reward: each completion's program against the tests in the problem's columns."""
    return code_reward.code_rewards(
        _texts(group), group.prompt.problem, _prefilled(group), code_reward.code_settings(**settings)
    )


def open_rs_accuracy(group: RolloutGroup, verdicts: Verdicts) -> Values:
    """As released."""
    solution = _released_solution(group)
    return [open_rs.open_rs_accuracy(text, solution) for text in _texts(group)]


def open_rs_format(group: RolloutGroup, verdicts: Verdicts) -> Values:
    """As released."""
    return [open_rs.open_rs_format(text) for text in _texts(group)]


def open_rs_tag_count(group: RolloutGroup, verdicts: Verdicts) -> Values:
    """As released."""
    return [open_rs.open_rs_tag_count(text) for text in _texts(group)]


def open_rs_cosine(group: RolloutGroup, verdicts: Verdicts, **settings: Any) -> Values:
    """As released."""
    solution = _released_solution(group)
    return [
        open_rs.open_rs_cosine(open_rs.open_rs_verdict(text, solution), len(text), **settings) for text in _texts(group)
    ]


def open_rs_length(group: RolloutGroup, verdicts: Verdicts) -> Values:
    """As released, on one group: its effect across prompts needs a batch, and is not reproduced."""
    solution = _released_solution(group)
    right = [open_rs.open_rs_accuracy(text, solution) == 1.0 for text in _texts(group)]
    return open_rs.open_rs_length(right, [len(text) for text in _texts(group)])


def open_rs_repetition(group: RolloutGroup, verdicts: Verdicts, **settings: Any) -> Values:
    """As released."""
    return [open_rs.open_rs_repetition(text, **settings) for text in _texts(group)]


def open_rs_reasoning_steps(group: RolloutGroup, verdicts: Verdicts) -> Values:
    """As released."""
    return [open_rs.open_rs_reasoning_steps(text) for text in _texts(group)]


def _texts(group: RolloutGroup) -> list[str]:
    return [completion.text for completion in group.completions]


def _prefilled(group: RolloutGroup) -> bool:
    return prefills_think(group.prompt.text)


def _judged_equal(left: str, right: str) -> bool | None:
    label = judge(f"\\boxed{{{left}}}", right).label
    return None if label == "unknown" else label == "correct"


def _released_solution(group: RolloutGroup) -> str:
    """The data set's `solution` column, or the gold as the released data has it: between dollars."""
    columns: Mapping[str, Any] = group.prompt.problem.columns
    solution = columns.get("solution")
    return solution if isinstance(solution, str) and solution else f"${group.prompt.problem.gold}$"
