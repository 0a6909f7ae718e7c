"""From results files to the samples that a page shows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from frugalrl.evaluation.records import ProblemRecord, SampleRecord
from frugalrl.evaluation.results import Results
from frugalrl.evaluation.scores import GROUPED_BY
from frugalrl.reporting.sample_browser import Samples, ShownProblem, ShownSample
from frugalrl.text.language import Identify, label_sentences
from frugalrl.text.reasoning import prefills_think

Language = Callable[[str], str]
"""Of a completion: empty where it is the expected one."""
_MOST_CHARS_OF_TAG = 40
_READ_CHARS = 3_000


@dataclass(frozen=True)
class Evaluated:
    """One model: what it is called, and its results by benchmark."""

    name: str
    results: tuple[Results, ...]


def language_of(identify: Identify) -> Language:
    """Names the first other language than English near the beginning of a completion, by its code."""

    def found(text: str) -> str:
        for sentence, label in label_sentences(text[:_READ_CHARS], identify):
            if label == "foreign":
                return identify(sentence)[0]
        return ""

    return found


def samples_of(models: Sequence[Evaluated], language: Language) -> Samples:
    """All samples of all models, those of one problem together whichever model they are of."""
    problems: dict[tuple[str, str], ShownProblem] = {}
    places: dict[tuple[str, str], int] = {}
    shown: list[ShownSample] = []
    for source, model in enumerate(models):
        for results in model.results:
            for one in results.samples:
                key = results.header.benchmark, one.problem_id
                record = problem_of(results, one.problem_id)
                if key not in places:
                    places[key] = len(places)
                    problems[key] = shown_problem(results.header.benchmark, record)
                shown.append(shown_sample(one, record, places[key], source, language(one.text)))
    shown.sort(key=lambda one: (one.problem, one.source, one.number))
    return Samples(tuple(model.name for model in models), "model", tuple(problems.values()), tuple(shown))


def problem_of(results: Results, problem_id: str) -> ProblemRecord:
    """A file of an older version holds no problems: its samples are shown without."""
    return results.problems.get(problem_id) or ProblemRecord(problem_id, problem_id, "")


def shown_problem(benchmark: str, record: ProblemRecord) -> ShownProblem:
    """A problem of a results file."""
    gold = " or ".join((record.gold, *record.also_accepted))
    return ShownProblem(record.problem_id, benchmark, record.problem, gold, record.prompt, tags_of(record.columns))


def tags_of(columns: Mapping[str, object]) -> dict[str, str]:
    """The columns by which samples can be filtered."""
    return {
        name: str(columns[name])
        for name in GROUPED_BY
        if isinstance(columns.get(name), str | int) and len(str(columns[name])) <= _MOST_CHARS_OF_TAG
    }


def shown_sample(one: SampleRecord, record: ProblemRecord, problem: int, source: int, language: str) -> ShownSample:
    """A sample of a results file. problem, source: its places on the page."""
    return ShownSample(
        problem=problem,
        source=source,
        number=one.sample,
        verdict=one.verdict,
        reason=one.reason,
        tokens=one.tokens,
        truncated=one.is_truncated,
        answer=one.extracted,
        text=one.text,
        reasoning_open=prefills_think(record.prompt) or ("<think>" in one.text and "</think>" not in one.text),
        language=language,
    )
