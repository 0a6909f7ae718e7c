"""The steps by kind: what each needs from outside (benchmarks, tokenizers, verdicts, solvers) and the function it is.

What can be checked before the first row is read fails then: unknown benchmarks, a missing key.
"""

import difflib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from frugalrl.config import curation_schema as spec
from frugalrl.curation import rule_steps, selection_steps, text_steps
from frugalrl.curation.bands import PassRate, Unrated
from frugalrl.curation.endpoint import Endpoint
from frugalrl.curation.gold_steps import GoldReader, equivalence, parsed_golds
from frugalrl.curation.model_steps import judge_decision, rate_decision
from frugalrl.curation.overlap_texts import OverlapTexts, load_overlap_texts
from frugalrl.curation.pools import data_folder, expanded
from frugalrl.curation.progress import Progress, Show
from frugalrl.curation.records import Deciding, Decision, Ending, PoolRow
from frugalrl.curation.row_store import Texts, in_parts
from frugalrl.curation.sample_cache import SampleCache
from frugalrl.curation.sampling import Failures, Questions, answered, pass_rates
from frugalrl.curation.sampling_facts import SampleCounts, SamplingFacts, counted, sampling_notes
from frugalrl.curation.solver import FAILED, NO_ANSWER, Solver
from frugalrl.curation.witness import WITNESS_TEMPLATE, witness_of
from frugalrl.data.decontamination import build_index
from frugalrl.data.duplicates import near_duplicate_matches
from frugalrl.data.question_rules import Reason
from frugalrl.data.restated_index import SameProblem
from frugalrl.data.sources import check_local
from frugalrl.data.statements import DEFAULT_THRESHOLD, Statement, read_statement
from frugalrl.errors import DataError
from frugalrl.text.language_id import load_identifier
from frugalrl.verify.workers.pool import VerifierPool


class Statements:
    """Problems taken apart, for the steps that compare them; the first `HELD` are remembered for the next step."""

    HELD = 40_000

    def __init__(self) -> None:
        self._known: dict[str, Statement] = {}

    def __call__(self, text: str) -> Statement:
        found = self._known.get(text)
        if found is None:
            found = read_statement(text)
            if len(self._known) < self.HELD:
                self._known[text] = found
        return found


@dataclass
class Tools:
    """What steps share and what is made only when a step asks for it. Closed with its stack."""

    spec: spec.CurationSpec
    samples_folder: Path
    show: Show
    stack: ExitStack
    benchmarks: dict[str, OverlapTexts] = field(default_factory=dict)
    statement: Callable[[str], Statement] = field(default_factory=Statements)
    _cache: SampleCache | None = None
    _solvers: dict[str, Solver] = field(default_factory=dict)

    def cache(self) -> SampleCache:
        """The samples of all solvers."""
        if self._cache is None:
            self._cache = self.stack.enter_context(SampleCache(self.samples_folder))
        return self._cache

    def solver(self, name: str) -> Solver:
        """A solver of the spec, loaded once."""
        if name not in self._solvers:
            self._solvers[name] = make_solver(self.spec.solvers[name], self.spec.seed, self.show)
        return self._solvers[name]

    def progress(self, what: str, total: int) -> Progress:
        """Lines with an ETA for a long step."""
        return Progress(what, total, self.show)


def prepare(tools: Tools) -> None:
    """Load what is cheap and often wrong, before any step runs. Raises DataError."""
    folder = Path(data_folder())
    named = [name for step in tools.spec.steps if isinstance(step, spec.Decontaminate) for name in step.benchmarks]
    check_local([expanded(name) for name in named if "/" in name])  # before any other is asked of the Hub
    for step in tools.spec.steps:
        if step.skip is not None:
            continue
        if isinstance(step, spec.Decontaminate):
            for name in step.benchmarks:
                tools.benchmarks[name] = load_overlap_texts(expanded(name), folder)
        if isinstance(step, spec.OneQuestion):
            _refuse_unknown_reasons(step)
    for name, solver in tools.spec.solvers.items():
        if isinstance(solver, spec.EndpointSolver):
            _api_key(name, solver)


def _refuse_unknown_reasons(step: spec.OneQuestion) -> None:
    known = get_args(Reason)
    for name in step.allow:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            raise DataError(f"The step one_question knows no reason {name!r}. {hint}There are {', '.join(known)}.")


def make_solver(settings: spec.Solver, seed: int, say: Show) -> Solver:
    """The solver of some settings. say: takes a line of progress. Raises ModelError if its model cannot be loaded."""
    if isinstance(settings, spec.EndpointSolver):
        tokens = None
        if settings.tokenizer is not None:
            from frugalrl.curation.tokens import load_token_texts

            tokens = load_token_texts(settings.tokenizer)
        return Endpoint(settings, seed, _api_key(settings.model, settings), tokens=tokens)
    from frugalrl.curation.engine_solver import InProcess

    return InProcess(settings, seed, say)


def _api_key(name: str, settings: spec.EndpointSolver) -> str | None:
    if settings.api_key_env is None:
        return None
    key = os.environ.get(settings.api_key_env)
    if not key:
        raise DataError(
            f"The solver {name} takes its key from {settings.api_key_env}, which is not set. Set it, or take "
            "api_key_env out."
        )
    return key


def run_step(name: str, step: spec.Step, rows: Sequence[PoolRow], tools: Tools) -> Deciding:
    """What a step decides about rows, one after another. Raises UserError."""
    return _RUNNERS[type(step)](name, step, rows, tools)


# ------------------------------------------------------------------------------------------- text and golds


def _has_box(name: str, step: spec.HasBox, rows: Sequence[PoolRow], tools: Tools) -> Deciding:
    yield from _in_parts(name, rows, tools, text_steps.has_box)
    return Ending()


def _gold_from_solution(name: str, step: spec.GoldFromSolution, rows: Sequence[PoolRow], tools: Tools) -> Deciding:
    yield from _in_parts(name, rows, tools, lambda part: text_steps.read_golds(part, step.replace))
    return Ending()


def _gold_parses(name: str, step: spec.GoldParses, rows: Sequence[PoolRow], tools: Tools) -> Deciding:
    with VerifierPool(cpu_seconds=step.limit_seconds) as pool:
        reader = GoldReader(pool)

        def judged(part: Sequence[PoolRow]) -> list[Decision]:
            return parsed_golds(part, reader.faults(row.answer for row in part), step.action)

        yield from _in_parts(name, rows, tools, judged, _GOLDS_AT_ONCE)
    return Ending()


def _one_question(name: str, step: spec.OneQuestion, rows: Sequence[PoolRow], tools: Tools) -> Deciding:
    identify = load_identifier()
    unread: Counter[str] = Counter()
    for decision in _in_parts(name, rows, tools, lambda part: rule_steps.one_question(part, step.allow, identify)):
        if decision.reason.startswith(rule_steps.NOT_JUDGED):
            unread[decision.reason.removeprefix(rule_steps.NOT_JUDGED)] += 1
        yield decision
    if not unread:
        return Ending()
    listed = ", ".join(f"{language} {count:,}" for language, count in unread.most_common(8))
    return Ending(
        (
            f"{unread.total():,} of {len(rows):,} problems were not judged and are kept: the question rules read "
            f"English, and these are in another language or too short to tell ({listed}).",
        )
    )


def _duplicates(name: str, step: spec.Duplicates, rows: Sequence[PoolRow], tools: Tools) -> Deciding:
    progress = tools.progress(name, len(rows))
    matches = near_duplicate_matches(
        Texts(rows, _problem),
        DEFAULT_THRESHOLD if step.threshold is None else step.threshold,
        tools.spec.seed,
        lambda done, total: progress(done),
        Texts(rows, _answer),
        tools.statement,
    )
    with VerifierPool(cpu_seconds=step.limit_seconds) as pool:
        yield from rule_steps.without_duplicates(rows, matches, equivalence(pool))
    return Ending()


def _decontaminate(name: str, step: spec.Decontaminate, rows: Sequence[PoolRow], tools: Tools) -> Deciding:
    loaded = [tools.benchmarks[one] for one in step.benchmarks]
    index = build_index({one.name: one.rows for one in loaded})
    facts: dict[str, dict[str, str]] = {"benchmarks": {one.name: one.data_hash for one in loaded}}
    witness: SameProblem | None = None
    if step.witness is not None:
        settings = tools.spec.solvers[step.witness]
        solver = make_solver(settings.model_copy(update={"template": WITNESS_TEMPLATE}), tools.spec.seed, tools.show)
        witness, facts["solvers"] = witness_of(solver, tools.cache()), {step.witness: solver.solver_id}
    with VerifierPool(workers=1, cpu_seconds=step.limit_seconds) as pool:
        same = equivalence(pool)
        yield from _in_parts(
            name, rows, tools, lambda part: rule_steps.without_overlap(part, index, tools.statement, same, witness)
        )
    notes = [
        f"{one.name} has no gold for {one.without_gold:,} of {len(one.rows):,} rows: reworded copies of them are not "
        "looked for by answer."
        for one in loaded
        if one.without_gold
    ]
    return Ending(tuple(notes), facts)


def _language(name: str, step: spec.PromptLanguage, rows: Sequence[PoolRow], tools: Tools) -> Deciding:
    identify = load_identifier()
    yield from _in_parts(name, rows, tools, lambda part: rule_steps.in_language(part, step.language, identify))
    return Ending()


def _prompt_tokens(name: str, step: spec.PromptTokens, rows: Sequence[PoolRow], tools: Tools) -> Deciding:
    from frugalrl.curation.tokens import token_counter

    count = token_counter(step)
    yield from _in_parts(name, rows, tools, lambda part: text_steps.prompt_tokens(part, count, step.most), 1000)
    return Ending()


def _mix(name: str, step: spec.Mix, rows: Sequence[PoolRow], tools: Tools) -> Deciding:
    taken, short = selection_steps.quotas_taken(rows, step, tools.spec.seed)
    yield from selection_steps.mixed(rows, taken)
    return Ending(tuple(short))


# --------------------------------------------------------------------------------------------- with a model


def _difficulty(name: str, step: spec.Difficulty, rows: Sequence[PoolRow], tools: Tools) -> Deciding:
    if step.column is not None:
        notes = selection_steps.column_notes(rows, step)
        yield from _in_parts(name, rows, tools, lambda part: selection_steps.difficulty_from_column(part, step))
        return Ending(tuple(notes))
    questions = Questions(rows)
    sampling = {solver: SamplingFacts(name, solver) for solver in step.solvers}
    with VerifierPool(cpu_seconds=_VERDICT_SECONDS) as pool:
        by_solver = [_rates(name, solver, questions, step, tools, pool) for solver in step.solvers]
        found = zip(*by_solver, strict=True)
        for row in rows:
            rates: tuple[PassRate | Unrated, ...] = next(found) if row.answer else ()
            for solver, rate in zip(step.solvers, rates, strict=False):
                why = rate.why if isinstance(rate, Unrated) else None
                sampling[solver] = sampling[solver].with_problem(rate.counts, why)
            yield rate_decision(row, rates, step)
        next(found, None)  # each solver's end, where failures are summed up
    notes = _difficulty_notes(len(rows) - len(questions), list(sampling.values()), step, tools)
    solvers = {solver: tools.solver(solver).solver_id for solver in step.solvers}
    return Ending(tuple(notes), {"solvers": solvers, "sampling": {name: [one.to_json() for one in sampling.values()]}})


def _rates(
    name: str, solver: str, questions: Questions, step: spec.Difficulty, tools: Tools, pool: VerifierPool
) -> Iterator[PassRate | Unrated]:
    progress = tools.progress(f"{name}, {solver}", len(questions))
    return pass_rates(
        questions,
        tools.solver(solver),
        solver,
        step.samples,
        step.bands,
        step.stop_early,
        tools.cache(),
        pool,
        progress,
        step.cut_off,
    )


def _difficulty_notes(
    without_gold: int, sampling: Sequence[SamplingFacts], step: spec.Difficulty, tools: Tools
) -> list[str]:
    notes = []
    for name in step.solvers:
        published = tools.spec.solvers[name].stands_for
        if published:
            notes.append(f"The solver {name} stands in for {published}: its bands are not the published ones.")
    notes += sampling_notes(sampling)
    if without_gold:
        notes.append(
            f"{without_gold:,} problems have no gold, so nothing could be judged; add the step gold_parses before."
        )
    return notes


def _judge(name: str, step: spec.Judge, rows: Sequence[PoolRow], tools: Tools) -> Deciding:
    settings = tools.spec.solvers[step.solver]
    judge = make_solver(settings.model_copy(update={"template": step.template}), tools.spec.seed, tools.show)
    progress = tools.progress(name, len(rows))
    failures = Failures(len(rows), judge.most_failed, step.solver)
    counts, reasons = SampleCounts(), Counter[str]()
    for part in in_parts(rows, judge.batch):
        for row, answer in zip(part, answered(judge, [(row.problem, 0) for row in part], tools.cache()), strict=True):
            failures.add(answer.said if answer.finish_reason == FAILED else None)
            decision = judge_decision(row, answer, step)
            if answer.finish_reason not in NO_ANSWER:
                counts += counted(answer.finish_reason, answer.completion, "", answer.prompt_tokens, answer.tokens)
            reasons[decision.reason] += 1
            yield decision
        progress(reasons.total())
    failures.end()
    sampling = SamplingFacts(name, step.solver, counts, len(rows), reasons["judge_refused"], reasons["judge_failed"])
    notes = sampling_notes([sampling])
    if reasons["judge_unclear"]:
        notes.insert(
            0,
            f"{reasons['judge_unclear']:,} of {len(rows):,} answers of the judge were neither KEEP nor DROP: "
            f"{step.unclear}.",
        )
    if settings.stands_for:
        notes.append(f"The judge {step.solver} stands in for {settings.stands_for}.")
    facts = {"solvers": {step.solver: judge.solver_id}, "sampling": {name: [sampling.to_json()]}}
    return Ending(tuple(notes), facts)


_PART_ROWS, _GOLDS_AT_ONCE = 250, 2000
_VERDICT_SECONDS = 5.0
"""As `frugalrl eval`: a verdict must not depend on how busy the machine is."""


def _in_parts(
    name: str,
    rows: Sequence[PoolRow],
    tools: Tools,
    work: Callable[[Sequence[PoolRow]], list[Decision]],
    size: int = _PART_ROWS,
) -> Iterator[Decision]:
    """A step that looks at each row alone, a part at a time."""
    progress = tools.progress(name, len(rows))
    done = 0
    for part in in_parts(rows, size):
        yield from work(part)
        done += len(part)
        progress(done)


def _problem(row: PoolRow) -> str:
    return row.problem


def _answer(row: PoolRow) -> str:
    return row.answer


_RUNNERS: Mapping[type, Callable[..., Deciding]] = {
    spec.HasBox: _has_box,
    spec.GoldFromSolution: _gold_from_solution,
    spec.GoldParses: _gold_parses,
    spec.OneQuestion: _one_question,
    spec.Duplicates: _duplicates,
    spec.Decontaminate: _decontaminate,
    spec.PromptLanguage: _language,
    spec.PromptTokens: _prompt_tokens,
    spec.Difficulty: _difficulty,
    spec.Judge: _judge,
    spec.Mix: _mix,
}
