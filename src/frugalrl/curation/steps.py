"""The steps by kind: what each needs from outside (benchmarks, tokenizers, verdicts, solvers) and the function it is.

Everything that can be known to fail before the first row is read fails then: unknown benchmarks, a missing key.
"""

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from frugalrl.config import curation_schema as spec
from frugalrl.curation import rule_steps, selection_steps, text_steps
from frugalrl.curation.bands import UNKNOWN_BAND, PassRate, easiest
from frugalrl.curation.endpoint import Endpoint
from frugalrl.curation.gold_steps import equivalence, gold_faults, parsed_golds
from frugalrl.curation.pools import data_folder, expanded
from frugalrl.curation.progress import Progress, Show
from frugalrl.curation.records import Decision, PoolRow, StepOutcome
from frugalrl.curation.sample_cache import SampleCache
from frugalrl.curation.sampling import Question, answered, judgement, pass_rates
from frugalrl.curation.solver import REFUSED, Solver
from frugalrl.curation.witness import WITNESS_TEMPLATE, witness_of
from frugalrl.data.decontamination import build_index
from frugalrl.data.duplicates import near_duplicate_matches
from frugalrl.data.question_rules import Reason
from frugalrl.data.restated_index import SameProblem
from frugalrl.data.statements import DEFAULT_THRESHOLD, Statement, read_statement
from frugalrl.errors import DataError
from frugalrl.evaluation.benchmark_loading import LoadedBenchmark, load_benchmark
from frugalrl.text.language_id import load_identifier
from frugalrl.verify.workers.pool import VerifierPool


@dataclass
class Tools:
    """What steps share and what is made only when a step asks for it. Closed with its stack."""

    spec: spec.CurationSpec
    samples_folder: Path
    show: Show
    stack: ExitStack
    benchmarks: dict[str, LoadedBenchmark] = field(default_factory=dict)
    _cache: SampleCache | None = None
    _solvers: dict[str, Solver] = field(default_factory=dict)
    _statements: dict[str, Statement] = field(default_factory=dict)

    def cache(self) -> SampleCache:
        """The samples of all solvers."""
        if self._cache is None:
            self._cache = self.stack.enter_context(SampleCache(self.samples_folder))
        return self._cache

    def solver(self, name: str) -> Solver:
        """A solver of the spec, loaded once."""
        if name not in self._solvers:
            self._solvers[name] = make_solver(self.spec.solvers[name], self.spec.seed)
        return self._solvers[name]

    def statement(self, text: str) -> Statement:
        """A problem taken apart, once for the steps `duplicates` and `decontaminate`; forgotten when the steps end."""
        found = self._statements.get(text)
        if found is None:
            if not self._statements:
                self.stack.callback(self._statements.clear)
            found = self._statements[text] = read_statement(text)
        return found

    def progress(self, what: str, total: int) -> Progress:
        """Lines with an ETA for a step that takes long."""
        return Progress(what, total, self.show)


def prepare(tools: Tools) -> None:
    """Load what is cheap and often wrong, before any step runs. Raises DataError."""
    folder = Path(data_folder())
    for step in tools.spec.steps:
        if step.skip is not None:
            continue
        if isinstance(step, spec.Decontaminate):
            for name in step.benchmarks:
                tools.benchmarks[name] = load_benchmark(expanded(name), folder)
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


def make_solver(settings: spec.Solver, seed: int) -> Solver:
    """The solver of some settings. Raises ModelError if its model cannot be loaded."""
    if isinstance(settings, spec.EndpointSolver):
        return Endpoint(settings, seed, _api_key(settings.model, settings))
    from frugalrl.curation.engine_solver import InProcess

    return InProcess(settings, seed)


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


def run_step(name: str, step: spec.Step, rows: Sequence[PoolRow], tools: Tools) -> StepOutcome:
    """What a step decides about rows. Raises UserError."""
    return _RUNNERS[type(step)](name, step, rows, tools)


# ------------------------------------------------------------------------------------------- text and golds


def _has_box(name: str, step: spec.HasBox, rows: Sequence[PoolRow], tools: Tools) -> StepOutcome:
    return _outcome(text_steps.has_box(rows))


def _gold_from_solution(name: str, step: spec.GoldFromSolution, rows: Sequence[PoolRow], tools: Tools) -> StepOutcome:
    return _outcome(text_steps.read_golds(rows, step.replace))


def _gold_parses(name: str, step: spec.GoldParses, rows: Sequence[PoolRow], tools: Tools) -> StepOutcome:
    golds = [row.answer for row in rows]
    with VerifierPool(cpu_seconds=step.limit_seconds) as pool:
        faults = gold_faults(golds, pool, tools.progress(name, len(set(golds))))
    return _outcome(parsed_golds(rows, faults, step.action))


def _one_question(name: str, step: spec.OneQuestion, rows: Sequence[PoolRow], tools: Tools) -> StepOutcome:
    return _in_parts(name, rows, tools, lambda part: rule_steps.one_question(part, step.allow))


def _duplicates(name: str, step: spec.Duplicates, rows: Sequence[PoolRow], tools: Tools) -> StepOutcome:
    progress = tools.progress(name, len(rows))
    matches = near_duplicate_matches(
        [row.problem for row in rows],
        DEFAULT_THRESHOLD if step.threshold is None else step.threshold,
        tools.spec.seed,
        lambda done, total: progress(done),
        [row.answer for row in rows],
        tools.statement,
    )
    with VerifierPool(cpu_seconds=step.limit_seconds) as pool:
        return _outcome(rule_steps.without_duplicates(rows, matches, equivalence(pool), lambda done: None))


def _decontaminate(name: str, step: spec.Decontaminate, rows: Sequence[PoolRow], tools: Tools) -> StepOutcome:
    loaded = [tools.benchmarks[one] for one in step.benchmarks]
    texts = {one.name: [(problem.id, problem.text, problem.gold) for problem in one.problems] for one in loaded}
    index = build_index(texts)
    facts: dict[str, dict[str, str]] = {"benchmarks": {one.name: one.data_hash for one in loaded}}
    witness: SameProblem | None = None
    if step.witness is not None:
        settings = tools.spec.solvers[step.witness]
        solver = make_solver(settings.model_copy(update={"template": WITNESS_TEMPLATE}), tools.spec.seed)
        witness, facts["solvers"] = witness_of(solver, tools.cache()), {step.witness: solver.solver_id}
    with VerifierPool(workers=1, cpu_seconds=step.limit_seconds) as pool:
        same = equivalence(pool)
        outcome = _in_parts(
            name, rows, tools, lambda part: rule_steps.without_overlap(part, index, tools.statement, same, witness)
        )
    return StepOutcome(outcome.decisions, facts=facts)


def _language(name: str, step: spec.PromptLanguage, rows: Sequence[PoolRow], tools: Tools) -> StepOutcome:
    identify = load_identifier()
    return _in_parts(name, rows, tools, lambda part: rule_steps.in_language(part, step.language, identify))


def _prompt_tokens(name: str, step: spec.PromptTokens, rows: Sequence[PoolRow], tools: Tools) -> StepOutcome:
    from frugalrl.curation.tokens import token_counter

    progress = tools.progress(name, len(rows))
    return _outcome(text_steps.prompt_tokens(rows, token_counter(step), step.most, progress))


def _mix(name: str, step: spec.Mix, rows: Sequence[PoolRow], tools: Tools) -> StepOutcome:
    decisions, short = selection_steps.mixed(rows, step, tools.spec.seed)
    return StepOutcome(tuple(decisions), tuple(short))


# --------------------------------------------------------------------------------------------- with a model


def _difficulty(name: str, step: spec.Difficulty, rows: Sequence[PoolRow], tools: Tools) -> StepOutcome:
    if step.column is not None:
        return _outcome(selection_steps.difficulty_from_column(rows, step))
    asked = [row for row in rows if row.answer]
    questions = [Question(row.problem, row.answer) for row in asked]
    by_solver: list[list[PassRate | None]] = []
    facts: dict[str, str] = {}
    with VerifierPool(cpu_seconds=_VERDICT_SECONDS) as pool:
        for solver_name in step.solvers:
            solver = tools.solver(solver_name)
            facts[solver_name] = solver.solver_id
            progress = tools.progress(f"{name}, {solver_name}", len(asked))
            by_solver.append(
                pass_rates(
                    questions,
                    solver,
                    solver_name,
                    step.samples,
                    step.bands,
                    step.stop_early,
                    tools.cache(),
                    pool,
                    progress,
                )
            )
    rates = {
        row.id: [rate for rate in own if rate] for row, own in zip(asked, zip(*by_solver, strict=True), strict=True)
    }
    decisions = [_by_rate(row, rates.get(row.id, []), step) for row in rows]
    return StepOutcome(tuple(decisions), _difficulty_notes(decisions, step, tools), {"solvers": facts})


def _by_rate(row: PoolRow, rates: Sequence[PassRate], step: spec.Difficulty) -> Decision:
    if not rates:
        kept = step.missing == "keep" and UNKNOWN_BAND not in step.drop
        reason = "refused_by_solver" if row.answer else "no_gold"
        if step.missing == "error":
            raise DataError(f"The row {row.id} has no pass rate ({reason}). Mend it, or set missing: keep or drop.")
        return Decision(row.id, kept, reason, {}, {"band": UNKNOWN_BAND} if kept else {})
    best = easiest(rates, step.bands)
    others = {one.solver: [one.correct, one.samples] for one in rates} if len(rates) > 1 else {}
    detail = {"band": best.band, "correct": best.correct, **best.values(), **({"all": others} if others else {})}
    kept = best.band not in step.drop
    return Decision(row.id, kept, f"band_{best.band}", detail, best.values() if kept else {})


def _difficulty_notes(decisions: Sequence[Decision], step: spec.Difficulty, tools: Tools) -> tuple[str, ...]:
    notes = []
    for name in step.solvers:
        published = tools.spec.solvers[name].stands_for
        if published:
            notes.append(f"The solver {name} stands in for {published}: its bands are not the published ones.")
    refused = sum(decision.reason == "refused_by_solver" for decision in decisions)
    if refused:
        notes.append(f"{refused:,} problems were refused by the solver (too long for its context, most often).")
    without = sum(decision.reason == "no_gold" for decision in decisions)
    if without:
        notes.append(f"{without:,} problems have no gold, so nothing could be judged; add the step gold_parses before.")
    return tuple(notes)


def _judge(name: str, step: spec.Judge, rows: Sequence[PoolRow], tools: Tools) -> StepOutcome:
    settings = tools.spec.solvers[step.solver]
    judge = make_solver(settings.model_copy(update={"template": step.template}), tools.spec.seed)
    progress = tools.progress(name, len(rows))
    decisions: list[Decision] = []
    for start in range(0, len(rows), judge.batch):
        part = rows[start : start + judge.batch]
        for row, sample in zip(part, answered(judge, [(row.problem, 0) for row in part], tools.cache()), strict=True):
            keep = None if sample.finish_reason == REFUSED else judgement(sample)
            said = {"said": text_steps.shortened(sample.completion[-text_steps.EVIDENCE_CHARS :])}
            if keep is None:
                decisions.append(Decision(row.id, step.unclear == "keep", "judge_unclear", said))
            else:
                decisions.append(Decision(row.id, keep, "judge_keep" if keep else "judge_drop", {} if keep else said))
        progress(len(decisions))
    unclear = sum(decision.reason == "judge_unclear" for decision in decisions)
    notes = (
        [f"{unclear:,} of {len(rows):,} answers of the judge were neither KEEP nor DROP: {step.unclear}."]
        if unclear
        else []
    )
    if settings.stands_for:
        notes.append(f"The judge {step.solver} stands in for {settings.stands_for}.")
    return StepOutcome(tuple(decisions), tuple(notes), {"solvers": {step.solver: judge.solver_id}})


_PART_ROWS = 250
_VERDICT_SECONDS = 5.0
"""As `frugalrl eval`: a verdict must not depend on how busy the machine is."""


def _in_parts(
    name: str, rows: Sequence[PoolRow], tools: Tools, work: Callable[[Sequence[PoolRow]], list[Decision]]
) -> StepOutcome:
    """A step that looks at each row alone, a part at a time for the sake of progress."""
    progress = tools.progress(name, len(rows))
    decisions: list[Decision] = []
    for start in range(0, len(rows), _PART_ROWS):
        decisions += work(rows[start : start + _PART_ROWS])
        progress(len(decisions))
    return StepOutcome(tuple(decisions))


def _outcome(decisions: Sequence[Decision]) -> StepOutcome:
    return StepOutcome(tuple(decisions))


_RUNNERS: Mapping[type, Callable[..., StepOutcome]] = {
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
