"""Supervised fine-tuning on prompts and completions, packed, with the prompt masked.

Departures from the plainest loop: the phases of the data come one after the other under one learning-rate
schedule, each shuffled on its own; and a batch is a number of tokens (whole packed rows), not of examples.
The order of the data follows from the seed, so a resumed run skips what it has seen.
"""

import json
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from frugalrl.config.schema import PromptSettings, SftRecipe
from frugalrl.data.prompts import PromptedCompletion, messages_for, render, tokenize
from frugalrl.errors import DataError
from frugalrl.lanes import Lanes, open_lanes
from frugalrl.reporting.console import duration
from frugalrl.reporting.lines import Progressing
from frugalrl.reporting.model_card import sft_card
from frugalrl.reporting.run_log import RunLog
from frugalrl.reporting.summary import versions
from frugalrl.tasks.loading import load_completions
from frugalrl.training.batching import CPU_MICRO_BATCH_TOKENS, IDLE_ROW, micro_batches
from frugalrl.training.distributed.agreement import digest, refuse_disagreement, refuse_drift
from frugalrl.training.distributed.choice import choose_placement, needs_whole_weights
from frugalrl.training.distributed.log import open_log
from frugalrl.training.distributed.placement import Placement, own_part
from frugalrl.training.distributed.sharing import added_up, even_counts
from frugalrl.training.distributed.world import ALONE, World
from frugalrl.training.exporting import export, whole_models
from frugalrl.training.gradients import Backward, added_gradients
from frugalrl.training.model.eight_bit import require_bitsandbytes
from frugalrl.training.model.kernels import ready_kernels
from frugalrl.training.model.loading import described, load_trained, refuse_other_base
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.model.parts import collected
from frugalrl.training.model.policy import Policy, count, pick_device, quiet_transformers, weights_hash
from frugalrl.training.model.scratch import TURN_END, make_model, train_tokenizer
from frugalrl.training.packing import Example, fill_rows, side_by_side
from frugalrl.training.schedule import lr_factor
from frugalrl.training.state.checkpoint import (
    TrainingState,
    checkpoint_name,
    load_training_state,
    save_checkpoint,
)
from frugalrl.training.state.pointers import LATEST, point
from frugalrl.training.state.random_state import random_values, restore_random_states, seed_random_states
from frugalrl.types import MicroBatch

Row = list[Example]
Show = Callable[[str], None]
"""Prints a line."""


def make_scratch_policy(recipe: SftRecipe, texts: Sequence[PromptedCompletion]) -> Policy:
    """The recipe's new model, with a tokenizer trained on up to 20,000 of its examples, evenly spaced."""
    assert recipe.scratch is not None
    taken = texts[:: max(1, len(texts) // 20_000)]
    corpus = (f"user\n{_prompt_text(example.prompt)}\nassistant\n{example.completion}\n" for example in taken)
    tokenizer = train_tokenizer(corpus, recipe.scratch.vocab_size, recipe.scratch.context_tokens)
    model = make_model(recipe.scratch, tokenizer, recipe.seed).to(pick_device(recipe.model.device))
    return Policy(model, tokenizer, recipe.name)


def run_sft(
    recipe: SftRecipe,
    folder: Path,
    resume_from: Path | None = None,
    show: Show = lambda line: None,
    should_stop: Callable[[], bool] = lambda: False,
    world: World = ALONE,
) -> Path | None:
    """Train, and return the folder of the finished model; None if it was asked to stop before the end.

    folder: the run's folder, which exists; `checkpoints/`, `model/` and `metrics.jsonl` are written below it.
    resume_from: a checkpoint of this recipe.
    should_stop: asked before every step; once true, a checkpoint is saved and the run ends.
    Raises UserError if recipe, data or model make training impossible.
    """
    quiet_transformers()
    require_bitsandbytes(recipe.optimizer)
    phases = [load_completions(phase) for phase in recipe.phases]
    texts = [example for phase in phases for example in phase]
    policy, base_weights = own_part(world, lambda: _policy(recipe, texts, resume_from))
    if (adapters := described(policy)) is not None:
        show(adapters)
    rows = own_part(world, lambda: _ordered_rows(recipe, policy, phases))
    if world.size > 1:
        refuse_disagreement(world, _found(recipe, policy, rows))
    chosen = choose_placement(world, recipe, policy, needs_whole_weights(recipe), with_reference=False)
    if chosen.reason:
        show(chosen.reason)
    placement = chosen.placement
    policy = placement.place(policy)
    ready_kernels(policy, show, samples=False, learns=True)
    optimizer = MasterOptimizer(policy.model, recipe.optimizer, placement.sum_gradients)
    values: Mapping[str, Any] = {"step": 0, "losses": [], "log_lengths": {}, "base_weights": base_weights}
    if recipe.model.lora is not None:  # whose dropout draws from the global states; nothing else does
        seed_random_states(recipe.seed)
    if resume_from is not None:
        state = own_part(world, lambda: load_training_state(resume_from))
        optimizer.load_state_tensors(state.tensors["optimizer"])
        values = state.values
        if recipe.model.lora is not None:
            refuse_other_base(recipe.model.path, base_weights, values["base_weights"])
            restore_random_states(values["random"])
    with open_log(world, folder, recipe) as log:
        for note in world.main(lambda: log.cut(values["log_lengths"], int(values["step"]))):
            show(note)
        finished = _loop(recipe, policy, optimizer, rows, values, folder, log, show, should_stop, placement)
    if not finished:
        return None
    models = whole_models(policy, world)
    world.main(lambda: export(models, folder, sft_card(recipe)))
    return folder / "model"


def _policy(recipe: SftRecipe, texts: Sequence[PromptedCompletion], resume_from: Path | None) -> tuple[Policy, str]:
    """A new model, or a loaded one, and the hash of the base under its adapters. Raises UserError."""
    if recipe.scratch is not None and resume_from is None:
        return make_scratch_policy(recipe, texts), ""
    return load_trained(recipe.model, resume_from, recipe.seed)


def _found(recipe: SftRecipe, policy: Policy, rows: list[Row]) -> dict[str, str]:
    """What every process must have alike."""
    return {"recipe": digest(repr(recipe)), "model": weights_hash(policy), "data": digest(repr(rows)), **versions()}


def _loop(
    recipe: SftRecipe,
    policy: Policy,
    optimizer: MasterOptimizer,
    rows: list[Row],
    values: Mapping[str, Any],
    folder: Path,
    log: RunLog,
    show: Show,
    should_stop: Callable[[], bool],
    placement: Placement,
) -> bool:
    """All steps after those of `values`, from a checkpoint; false if asked to stop before the last."""
    training, schedule = recipe.training, recipe.optimizer
    rows_per_step = max(1, training.batch_tokens // training.pack_tokens)
    steps = math.ceil(len(rows) / rows_per_step)
    world, held_out = placement.world, own_part(placement.world, lambda: _validation_rows(recipe, policy))
    first_step, losses = int(values["step"]), list(values["losses"])
    started, rows_done = time.monotonic(), 0
    for step in range(first_step + 1, steps + 1):
        stopping = any(world.each(should_stop))
        if stopping or (training.save_every and step > first_step + 1 and (step - 1) % training.save_every == 0):
            kept = {**values, "step": step - 1, "losses": losses, "log_lengths": log.lengths()}
            if recipe.model.lora is not None:
                kept["random"] = random_values()
            _save(recipe, policy, optimizer, kept, folder / "checkpoints" / checkpoint_name(step - 1), world)
        if stopping:
            show(f"Stopped after step {step - 1} of {steps}; resume with --resume.")
            return False
        batch = rows[(step - 1) * rows_per_step : step * rows_per_step]
        with open_lanes(count(policy.model.parameters()), policy.device) as lanes:
            losses.append(_accumulate(recipe, policy, batch, placement, (optimizer, lanes)))
            factor = lr_factor(step - 1, steps, schedule.schedule, schedule.warmup_fraction, schedule.min_lr_fraction)
            norm = optimizer.step(factor)
        rows_done += len(batch)
        if step % training.log_every == 0 or step == steps:
            done, elapsed = step - first_step, time.monotonic() - started
            rate = rows_done * training.pack_tokens / elapsed
            loss = sum(losses) / len(losses)
            log.write(step, {"loss/sft": loss, "policy/grad_norm": norm, "throughput/tokens_per_second": rate})
            eta = duration(elapsed / done * (steps - step))
            text = f"step {step:>5}/{steps}  loss {loss:.4f}  {rate:>7.0f} tokens/s  ETA {eta}"
            show(Progressing(text, "fine-tuning", step, steps, elapsed / done * (steps - step), keeps=True))
            losses = []
    if held_out:
        loss = _validation_loss(recipe, policy, held_out, rows_per_step, placement)
        log.write(steps, {"loss/validation": loss})
        show(f"validation loss {loss:.4f}")
    return True


@torch.no_grad()
def _validation_loss(
    recipe: SftRecipe, policy: Policy, rows: list[Row], rows_per_step: int, placement: Placement
) -> float:
    """Mean over batches of the mean loss per completion token, in nats."""
    starts = range(0, len(rows), rows_per_step)
    losses = [_accumulate(recipe, policy, rows[at : at + rows_per_step], placement) for at in starts]
    return sum(losses) / len(losses)


def _save(
    recipe: SftRecipe, policy: Policy, optimizer: MasterOptimizer, kept: Mapping[str, Any], path: Path, world: World
) -> None:
    """Save a checkpoint and point `latest` at it."""
    refuse_drift(world, policy, int(kept["step"]))
    state = TrainingState(kept, {"optimizer": collected(optimizer.state_tensors(), world.rank == 0)})
    complete = policy.whole()

    def write() -> None:
        save_checkpoint(complete, state, path, sft_card(recipe))
        point(path.parent, LATEST, path.name)

    world.main(write)


def _accumulate(
    recipe: SftRecipe,
    policy: Policy,
    batch: list[Row],
    placement: Placement,
    training: tuple[MasterOptimizer, Lanes] | None = None,
) -> float:
    """The mean loss of a batch per completion token (nats); in training its gradients are added up.

    Every forward pass is weighted by its tokens over the batch's, so that its size changes nothing, nor does the number
    of processes, each of which takes some of the rows.
    """
    learned = sum(len(example.token_ids) - example.prompt_tokens for row in batch for example in row)
    world = placement.world
    own = batch[world.rank :: world.size]
    pieces = even_counts(world, _pieces(recipe, policy, own), lambda: micro_batches([IDLE_ROW], 1, policy.device)[0])

    def computed(piece: MicroBatch, backward: Backward) -> float:
        loss = -policy.batch_logprobs(piece)[0].sum() / learned
        if training is not None:
            backward(loss * training[0].loss_scale)
        return float(loss.detach())

    def work() -> float:
        if training is None:
            return sum(computed(piece, lambda loss: None) for piece in pieces)
        optimizer, lanes = training
        return sum(added_gradients(policy.model, optimizer, pieces, computed, lanes, placement.computes_together))

    return added_up(world, {"loss": placement.part(work)})["loss"]


def _pieces(recipe: SftRecipe, policy: Policy, rows: Sequence[Row]) -> list[MicroBatch]:
    """What is computed at once of some packed rows."""
    tokens = recipe.training.pack_tokens * (recipe.training.rows_per_forward or max(1, len(rows)))
    if policy.device.type == "cpu":
        tokens = min(tokens, CPU_MICRO_BATCH_TOKENS)
    return side_by_side([example for row in rows for example in row], tokens, policy.device)


def _ordered_rows(recipe: SftRecipe, policy: Policy, phases: list[list[PromptedCompletion]]) -> list[Row]:
    """Packed rows of all epochs and phases, in training order."""
    rows: list[Row] = []
    tokenised = [[_example(policy, example, recipe) for example in phase] for phase in phases]
    for epoch in range(recipe.training.epochs):
        for number, examples in enumerate(tokenised):
            order = list(range(len(examples)))
            random.Random(f"sft/{recipe.seed}/{epoch}/{number}").shuffle(order)
            shuffled = [examples[index] for index in order]
            filled = fill_rows([len(example.token_ids) for example in shuffled], recipe.training.pack_tokens)
            rows += [[shuffled[index] for index in row] for row in filled]
    return rows


def _validation_rows(recipe: SftRecipe, policy: Policy) -> list[Row]:
    if recipe.validation is None:
        return []
    examples = [_example(policy, example, recipe) for example in load_completions(recipe.validation)]
    filled = fill_rows([len(example.token_ids) for example in examples], recipe.training.pack_tokens)
    return [[examples[index] for index in row] for row in filled]


def _example(policy: Policy, example: PromptedCompletion, recipe: SftRecipe) -> Example:
    prompt = _rendered(policy.tokenizer, example.prompt, recipe.prompt)
    completion = example.completion
    if prompt.endswith("<think>\n"):
        completion = completion.removeprefix("<think>\n")  # prefilled by the template
    prompt_ids = tokenize(policy.tokenizer, prompt)
    end = TURN_END if TURN_END in policy.tokenizer.get_vocab() else policy.tokenizer.eos_token
    completion_ids = tokenize(policy.tokenizer, completion + end)
    token_ids = prompt_ids + completion_ids
    if len(token_ids) > recipe.training.pack_tokens:
        raise DataError(
            f"An example has {len(token_ids)} tokens, a packed row only {recipe.training.pack_tokens}: "
            f"{completion[:60]!r}... Raise training.pack_tokens or shorten the example."
        )
    return Example(token_ids, len(prompt_ids))


def _rendered(tokenizer: Any, prompt: str | tuple[Mapping[str, str], ...], settings: PromptSettings) -> str:
    messages = messages_for(prompt, settings) if isinstance(prompt, str) else list(prompt)
    return render(tokenizer, messages)


def _prompt_text(prompt: str | tuple[Mapping[str, str], ...]) -> str:
    return prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False)
