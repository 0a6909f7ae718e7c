"""Stored completions judged again: after a fix, with another policy, with a second verifier; and what changed.

Problems, golds and policies are those that the results file holds. Nothing is sampled, and no model is loaded.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Literal

from frugalrl.config.dotted_paths import import_dotted, is_dotted_path
from frugalrl.errors import DataError, OutputError
from frugalrl.evaluation.records import ProblemRecord, SampleRecord
from frugalrl.evaluation.results import FORMAT, SUFFIX, Results, read_results, write_whole
from frugalrl.evaluation.verifier_identity import verifier_digest
from frugalrl.statistics.intervals import Correct, Estimate, avg_at_k
from frugalrl.tasks.judging import judge_groups
from frugalrl.text.reasoning import prefills_think
from frugalrl.types import Completion, Prompt, RolloutGroup, Verdict
from frugalrl.verify import second_verifier
from frugalrl.verify.answers import AnswerPolicy
from frugalrl.verify.workers.pool import DEFAULT_CPU_SECONDS, DEFAULT_WORKERS, VerifierPool

OWN = "frugalrl"
VERIFIERS = (OWN, second_verifier.NAME)

Judge = Callable[[ProblemRecord, Sequence[SampleRecord]], Sequence[Verdict]]
"""Verdicts for samples of one problem, in order."""


@dataclass(frozen=True)
class Settings:
    """Who judges again, and how answers are read."""

    verifier: str = OWN
    """``frugalrl``, ``math-verify``, or the dotted path of a function of completion and gold."""
    several_boxes: Literal["last", "first", "refuse"] = "last"
    without_box: Literal["refuse", "stated"] = "refuse"
    cpu_seconds: float = DEFAULT_CPU_SECONDS
    workers: int = DEFAULT_WORKERS


@dataclass(frozen=True)
class Change:
    """A sample whose verdict is another one now."""

    problem: ProblemRecord
    before: SampleRecord
    after: SampleRecord


@dataclass(frozen=True)
class Regraded:
    """A results file, judged again."""

    path: Path
    before: Results
    after: Results
    changes: tuple[Change, ...]

    @property
    def accuracies(self) -> tuple[Estimate, Estimate]:
        """avg@k before and after; unknown counts as not correct."""
        return avg_at_k(_correct(self.before)), avg_at_k(_correct(self.after))


def results_files(path: Path) -> list[Path]:
    """The results files of a folder (of a run, its evaluations), or the one file. Raises DataError for none."""
    if path.is_file():
        return [path]
    folder = path / "evaluations" if (path / "evaluations").is_dir() else path
    found = [file for file in sorted(folder.glob(f"*{SUFFIX}")) if file.stat().st_size]
    if not found:
        raise DataError(f"{path} holds no results. Name a folder or file that `frugalrl eval` or a run wrote.")
    return found


def regrade(path: Path, settings: Settings, on_progress: Callable[[int, int], object] | None = None) -> Regraded:
    """Judge every sample of a results file again.

    on_progress: gets the number of samples that are judged, and that of all. Raises OutputError for a file without
    problems, DataError and RecipeError for settings that make no sense.
    """
    before = read_results(path)
    lacking = {one.problem_id for one in before.samples} - before.problems.keys()
    if lacking or not before.samples:
        raise OutputError(
            f"{path} holds {'no problems' if lacking else 'no samples'}, so nothing can be judged again. It was "
            "written by an older version, or is not finished: evaluate the model again into a new folder."
        )
    judged: dict[tuple[str, int], SampleRecord] = {}
    grouped = _by_problem(before.samples)
    with _judge(settings) as judge:
        for problem_id, samples in grouped.items():
            verdicts = judge(before.problems[problem_id], samples)
            for sample, verdict in zip(samples, verdicts, strict=True):
                again = replace(sample, verdict=verdict.label, reason=verdict.reason, extracted=verdict.extracted)
                judged[problem_id, sample.sample] = again
            if on_progress is not None:
                on_progress(len(judged), len(before.samples))
    again_judged = tuple(judged[one.problem_id, one.sample] for one in before.samples)
    pairs = zip(before.samples, again_judged, strict=True)
    changes = tuple(
        Change(before.problems[old.problem_id], old, new) for old, new in pairs if old.verdict != new.verdict
    )
    return Regraded(path, before, _after(before, again_judged, settings, len(changes)), changes)


def save(regraded: Regraded, out: Path | None) -> Path:
    """Write the file anew: into the folder `out`, or in place if that is None. Raises OutputError.

    A run's own evaluations are not rewritten: its log and its selection rest on them.
    """
    source = regraded.path
    if out is None and source.parent.name == "evaluations" and (source.parent.parent / "metrics.jsonl").exists():
        raise OutputError(f"{source} belongs to a run, whose log rests on it. Write it elsewhere with --out.")
    target = source if out is None else out / source.name
    if out is not None and target.exists() and target.resolve() != source.resolve():
        raise OutputError(f"{target} exists. Choose another folder with --out, or remove it.")
    write_whole(target, regraded.after)
    return target


def _after(before: Results, samples: tuple[SampleRecord, ...], settings: Settings, changed: int) -> Results:
    own = settings.verifier == OWN
    policy = AnswerPolicy(several_boxes=settings.several_boxes, without_box=settings.without_box)
    words = f"several_boxes={policy.several_boxes} without_box={policy.without_box} percent={policy.percent}"
    header = replace(
        before.header,
        format=FORMAT,
        judged_by=settings.verifier,
        verifier=verifier_digest() if own else "",
        answer_policy=words if own else "",
        frugalrl=metadata.version("frugalrl"),
        math_verify=metadata.version("math-verify"),
        verifier_limit_seconds=settings.cpu_seconds if own else 0.0,
    )
    note = {
        "judged_by_before": before.header.judged_by,
        "verifier_before": before.header.verifier,
        "judged_by": header.judged_by,
        "verifier": header.verifier,
        "changed": changed,
    }
    return replace(before, header=header, samples=samples, regrades=(*before.regrades, note))


# --------------------------------------------------------------------------------------------------- judges


@contextmanager
def _judge(settings: Settings) -> Iterator[Judge]:
    if settings.workers < 1 or not 0 < settings.cpu_seconds < math.inf:
        raise DataError("A verifier needs a process and a time limit above 0. Change workers or cpu_seconds.")
    if settings.verifier == OWN:
        policy = AnswerPolicy(several_boxes=settings.several_boxes, without_box=settings.without_box)
        with VerifierPool(settings.workers, settings.cpu_seconds, policy=policy) as pool:
            yield lambda problem, samples: judge_groups([_group(problem, samples)], pool)[0]
    elif settings.verifier == second_verifier.NAME:
        with second_verifier.SecondVerifier() as second:
            yield lambda problem, samples: [
                second.verdict(one.text, (problem.gold, *problem.also_accepted), prefills_think(problem.prompt))
                for one in samples
            ]
    elif is_dotted_path(settings.verifier):
        function = import_dotted(settings.verifier, "verifier")
        if not callable(function):
            raise DataError(f"{settings.verifier} cannot be called. Name a function of a completion and its gold.")
        yield lambda problem, samples: [_told(function, settings.verifier, problem, one) for one in samples]
    else:
        raise DataError(
            f"There is no verifier {settings.verifier!r}. There are {', '.join(VERIFIERS)}; your own is "
            "module.function."
        )


def _told(function: Callable[[str, str], object], name: str, problem: ProblemRecord, sample: SampleRecord) -> Verdict:
    """What a user's function says of a sample. Raises DataError, with the place, where it fails."""
    try:
        value = function(sample.text, problem.gold)
    except Exception as error:  # of the user's code: any
        raise DataError(
            f"{name} failed on {problem.problem_id} sample {sample.sample}: {type(error).__name__}: {error}. It is "
            "called with a completion and its gold, both texts; correct it."
        ) from error
    return _of_function(value, sample.extracted)


def _of_function(value: object, read: str | None) -> Verdict:
    """True, False, or None for no verdict; a number counts as correct from a half.

    read: the answer as it was read before, which stays: a function says nothing of it, and majorities count answers.
    """
    if value is None:
        return Verdict("unknown", read, "no_verdict")
    if not isinstance(value, bool | int | float) or math.isnan(value):
        raise DataError(f"The verifier gave {value!r}. It should give True, False, or None for no verdict.")
    return Verdict("correct" if value >= 0.5 else "incorrect", read, "as_told")


def _group(problem: ProblemRecord, samples: Sequence[SampleRecord]) -> RolloutGroup:
    prompt = Prompt(problem.as_problem(), problem.prompt, ())
    return RolloutGroup(prompt, tuple(Completion(one.text, (), (), one.finish_reason, (), one.seed) for one in samples))


def _by_problem(samples: Sequence[SampleRecord]) -> Mapping[str, list[SampleRecord]]:
    grouped: dict[str, list[SampleRecord]] = {}
    for one in samples:
        grouped.setdefault(one.problem_id, []).append(one)
    return grouped


def _correct(results: Results) -> Correct:
    return [[one.is_correct for one in own] for own in _by_problem(results.samples).values()]
