"""Settings that keep a run from learning whatever its data are: orders of magnitude, each with where it comes from.

Pure: a recipe in, findings out. A setting that is as papers use it has no line of its own; all of them share one.
"""

import math
from collections.abc import Iterator

from frugalrl.config.schema import TrainRecipe
from frugalrl.planning.doctor.finding import Finding, Level
from frugalrl.planning.doctor.switched_off import switched_off_findings
from frugalrl.training.length_schedule import largest_cap

_DECAYED, _MUCH_DECAYED = 0.1, 0.5
"""Share of every weight that decay alone takes away over the run."""
_EPSILON, _HUGE_EPSILON = 0.1, 10.0
"""Beside a group's standard deviation, which is at most 0.5 for rewards of 0 and 1."""
_ENTROPY, _HUGE_ENTROPY = 0.1, 1.0
"""0.001 to 0.02 in papers (Skywork-OR1 2505.22312 moves by 0.005); at 1, a nat of noise is worth a right answer."""
_LORA_SCALE = (0.1, 32.0, 1e-2, 1e3)
"""alpha / rank: 4 in Tina (2504.15777), 0.5 to 2 by peft's and other defaults; the last two are hopeless."""
_WARMUP, _LONG_WARMUP = 0.5, 0.9
_UPDATES, _MANY_UPDATES = 16, 40
"""Updates of one batch: 1 in Open-RS, 16 in DAPO (2503.14476)."""
_DROPOUT = 0.3
_SHORT_RESET = 5
_DEAR_EVALUATION = 5.0
"""Completions of evaluations for each that is trained on."""
_HOT = 1.5
_CONSTANT, _HUGE_CONSTANT = 30.0, 1e4
"""Loss constant over the cap: 1 in Dr. GRPO (2503.20783). Beyond the last, gradients are below AdamW's epsilon."""
_FEW_LOGITS = 16
"""Logits are computed so many tokens at a time: 1,024 by default, 64 takes hardly longer."""
_SEVERAL_STEPS = 20
"""A run of fewer is a trial, whose checkpoints nobody compares."""


def settings_findings(recipe: TrainRecipe, vocabulary: int) -> list[Finding]:
    """vocabulary: of the model, whose logarithm is the largest entropy there is."""
    found = [*_optimizer(recipe), *_algorithm(recipe, vocabulary), *_adapters(recipe), *_pieces(recipe)]
    found += [*_evaluation(recipe), *switched_off_findings(recipe)]
    return found or [Finding("optimisation/settings", "green", "no setting is orders of magnitude from what works")]


def _finding(name: str, is_red: bool, message: str, fix: str) -> Finding:
    level: Level = "red" if is_red else "yellow"
    return Finding(name, level, message, fix)


def _optimizer(recipe: TrainRecipe) -> Iterator[Finding]:
    optimizer, steps = recipe.optimizer, recipe.training.steps * recipe.algorithm.updates_per_batch
    rate = optimizer.muon_learning_rate if optimizer.name == "muon" else optimizer.learning_rate
    gone = 1 - math.exp(-rate * optimizer.weight_decay * steps / 2)  # the schedule's mean is about half
    if gone > _DECAYED:
        yield _finding(
            "optimisation/weight_decay",
            gone > _MUCH_DECAYED and recipe.model.lora is None,
            f"weight_decay {optimizer.weight_decay:g} takes {gone:.0%} of every weight away in {steps} updates at "
            f"{rate:g}: the model is forgotten.",
            "--set optimizer.weight_decay=0.0",
        )
    if optimizer.warmup_fraction > _WARMUP:
        yield _finding(
            "optimisation/warmup",
            optimizer.warmup_fraction > _LONG_WARMUP,
            f"The learning rate rises over {optimizer.warmup_fraction:.0%} of the run and is hardly ever at its full "
            "value.",
            "--set optimizer.warmup_fraction=0.1",
        )
    if optimizer.beta2 < 0.9 and optimizer.name == "adamw":
        message = f"beta2 {optimizer.beta2:g} forgets the size of gradients within a few steps: updates are noise."
        yield _finding("optimisation/beta2", optimizer.beta2 < 0.5, message, "--set optimizer.beta2=0.99")
    if optimizer.beta1 > 0.98:
        message = f"beta1 {optimizer.beta1:g} averages gradients over {1 / (1 - optimizer.beta1):,.0f} updates."
        yield _finding("optimisation/beta1", 1 / (1 - optimizer.beta1) > steps, message, "--set optimizer.beta1=0.9")


def _algorithm(recipe: TrainRecipe, vocabulary: int) -> Iterator[Finding]:
    algorithm = recipe.algorithm
    advantage, entropy = algorithm.advantage, algorithm.entropy
    if advantage.epsilon is not None and advantage.epsilon > _EPSILON and advantage.divisor != "none":
        yield _finding(
            "optimisation/advantage_epsilon",
            advantage.epsilon > _HUGE_EPSILON,
            f"advantage.epsilon {advantage.epsilon:g} is larger than any spread of rewards of 0 and 1, so advantages "
            "vanish beside the other terms of the loss.",
            "--set algorithm.advantage.epsilon=null",
        )
    if advantage.center == "none" and all(term.weight >= 0 for term in recipe.rewards):
        yield _finding(
            "optimisation/baseline",
            False,
            "advantage.center is none: without a baseline every completion that is paid at all is made likelier.",
            "--set algorithm.advantage.center=mean",
        )
    if entropy.coef > _ENTROPY:
        yield _finding(
            "optimisation/entropy",
            entropy.coef > _HUGE_ENTROPY,
            f"An entropy bonus of {entropy.coef:g} pays for noise as much as a reward does for being right (0.001 to "
            "0.02 in papers).",
            "--set algorithm.entropy.coef=0.005",
        )
    if entropy.adaptive and entropy.target > math.log(vocabulary):
        yield _finding(
            "optimisation/entropy",
            True,
            f"The entropy target {entropy.target:g} is above the largest entropy there is, {math.log(vocabulary):.1f} "
            "nats: the bonus only grows.",
            "--set algorithm.entropy.target=0.2",
        )
    if algorithm.updates_per_batch > _UPDATES:
        yield _finding(
            "optimisation/updates_per_batch",
            algorithm.updates_per_batch > _MANY_UPDATES,
            f"{algorithm.updates_per_batch} updates of each batch: most are of tokens whose ratio is clipped (1 in "
            "Open-RS, 16 in DAPO).",
            "--set algorithm.updates_per_batch=1",
        )
    if (algorithm.reference_reset_every or _SHORT_RESET) < _SHORT_RESET:
        yield _finding(
            "optimisation/reference",
            False,
            f"The reference is reset every {algorithm.reference_reset_every} steps, and the optimizer with it: the KL "
            "term holds nothing, and AdamW begins anew each time.",
            "--set algorithm.reference_reset_every=100",
        )
    yield from _sampler(recipe)


def _sampler(recipe: TrainRecipe) -> Iterator[Finding]:
    sampler = recipe.data.sampler
    if sampler.skip_solved is not None and sampler.skip_solved < 0.5:
        message = f"Problems with {sampler.skip_solved:.0%} right are skipped: only those that are never solved stay."
        yield _finding("optimisation/sampler", sampler.skip_solved < 0.2, message, "--set data.sampler.skip_solved=1.0")
    if sampler.skip_unsolved is not None and sampler.skip_unsolved > 0.5:
        message = f"Problems with up to {sampler.skip_unsolved:.0%} right are skipped: only solved ones stay."
        fix = "--set data.sampler.skip_unsolved=0.0"
        yield _finding("optimisation/sampler", sampler.skip_unsolved > 0.8, message, fix)


def _adapters(recipe: TrainRecipe) -> Iterator[Finding]:
    lora = recipe.model.lora
    if lora is None:
        return
    scale, (least, most, hopeless_least, hopeless_most) = lora.alpha / lora.rank, _LORA_SCALE
    if not least <= scale <= most:
        yield _finding(
            "optimisation/lora_alpha",
            not hopeless_least <= scale <= hopeless_most,
            f"alpha / rank is {scale:.2g}: adapters count {'next to nothing' if scale < least else 'far too much'} (4 "
            "in Tina, 0.5 to 2 by common defaults).",
            f"--set model.lora.alpha={4 * lora.rank}",
        )
    if lora.dropout > _DROPOUT:
        message = f"A dropout of {lora.dropout:g} makes what is learned from another policy than the one that sampled."
        yield _finding("optimisation/lora_dropout", lora.dropout > 0.8, message, "--set model.lora.dropout=0.0")


def _pieces(recipe: TrainRecipe) -> Iterator[Finding]:
    """What a batch is divided by, and cut into."""
    cap = largest_cap(recipe.length_schedule, recipe.rollout.max_completion_tokens)
    loss, training = recipe.algorithm.loss, recipe.training
    constant = loss.constant_tokens or cap
    if loss.aggregation == "constant" and constant > _CONSTANT * cap:
        yield _finding(
            "optimisation/constant_tokens",
            constant > _HUGE_CONSTANT * cap,
            f"The loss is divided by constant_tokens {constant:,}, {constant / cap:,.0f} times the longest completion: "
            "gradients drown in AdamW's epsilon (the cap itself in Dr. GRPO).",
            "--set algorithm.loss.constant_tokens=null",
        )
    if training.micro_batch_tokens < cap / 4:
        yield _finding(
            "optimisation/micro_batch_tokens",
            False,
            f"micro_batch_tokens {training.micro_batch_tokens:,} is below the length of most completions: each is "
            "computed alone, and a step takes several times as long.",
            f"--set training.micro_batch_tokens={max(2048, recipe.rollout.max_prompt_tokens + cap)}",
        )
    if training.logits_chunk_tokens < _FEW_LOGITS:
        yield _finding(
            "optimisation/logits_chunk_tokens",
            False,
            f"Logits are computed {training.logits_chunk_tokens} tokens at a time: as many products with the whole "
            "head as a batch has tokens.",
            "--set training.logits_chunk_tokens=1024",
        )


def _evaluation(recipe: TrainRecipe) -> Iterator[Finding]:
    own, training = recipe.evaluation, recipe.training
    is_greedy = own.temperature == 0 or own.top_p < 0.01
    if is_greedy and own.samples_per_problem > 1:
        yield _finding(
            "statistics/samples",
            False,
            f"An evaluation at temperature {own.temperature:g} and top_p {own.top_p:g} writes the same "
            f"{own.samples_per_problem} times: it costs as much and shows no more.",
            "--set evaluation.samples_per_problem=1, or --set evaluation.temperature=0.6 --set evaluation.top_p=1.0",
        )
    if own.temperature > _HOT:
        message = f"An evaluation at temperature {own.temperature:g} measures noise: models are compared at 0.6."
        yield _finding("statistics/temperature", own.temperature > 2, message, "--set evaluation.temperature=0.6")
    has_looks = own.every is not None and recipe.data.validation is not None
    if has_looks and (own.every or 0) > training.steps >= _SEVERAL_STEPS:
        every = max(1, training.steps // 4)
        yield _finding(
            "statistics/every",
            False,
            f"evaluation.every {own.every} is above the {training.steps} steps: no checkpoint on the way is "
            "measured, so none can be kept.",
            f"--set evaluation.every={every}",
        )
    cap = largest_cap(recipe.length_schedule, recipe.rollout.max_completion_tokens)
    if own.max_completion_tokens is not None and own.max_completion_tokens < cap / 2:
        yield _finding(
            "statistics/cap",
            own.max_completion_tokens < cap / 8,
            f"Evaluations cut completions at {own.max_completion_tokens:,} tokens, where training lets them have "
            f"{cap:,}: what is cut off counts as wrong.",
            "--set evaluation.max_completion_tokens=null",
        )
    yield from _dear(recipe)


def _dear(recipe: TrainRecipe) -> Iterator[Finding]:
    own, steps = recipe.evaluation, recipe.training.steps
    validation = recipe.data.validation.limit if recipe.data.validation is not None else None
    if validation is None or own.every is None:
        return
    evaluated = validation * own.samples_per_problem * (steps / own.every)
    trained = recipe.rollout.prompts_per_step * recipe.rollout.group_size * steps
    if evaluated > _DEAR_EVALUATION * trained:
        every = min(steps, math.ceil(own.every * evaluated / trained))
        yield _finding(
            "statistics/cost",
            False,
            f"Evaluations sample {evaluated:,.0f} completions and training {trained:,}: nearly all of the time goes "
            "into measuring.",
            f"--set evaluation.every={every}, or --set evaluation.samples_per_problem=4",
        )
