"""Settings that switch a part of a run off without saying so: corrections, guard, caches, verifier.

Each is within what the recipe allows, and has a use somewhere; here it leaves next to nothing of what it belongs to.
"""

from collections.abc import Iterator

from frugalrl.config.engine_schema import VllmEngineSettings
from frugalrl.config.schema import TrainRecipe
from frugalrl.planning.doctor.finding import Finding, Level
from frugalrl.threads import granted_cores

_LEAST_WEIGHT, _NO_WEIGHT = 0.5, 0.01
"""Cap of importance weights: 2 and 3 by default (TIS, 2025); a token on policy has 1."""
_FEW_NATS = 1e-4
_TEMPERATURES = 0.05, 20.0
"""Of SAPO's gates: 1 and 1.05 by default (2511.20347)."""
_FEW_ROWS, _MANY_ASKED = 4, 16
_LEAST_CPU_SECONDS = 0.02
"""Of a check: sympy and a sandbox take more."""
_WORKERS_PER_CORE = 8
_GUARD_ALARMS, _GUARD_FALL, _GUARD_RATE, _GUARD_SHARE = 0.3, 0.4, 0.01, 1e-3


def switched_off_findings(recipe: TrainRecipe) -> Iterator[Finding]:
    """A line for each; none if all is at work."""
    yield from _corrections(recipe)
    yield from _guard(recipe)
    yield from _rows(recipe)
    yield from _verifier(recipe)
    yield from _steps(recipe)


def _yellow(name: str, message: str, fix: str) -> Finding:
    return Finding(name, "yellow", message, fix)


def _corrections(recipe: TrainRecipe) -> Iterator[Finding]:
    loss, entropy = recipe.algorithm.loss, recipe.algorithm.entropy
    cap, name = loss.mismatch_cap, "optimisation/mismatch"
    if loss.mismatch in ("tis", "sequence_mask") and cap is not None and cap < _LEAST_WEIGHT:
        message = f"mismatch_cap {cap:g} is below the weight 1 of whatever is on policy: gradients vanish with it."
        level: Level = "red" if cap < _NO_WEIGHT or loss.mismatch == "sequence_mask" else "yellow"
        yield Finding(name, level, message, "--set algorithm.loss.mismatch_cap=null")
    if loss.mismatch == "icepop" and not loss.mismatch_low <= 1 <= loss.mismatch_high:
        message = f"icepop keeps weights of {loss.mismatch_low:g} to {loss.mismatch_high:g}, and those on policy are 1."
        fix = "--set algorithm.loss.mismatch_low=0.5 --set algorithm.loss.mismatch_high=5.0"
        yield Finding(name, "red", f"{message} Every token is masked.", fix)
    if loss.off_policy_mask is not None and loss.off_policy_mask < _FEW_NATS:
        message = f"off_policy_mask {loss.off_policy_mask:g} nats is less than rounding: bad completions are left out."
        yield _yellow("optimisation/off_policy_mask", message, "--set algorithm.loss.off_policy_mask=null")
    least, most = _TEMPERATURES
    if loss.surrogate == "sapo" and not all(least <= one <= most for one in (loss.tau_pos, loss.tau_neg)):
        message = f"SAPO's gates at {loss.tau_pos:g} and {loss.tau_neg:g} are open for all tokens or for none."
        fix = "--set algorithm.loss.tau_pos=1.0 --set algorithm.loss.tau_neg=1.05"
        yield _yellow("optimisation/tau", message, fix)
    if entropy.adaptive and entropy.step > entropy.coef_max / 4:
        message = f"The entropy bonus moves by {entropy.step:g} a step, up to {entropy.coef_max:g}: it is on or off."
        yield _yellow("optimisation/entropy", message, "--set algorithm.entropy.step=0.005")


def _guard(recipe: TrainRecipe) -> Iterator[Finding]:
    guard, name = recipe.guard, "stability/guard"
    if not guard.enabled:
        return
    if guard.error_rate > _GUARD_ALARMS:
        message = f"guard.error_rate {guard.error_rate:g}: a run that loses nothing is likely to be rolled back."
        yield _yellow(name, message, "--set guard.error_rate=0.05")
    if guard.least_fall > _GUARD_FALL:
        message = f"guard.least_fall {guard.least_fall:g}: accuracy may fall by {guard.least_fall:.0%} unnoticed."
        yield _yellow(name, message, "--set guard.least_fall=0.05")
    if guard.confirm_steps >= recipe.training.steps > 1:
        message = f"guard.confirm_steps {guard.confirm_steps:,}: no drop is confirmed within the run."
        yield _yellow(name, message, f"--set guard.confirm_steps={min(5, max(1, recipe.training.steps // 4))}")
    if guard.lr_factor < _GUARD_RATE:
        message = f"guard.lr_factor {guard.lr_factor:g}: after a rollback nothing is learned any more."
        yield _yellow(name, message, "--set guard.lr_factor=0.5")
    if 0 < guard.evaluation_share < _GUARD_SHARE:
        message = f"guard.evaluation_share {guard.evaluation_share:g} pays for no evaluation: the guard cannot look."
        yield _yellow(name, message, "--set guard.evaluation_share=0.05")


def _rows(recipe: TrainRecipe) -> Iterator[Finding]:
    rollout = recipe.rollout
    if isinstance(rollout.engine, VllmEngineSettings):
        return
    asked = rollout.prompts_per_step * rollout.group_size
    sizes = {"rollout": rollout.max_sequences or asked, "evaluation": recipe.evaluation.max_sequences}
    few = [section for section, rows in sizes.items() if rows < _FEW_ROWS and asked >= _MANY_ASKED]
    if few:
        message = f"{' and '.join(few)} sample fewer than {_FEW_ROWS} of {asked} completions at once: one by one."
        fixes = {"rollout": "--set rollout.max_sequences=null", "evaluation": "--set evaluation.max_sequences=256"}
        yield _yellow("sampling/rows", message, " ".join(fixes[one] for one in few))


def _verifier(recipe: TrainRecipe) -> Iterator[Finding]:
    verifier, cores = recipe.verifier, granted_cores()
    if verifier.cpu_seconds < _LEAST_CPU_SECONDS:
        message = f"verifier.cpu_seconds {verifier.cpu_seconds:g} ends checks of formulas and programs early."
        yield Finding("rewards/verifier", "red", message, "--set verifier.cpu_seconds=5.0")
    if verifier.workers > _WORKERS_PER_CORE * cores:
        message = f"{verifier.workers} verifier workers on {cores} cores hold memory and wait for each other."
        yield _yellow("rewards/verifier", message, f"--set verifier.workers={cores}")


def _steps(recipe: TrainRecipe) -> Iterator[Finding]:
    training, budget = recipe.training, recipe.budget
    if budget.steps is not None and budget.steps < training.steps * recipe.optimizer.warmup_fraction:
        message = f"budget.steps {budget.steps} ends the run of {training.steps:,} while the learning rate still rises."
        yield _yellow("optimisation/warmup", message, f"--set training.steps={budget.steps} --set budget.steps=null")
