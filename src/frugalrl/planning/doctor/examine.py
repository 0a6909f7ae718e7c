"""The examination: every check of the doctor on one recipe, with the real policy, template, data and rewards.

Two parts. The cheap one (`before_start`) needs what a run has loaded anyway, and `train` makes it by itself. The whole
one also samples, scores, and tries an update on its own copy; nothing is kept of it.

A check that raises is a red finding: whatever broke here would break the run.
"""

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from frugalrl.config.engine_schema import VllmEngineSettings
from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import DataError, FrugalRLError, ModelError, RecipeError, UserError
from frugalrl.planning.doctor.data_checks import data_findings, overlap_finding
from frugalrl.planning.doctor.environment_checks import device_finding, environment_findings
from frugalrl.planning.doctor.finding import Examination, Finding, finding_lines
from frugalrl.planning.doctor.model_checks import model_findings
from frugalrl.planning.doctor.optimisation_checks import learning_rate_findings, loss_findings
from frugalrl.planning.doctor.plan_checks import nearest, plan_findings
from frugalrl.planning.doctor.reward_checks import reward_findings
from frugalrl.planning.doctor.sampled import sampled_findings
from frugalrl.planning.doctor.settings_checks import settings_findings
from frugalrl.planning.doctor.size_checks import size_findings
from frugalrl.planning.doctor.statistics_checks import statistics_findings
from frugalrl.planning.forecast.shape import shape_of_config
from frugalrl.reporting.run_log import RunLog
from frugalrl.rewards.registry import is_built_in
from frugalrl.rewards.rubric import RewardFunctions, build_rubric
from frugalrl.training.model.kernels import ready_kernels
from frugalrl.training.model.policy import Policy, load_policy, trainable_parameters
from frugalrl.training.problem_sets import ProblemSets, load_problem_sets
from frugalrl.training.run import Run, load_run, samples_here
from frugalrl.training.state.random_state import random_values, restore_random_states
from frugalrl.training.state.run_folder import DEFAULT_PARENT
from frugalrl.types import Prompt
from frugalrl.verify.answers import configure_default_pool

Check = Callable[[], Sequence[Finding]]


def examine(
    recipe: TrainRecipe,
    out: Path | None = None,
    minutes: float = 3.0,
    cheap: bool = False,
    functions: RewardFunctions | None = None,
    data_folder: Path | None = None,
) -> Examination:
    """Examine a recipe. Nothing is raised: whatever is wrong is a finding.

    out: the folder that the run would have. minutes: how long sampling may take; what would take longer is left out and
    said. cheap: no sampling, no update. data_folder: where the benchmarks lie, for overlap.
    """
    began = time.monotonic()
    findings = _checked("environment", lambda: environment_findings(recipe, out, os.environ))
    if any(one.name == "environment/hub" and one.level == "red" for one in findings):
        return Examination(recipe.name, tuple(findings), time.monotonic() - began)  # there is nothing to load
    with _scratch(recipe, out or DEFAULT_PARENT) as scratch, RunLog(scratch, (), recipe.name) as log:
        notes: list[str] = []
        try:
            run = load_run(recipe, scratch, None, log, notes.append, functions)
        except (Exception, SystemExit) as error:  # of the user's code, a template or a file: the run has it too
            findings += [_load_failure(error), *_parts_of_a_broken_run(recipe, functions)]
        else:
            try:
                findings += _of_a_loaded_run(run, notes, out or DEFAULT_PARENT, with_functions=True)
                if data_folder is not None and data_folder.is_dir():
                    train = [prompt.problem for prompt in run.problems.train]
                    findings += _checked("data/overlap", lambda: [overlap_finding(train, data_folder)])
                if not cheap:
                    ready_kernels(run.policy, run.show, samples_here(recipe), learns=True)
                    findings += _checked("sampling", lambda: sampled_findings(run, 60 * minutes, _checked))
            finally:
                run.close()
    return Examination(recipe.name, tuple(findings), time.monotonic() - began)


@contextmanager
def _scratch(recipe: TrainRecipe, out: Path) -> Iterator[Path]:
    """A folder that is gone afterwards; where servers read weights from the run's, it lies beside that."""
    served = isinstance(recipe.rollout.engine, VllmEngineSettings)
    place = nearest(out) if served and os.access(nearest(out), os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place, prefix=".doctor-" if place else None) as folder:
        if served:
            Path(folder).chmod(0o755)  # a server may run as another user
        yield Path(folder)


def before_start(run: Run, notes: Sequence[str] = ()) -> tuple[Finding, ...]:
    """The cheap part, for a run that is about to start. Random states are left as they were.

    A user's reward function is not called here: it may count its calls, or cost money.
    """
    states = random_values()
    try:
        return tuple(_of_a_loaded_run(run, notes, run.folder, with_functions=False))
    finally:
        restore_random_states(states)


def checking(show: Callable[[str], None], ignore: bool) -> Callable[[Run], None]:
    """What `trainer.train` calls with a run that is about to start."""
    return lambda run: refuse_red(before_start(run), show, ignore)


def refuse_red(findings: Sequence[Finding], show: Callable[[str], None], ignore: bool) -> None:
    """Show what is not green, and raise RecipeError if something is red and is not to be ignored."""
    bad = [one for one in findings if one.level != "green"]
    for line in finding_lines(bad):
        show(line)
    reds = [one for one in bad if one.level == "red"]
    if reds and not ignore:
        raise RecipeError(
            f"The run does not start, for {', '.join(one.name for one in reds)}: {reds[0].message} Fix: {reds[0].fix}. "
            "Or start all the same with --ignore-doctor."
        )


# -------------------------------------------------------------------------------------------- the cheap part


def _of_a_loaded_run(run: Run, notes: Sequence[str], folder: Path, with_functions: bool) -> list[Finding]:
    """folder: where the run is written, or would be."""
    recipe, policy, problems = run.recipe, run.policy, run.problems
    own = [term.name for term in recipe.rewards if not is_built_in(term.name)]
    rubric = run.rubric(recipe.rollout.max_completion_tokens)
    findings = _of_the_model(recipe, policy, problems.train)
    findings += _of_the_data(recipe, problems, notes)
    if with_functions or not own:
        findings += _checked("rewards", lambda: reward_findings(recipe, rubric, policy.tokenizer, problems.train))
    findings += _checked("plan", lambda: _of_the_plan(run, folder))
    return findings + _of_the_statistics(recipe, problems)


def _of_the_plan(run: Run, folder: Path) -> list[Finding]:
    """Memory, disk and budget. Several processes are not planned yet."""
    if run.world.size > 1:
        return []
    return plan_findings(run.recipe, shape_of_config(run.policy.model.config), run.policy.device, folder)


def _of_the_model(recipe: TrainRecipe, policy: Policy, train: Sequence[Prompt]) -> list[Finding]:
    size = trainable_parameters(policy.model)
    findings = [device_finding(policy.device, size, recipe.model.dtype)]
    findings += _checked("model", lambda: model_findings(recipe, policy, train[0])) if train else []
    return findings + _checked("optimisation", lambda: _of_the_settings(recipe, policy))


def _of_the_settings(recipe: TrainRecipe, policy: Policy) -> list[Finding]:
    shape = shape_of_config(policy.model.config)
    rates = learning_rate_findings(recipe.optimizer, shape.parameters, adapters=recipe.model.lora is not None)
    settings = settings_findings(recipe, int(policy.model.config.vocab_size))
    return [*rates, *loss_findings(recipe.algorithm.loss), *settings, *size_findings(recipe, shape)]


def _of_the_data(recipe: TrainRecipe, problems: ProblemSets, notes: Sequence[str]) -> list[Finding]:
    return _checked("data", lambda: data_findings(recipe, problems, notes))


def _of_the_statistics(recipe: TrainRecipe, problems: ProblemSets) -> list[Finding]:
    counts = len(problems.validation), len(problems.test)
    return _checked("statistics", lambda: statistics_findings(recipe.evaluation, *counts, recipe.seed))


def _checked(subject: str, check: Check) -> list[Finding]:
    """The findings of a check; if it raises, one that says so."""
    try:
        return list(check())
    except (Exception, SystemExit) as error:  # of a reward, a template, a tokenizer: the run would meet it too
        return [_failure(f"{subject}/failed", error)]


def _failure(name: str, error: BaseException) -> Finding:
    notes = " ".join(getattr(error, "__notes__", ()))
    said = str(error) if isinstance(error, FrugalRLError) else f"{type(error).__name__}: {error}"
    message, _, fix = said.replace("\n", " ").rpartition(". ") if isinstance(error, UserError) else (said, "", "")
    fix = fix if message else ""  # one sentence says what happened, and not what to do
    return Finding(
        name,
        "red",
        f"{message or said} {notes}".strip().rstrip(".") + ".",
        fix or "Correct what the message names: the run would end there",
    )


_SUBJECTS: Mapping[type[UserError], str] = {ModelError: "model", DataError: "data", RecipeError: "recipe"}


def _load_failure(error: BaseException) -> Finding:
    if isinstance(error, ModelError) and re.match(r"The server http|Rollouts are to come from", str(error)):
        return _failure("environment/server", error)
    return _failure(f"{_subject_of(error)}/load", error)


def _subject_of(error: BaseException) -> str:
    return next((name for kind, name in _SUBJECTS.items() if isinstance(error, kind)), "recipe")


def _parts_of_a_broken_run(recipe: TrainRecipe, functions: RewardFunctions | None) -> list[Finding]:
    """What can still be said where loading failed: the model without the data, the rewards without a run."""
    configure_default_pool(**recipe.verifier.model_dump())
    try:
        policy = load_policy(recipe.model)
    except Exception:  # already reported
        return []
    findings = []
    notes: list[str] = []
    problems: ProblemSets | None
    try:
        problems = load_problem_sets(recipe, policy.tokenizer, notes.append)
    except Exception:  # already reported
        problems = None
    findings += _of_the_model(recipe, policy, [] if problems is None else problems.train)
    if problems is not None:
        train, cap = problems.train, recipe.rollout.max_completion_tokens
        findings += _of_the_data(recipe, problems, notes) + _of_the_statistics(recipe, problems)
        try:
            rubric = build_rubric(recipe.rewards, cap, functions)
        except Exception:  # already reported
            return findings
        findings += _checked("rewards", lambda: reward_findings(recipe, rubric, policy.tokenizer, train))
    return findings
