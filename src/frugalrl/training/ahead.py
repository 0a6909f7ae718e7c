"""One step off policy: the next batch is sampled by the servers while the policy learns from this one.

    batch 1 (weights 0); batch 2 (weights 0) beside update 1; batch 3 (weights 1) beside update 2; ...

Decisions:
- Weights never change while a batch is sampled: they are published when the update and the batch are both complete.
- A batch that was sampled ahead belongs to a checkpoint, so that a resumed run learns from the same tokens.
- After a rollback of the guard the batch is sampled again, from the same problems by the weights of then: what the
  abandoned weights sampled is not learned from.
- Of several processes the first samples, and the others get the batch from it when all have made their update: they
  have one line to each other, on which the update speaks meanwhile.
- What is sampled ahead is judged ahead too, in one process; a batch from a checkpoint is judged when it is used.
- The sampler draws the problems of the next batch before it has seen the answers to this one, and a length schedule's
  cap takes effect one batch later.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from frugalrl.rollout.engine import SampledSequence
from frugalrl.tasks.judging_ahead import JudgingAhead
from frugalrl.training.distributed.engine import Answers, told_answers
from frugalrl.training.distributed.world import ALONE, World
from frugalrl.types import FinishReason


@dataclass(frozen=True)
class DrawnBatch:
    """The completions of a step, before they are judged."""

    step: int
    """The step that learns from it."""
    indices: tuple[int, ...]
    """Of its training problems."""
    policy_version: int
    """Of the weights that sampled it."""
    max_completion_tokens: int
    answers: Answers


class Ahead:
    """The batch that a step learns from, and the next one, which may still be sampled."""

    def __init__(self, world: World = ALONE) -> None:
        self._world = world
        self._batches: dict[int, DrawnBatch] = {}
        self._following: DrawnBatch | None = None
        self._judging: tuple[int, JudgingAhead] | None = None
        """Of the batch of that step, which is or was sampled in the background."""
        self._thread: threading.Thread | None = None
        self._sampled: Answers | BaseException = []
        self._error: Exception | None = None

    def batch_of(self, step: int) -> DrawnBatch | None:
        """The batch of a step, if it was sampled."""
        return self._batches.get(step)

    def keep(self, batch: DrawnBatch) -> None:
        """Hold the batch of a step until the next step's is held; earlier ones are dropped."""
        self._batches = {step: one for step, one in self._batches.items() if step > batch.step} | {batch.step: batch}

    def judging_of(self, step: int) -> JudgingAhead | None:
        """What was judged while the batch of a step was sampled in the background."""
        return self._judging[1] if self._judging is not None and self._judging[0] == step else None

    def start(self, batch: DrawnBatch, sample: Callable[[], Answers], judging: JudgingAhead) -> None:
        """Sample the answers of a batch in the background, in the first process. Every process calls this.

        judging: what `sample` hands completions to.
        """
        self._following, self._judging = batch, (batch.step, judging)

        def work() -> None:
            try:
                self._sampled = sample()
            except BaseException as error:
                self._sampled = error

        if self._world.rank == 0:
            self._thread = threading.Thread(target=work, daemon=True)
            self._thread.start()

    def settle(self) -> None:
        """Wait until nothing is sampled; what went wrong is raised by `check`. Every process calls this."""
        batch, self._following = self._following, None
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if batch is None:
            return
        try:
            answers = told_answers(self._world, self._taken)
        except Exception as error:
            self._error = error
        else:
            self._batches[batch.step] = replace(batch, answers=answers)

    def close(self) -> None:
        """Leave what is being judged."""
        if self._judging is not None:
            self._judging[1].close()

    def _taken(self) -> Answers:
        sampled, self._sampled = self._sampled, []
        if isinstance(sampled, BaseException):
            raise sampled
        return sampled

    def check(self) -> None:
        """Raise what went wrong in the background."""
        self.settle()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def state(self, step: int) -> tuple[dict[str, Any] | None, dict[str, Tensor]]:
        """The batch of a step as JSON values and tensors, for a checkpoint; None and nothing if there is none."""
        batch = self._batches.get(step)
        if batch is None:
            return None, {}
        sequences = [sequence for own in batch.answers for sequence in own]
        values = {
            "step": batch.step,
            "indices": list(batch.indices),
            "policy_version": batch.policy_version,
            "max_completion_tokens": batch.max_completion_tokens,
            "counts": [len(own) for own in batch.answers],
            "finish_reasons": [sequence.finish_reason for sequence in sequences],
        }
        tensors = {
            "lengths": torch.tensor([len(sequence.token_ids) for sequence in sequences], dtype=torch.int64),
            "token_ids": _flat([one.token_ids for one in sequences], torch.int64),
            "logprobs": _flat([one.logprobs for one in sequences], torch.float64),
            "policy_versions": _flat([one.policy_versions for one in sequences], torch.int64),
            "loss_mask": _flat([one.loss_mask for one in sequences], torch.bool),
        }
        return values, tensors

    def restore(self, values: Mapping[str, Any] | None, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state`."""
        self.settle()
        self._batches, self._error = {}, None
        if values is None:
            return
        lengths: list[int] = tensors["lengths"].tolist()
        parts = {name: _cut(tensor.tolist(), lengths) for name, tensor in tensors.items() if name != "lengths"}
        reasons: Sequence[FinishReason] = values["finish_reasons"]
        sequences = iter(
            SampledSequence(
                parts["token_ids"][at],
                parts["logprobs"][at],
                reason,
                parts["policy_versions"][at],
                parts["loss_mask"][at],
            )
            for at, reason in enumerate(reasons)
        )
        answers = [[next(sequences) for _ in range(count)] for count in values["counts"]]
        self.keep(
            DrawnBatch(
                values["step"],
                tuple(values["indices"]),
                values["policy_version"],
                values["max_completion_tokens"],
                answers,
            )
        )


def _flat(parts: Sequence[Sequence[Any]], dtype: torch.dtype) -> Tensor:
    return torch.tensor([value for part in parts for value in part], dtype=dtype)


def _cut(values: Sequence[Any], lengths: Sequence[int]) -> list[tuple[Any, ...]]:
    """The inverse of `_flat`."""
    left = iter(values)
    return [tuple(next(left) for _ in range(length)) for length in lengths]
