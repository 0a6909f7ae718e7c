"""The part of the examination that samples: completions of the real policy, their rewards, and one update on them.

Nothing is kept of it. Servers are sent the policy's weights first, as a run does at its start, and the updated ones at
the end: a server that keeps older ones shows it here.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from frugalrl.config.engine_schema import VllmEngineSettings
from frugalrl.config.schema import TrainRecipe
from frugalrl.config.task_table import TASKS
from frugalrl.errors import ModelError
from frugalrl.planning.doctor.finding import Finding
from frugalrl.planning.doctor.held_out_samples import PROBLEMS, SAMPLES, held_out_golds
from frugalrl.planning.doctor.optimisation_checks import trial_findings, trial_step
from frugalrl.planning.doctor.plan_checks import measured_finding, peak_gb
from frugalrl.planning.doctor.remedies import in_process, prompt_template, with_term
from frugalrl.planning.doctor.sampling_checks import (
    MANY_TRUNCATED,
    LongerCap,
    SampleSettings,
    sampling_findings,
)
from frugalrl.planning.forecast.planning import memory_here
from frugalrl.rewards.rubric import score_groups
from frugalrl.rollout.collect import collect_groups
from frugalrl.rollout.engine import SamplingParams
from frugalrl.text.language_id import load_identifier
from frugalrl.text.meter import TextReport, meter_text
from frugalrl.text.reasoning import prefills_think
from frugalrl.training.length_schedule import stages_of
from frugalrl.training.run import Run
from frugalrl.training.weights import publish_weights
from frugalrl.types import Prompt, RolloutGroup, ScoredGroup

_IN_A_BOX = "Please reason step by step, and put your final answer within \\boxed{}."
_COMPLETIONS = 64
_FEWEST_GROUPS = 4
_TRIAL_TOKENS = 16
_GOLD_TEMPERATURE = 0.6
"""At which samples agree where the model knows the answer."""
_TRIED = 16
"""Completions at each longer cap."""


Checked = Callable[[str, Callable[[], Sequence[Finding]]], list[Finding]]
"""Makes a check of a subject; one that raises is a red finding."""


def sampled_findings(run: Run, seconds: float, checked: Checked) -> list[Finding]:
    """Sample, score, update: what the first steps of the run would show."""
    served = isinstance(run.recipe.rollout.engine, VllmEngineSettings)
    findings = [weights_arrive(run, 0)] if served else []
    if any(one.level == "red" for one in findings):
        return findings  # what it samples is of other weights
    needed = _seconds_needed(run)
    if needed > seconds:
        return [*findings, _not_sampled(run.recipe.rollout.max_completion_tokens, needed)]
    rollout = run.recipe.rollout
    groups = _groups(run, rollout.max_completion_tokens, max(_FEWEST_GROUPS, _COMPLETIONS // rollout.group_size))
    scored = score_groups(run.rubric(rollout.max_completion_tokens), groups)
    settings = _settings(run, groups)
    settings = replace(settings, longer=_longer_caps(run, groups, settings, seconds - needed, needed))
    findings += sampling_findings(scored, _reports(scored), settings)
    findings += checked("sampling/golds", lambda: _golds(run, seconds - needed, needed))
    findings += checked("optimisation/update", lambda: _updated(run, scored))
    if served:
        findings = [*findings[1:], weights_arrive(run, 1)]
    return findings + checked("plan/measured", lambda: [_memory_after(run)])


def weights_arrive(run: Run, version: int) -> Finding:
    """Send the policy's weights to the servers, each of which is probed: does it compute with what it was sent?

    version: 0 before any update. A server that skips updates looks fresh as long as the weights are its first ones.
    """
    name, after = "sampling/server", "the recipe's model" if version == 0 else "an update"
    try:
        publish_weights(run, version)
    except ModelError as error:
        message, _, _ = str(error).partition(" Nothing was learned from them.")
        fix = (
            f"Restart the server with the recipe's model ({run.recipe.model.path}) and the flags in docs/servers.md, "
            f"and let no other run use it; or {in_process(run.recipe)}"
        )
        return Finding(name, "red", message, fix)
    gap = run.engine.metrics.get("sync/probe_mean", 0.0)
    return Finding(name, "green", f"after {after} the servers compute within {gap:.2g} nats a token of the policy")


def _golds(run: Run, seconds: float, seconds_of_a_sample: float) -> list[Finding]:
    """Whether the golds of held-out files are those of their problems; a task's own are right by construction."""
    data, cap = run.recipe.data, run.recipe.rollout.max_completion_tokens
    sets = {"validation": run.problems.validation, "test": run.problems.test}
    files = {split: getattr(data, split) for split, prompts in sets.items() if prompts}
    splits = [split for split, source in files.items() if source is not None and source.source not in TASKS]
    share = PROBLEMS * SAMPLES / _COMPLETIONS
    if not splits or (1 + len(splits)) * share * seconds_of_a_sample > seconds:
        return []
    rubric, sampling = run.rubric(cap), SamplingParams(cap, _GOLD_TEMPERATURE)

    def sampled(prompts: Sequence[Prompt]) -> list[ScoredGroup]:
        drawn = random.Random(run.recipe.seed).sample(list(prompts), min(PROBLEMS, len(prompts)))
        parts = (run.recipe.seed, "golds")
        return score_groups(rubric, collect_groups(run.engine, run.policy.tokenizer, drawn, SAMPLES, sampling, parts))

    train = sampled(run.problems.train)
    return [
        held_out_golds(split, train, sampled(sets[split]), [one.problem for one in sets[split]]) for split in splits
    ]


def _not_sampled(cap: int, seconds: float) -> Finding:
    return Finding(
        "sampling",
        "yellow",
        f"Sampling {_COMPLETIONS} completions of up to {cap:,} tokens would take about {seconds / 60:.0f} minutes "
        "here, so samples and an update were not tried.",
        f"frugalrl doctor RECIPE --minutes {seconds / 60 + 1:.0f}, or on the machine that trains",
    )


def _settings(run: Run, groups: Sequence[RolloutGroup]) -> SampleSettings:
    rollout, schedule = run.recipe.rollout, run.recipe.length_schedule
    stages = () if schedule is None else stages_of(schedule)
    longest = max(len(group.prompt.token_ids) for group in groups)
    return SampleSettings(
        group_size=rollout.group_size,
        cap=rollout.max_completion_tokens,
        temperature=rollout.temperature,
        context_left=run.policy.context_tokens - max(longest, rollout.max_prompt_tokens),
        end_token_note=run.policy.end_token_note,
        top_p=rollout.top_p,
        top_k=rollout.top_k,
        evaluation_cap=run.recipe.evaluation.max_completion_tokens,
        schedule_cap=stages[0].cap_tokens if stages else None,
        ask_for_a_box=prompt_template(f"{run.recipe.data.prompt.template.rstrip()}\n\n{_IN_A_BOX}"),
        pay_for_english=_english(run.recipe),
    )


def _english(recipe: TrainRecipe) -> str:
    if any(term.name == "language" for term in recipe.rewards):
        return "--set 'data.prompt.system=Reason and answer in English.'"
    return with_term(recipe, "language", 0.5)


def _reports(scored: Sequence[ScoredGroup]) -> list[TextReport]:
    identify = load_identifier()
    return [
        meter_text(
            one.completion.text,
            identify,
            prefills_think(group.prompt.text),
            truncated=one.completion.finish_reason == "length",
        )
        for group in scored
        for one in group.completions
    ]


def _updated(run: Run, scored: Sequence[ScoredGroup]) -> list[Finding]:
    run.engine.rest()
    recipe, here = run.recipe, in_process(run.recipe)
    return trial_findings(trial_step(run, scored), recipe.optimizer, recipe.model.dtype, here)


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
