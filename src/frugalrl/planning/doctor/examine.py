"""The examination: every check of the doctor on one recipe, with the real policy, template, data and rewards.

Two parts. The cheap one (`before_start`) needs what a run has loaded anyway, and `train` makes it by itself. The whole
one also samples, scores, and tries an update on its own copy; nothing is kept of it.

A check that raises is a red finding: whatever broke here would break the run.
"""

import os
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import DataError, FrugalRLError, ModelError, RecipeError, UserError
from frugalrl.planning.doctor.data_checks import data_findings, overlap_finding
from frugalrl.planning.doctor.environment_checks import device_finding, environment_findings
from frugalrl.planning.doctor.finding import Examination, Finding, finding_lines
from frugalrl.planning.doctor.model_checks import model_findings
from frugalrl.planning.doctor.optimisation_checks import (
    learning_rate_findings,
    loss_findings,
    trial_findings,
    trial_step,
)
from frugalrl.planning.doctor.plan_checks import measured_finding, peak_gb, plan_findings
from frugalrl.planning.doctor.reward_checks import reward_findings
from frugalrl.planning.doctor.sampling_checks import (
    MANY_TRUNCATED,
    LongerCap,
    SampleSettings,
    sampling_findings,
)
from frugalrl.planning.doctor.statistics_checks import statistics_findings
from frugalrl.planning.forecast.planning import memory_here
from frugalrl.planning.forecast.shape import shape_of_config
from frugalrl.reporting.run_log import RunLog
from frugalrl.rewards.registry import is_built_in
from frugalrl.rewards.rubric import RewardFunctions, build_rubric, score_groups
from frugalrl.rollout.collect import collect_groups
from frugalrl.rollout.engine import SamplingParams
from frugalrl.text.language_id import load_identifier
from frugalrl.text.meter import meter_text
from frugalrl.text.reasoning import prefills_think
from frugalrl.training.model.policy import Policy, load_policy, trainable_parameters
from frugalrl.training.problem_sets import ProblemSets, load_problem_sets
from frugalrl.training.run import Run, load_run
from frugalrl.training.state.random_state import random_values, restore_random_states
from frugalrl.training.state.run_folder import DEFAULT_PARENT
from frugalrl.types import Prompt, RolloutGroup
from frugalrl.verify.answers import configure_default_pool

_COMPLETIONS = 64
_FEWEST_GROUPS = 4
_TRIAL_TOKENS = 16
_TRIED = 16
"""Completions at each longer cap."""
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
    with tempfile.TemporaryDirectory() as scratch, RunLog(Path(scratch), (), recipe.name) as log:
        notes: list[str] = []
        try:
            run = load_run(recipe, Path(scratch), None, log, notes.append, functions)
        except Exception as error:  # of the user's code, a template or a file: whatever it is, the run has it too
            findings += [_load_failure(error), *_parts_of_a_broken_run(recipe, functions)]
        else:
            try:
                findings += _of_a_loaded_run(run, notes, out or DEFAULT_PARENT, with_functions=True)
                if data_folder is not None and data_folder.is_dir():
                    train = [prompt.problem for prompt in run.problems.train]
                    findings += _checked("data/overlap", lambda: [overlap_finding(train, data_folder)])
                if not cheap:
                    findings += _checked("sampling", lambda: _sampled(run, 60 * minutes))
            finally:
                run.close()
    return Examination(recipe.name, tuple(findings), time.monotonic() - began)


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
    size = shape_of_config(policy.model.config).parameters
    rates = learning_rate_findings(recipe.optimizer, size, adapters=recipe.model.lora is not None)
    return [*rates, *loss_findings(recipe.algorithm.loss)]


def _of_the_data(recipe: TrainRecipe, problems: ProblemSets, notes: Sequence[str]) -> list[Finding]:
    return _checked("data", lambda: data_findings(recipe, problems, notes))


def _of_the_statistics(recipe: TrainRecipe, problems: ProblemSets) -> list[Finding]:
    counts = len(problems.validation), len(problems.test)
    return _checked("statistics", lambda: statistics_findings(recipe.evaluation, *counts, recipe.seed))


def _checked(subject: str, check: Check) -> list[Finding]:
    """The findings of a check; if it raises, one that says so."""
    try:
        return list(check())
    except Exception as error:  # of a reward, a template, a tokenizer: the run would meet it too
        return [_failure(f"{subject}/failed", error)]


def _failure(name: str, error: Exception) -> Finding:
    notes = " ".join(getattr(error, "__notes__", ()))
    said = str(error) if isinstance(error, FrugalRLError) else f"{type(error).__name__}: {error}"
    message, _, fix = said.replace("\n", " ").rpartition(". ") if isinstance(error, UserError) else (said, "", "")
    return Finding(
        name,
        "red",
        f"{message or said} {notes}".strip().rstrip(".") + ".",
        fix or "Correct what the message names: the run would end there",
    )


_SUBJECTS: Mapping[type[UserError], str] = {ModelError: "model", DataError: "data", RecipeError: "recipe"}


def _load_failure(error: Exception) -> Finding:
    return _failure(f"{_subject_of(error)}/load", error)


def _subject_of(error: Exception) -> str:
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


# ------------------------------------------------------------------------------------------ samples and a step


def _sampled(run: Run, seconds: float) -> list[Finding]:
    """Sample, score, update: what the first steps of the run would show."""
    recipe, rollout = run.recipe, run.recipe.rollout
    needed = _seconds_needed(run)
    if needed > seconds:
        return [
            Finding(
                "sampling",
                "yellow",
                f"Sampling {_COMPLETIONS} completions of up to {rollout.max_completion_tokens:,} tokens would take "
                f"about {needed / 60:.0f} minutes here, so samples and an update were not tried.",
                f"frugalrl doctor RECIPE --minutes {needed / 60 + 1:.0f}, or on the machine that trains",
            )
        ]
    groups = _groups(run, rollout.max_completion_tokens, max(_FEWEST_GROUPS, _COMPLETIONS // rollout.group_size))
    scored = score_groups(run.rubric(rollout.max_completion_tokens), groups)
    identify = load_identifier()
    reports = [
        meter_text(
            one.completion.text,
            identify,
            prefills_think(group.prompt.text),
            truncated=one.completion.finish_reason == "length",
        )
        for group in scored
        for one in group.completions
    ]
    longest = max(len(group.prompt.token_ids) for group in scored)
    settings = SampleSettings(
        group_size=rollout.group_size,
        cap=rollout.max_completion_tokens,
        temperature=rollout.temperature,
        context_left=run.policy.context_tokens - max(longest, rollout.max_prompt_tokens),
        end_token_note=run.policy.end_token_note,
    )
    settings = replace(settings, longer=_longer_caps(run, groups, settings, seconds - needed, needed))
    findings = sampling_findings(scored, reports, settings)
    findings += _checked(
        "optimisation/update",
        lambda: trial_findings(trial_step(run, scored), recipe.optimizer, recipe.model.dtype),
    )
    return findings + _checked("plan/measured", lambda: [_memory_after(run)])


def _memory_after(run: Run) -> Finding:
    device = run.policy.device
    return measured_finding(peak_gb(device), memory_here(device.type == "cpu"), device.type)


def _groups(run: Run, cap: int, count: int) -> list[RolloutGroup]:
    rollout = run.recipe.rollout
    drawn = random.Random(run.recipe.seed).sample(run.problems.train, min(count, len(run.problems.train)))
    sampling = SamplingParams(cap, rollout.temperature, rollout.top_p, rollout.top_k)
    seed_parts = (run.recipe.seed, "doctor")
    return collect_groups(run.engine, run.policy.tokenizer, drawn, rollout.group_size, sampling, seed_parts)


def _longer_caps(
    run: Run, groups: Sequence[RolloutGroup], settings: SampleSettings, seconds: float, seconds_at_cap: float
) -> tuple[LongerCap, ...]:
    """Where many completions reach the cap: some at twice the cap, four times ..., until few do or time is up."""
    cap, size, tried = settings.cap, settings.group_size, list[LongerCap]()
    reach = [one.finish_reason == "length" for group in groups for one in group.completions]
    if sum(reach) < MANY_TRUNCATED * len(reach) or settings.end_token_note is not None:
        return ()
    while cap < settings.context_left and not (tried and tried[-1].does):
        cap = min(2 * cap, settings.context_left)
        seconds -= seconds_at_cap * cap / settings.cap
        if seconds < 0:
            break
        sampled = [one for group in _groups(run, cap, max(1, _TRIED // size)) for one in group.completions]
        tried.append(LongerCap(cap, sum(one.finish_reason == "length" for one in sampled), len(sampled)))
    return tuple(tried)


def _seconds_needed(run: Run) -> float:
    """Of sampling at the cap, from a few tokens that are timed once the engine is warm."""
    cap = run.recipe.rollout.max_completion_tokens
    tokens = min(_TRIAL_TOKENS, cap)
    _groups(run, 2, 1)
    began = time.monotonic()
    _groups(run, tokens, 1)
    return (time.monotonic() - began) / tokens * cap * 2
