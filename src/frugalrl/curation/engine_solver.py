"""A solver in this process: a model folder, Hub id or builtin:tiny through the torch engine."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence

from frugalrl.config.curation_schema import EngineSolver
from frugalrl.config.engine_schema import TorchEngineSettings
from frugalrl.config.schema import ModelSettings, PromptSettings
from frugalrl.curation.solver import REFUSED, Answer, Ask
from frugalrl.data.fingerprint import prompt_hash
from frugalrl.data.prompts import messages_for, render, tokenize
from frugalrl.errors import ModelError
from frugalrl.rollout.collect import completion_seed, completion_text
from frugalrl.rollout.engine import RolloutRequest, SamplingParams
from frugalrl.rollout.factory import build_engine
from frugalrl.text.reasoning import prefills_think
from frugalrl.training.model.kernels import ready_kernels
from frugalrl.training.model.policy import load_policy, weights_hash


class InProcess:
    """See `frugalrl.curation.solver.Solver`. A prompt that does not fit the model's context is `refused`."""

    def __init__(self, settings: EngineSolver, seed: int, say: Callable[[str], None]) -> None:
        """say: takes a line where kernels have to be compiled.

        Raises ModelError if the model cannot be loaded, or is too small for the completions asked for.
        """
        self._policy = load_policy(
            ModelSettings(path=settings.model, revision=settings.revision, dtype=settings.dtype, device=settings.device)
        )
        self._room = self._policy.context_tokens - settings.max_completion_tokens
        if self._room < 1:
            raise ModelError(
                f"{settings.model} has a context of {self._policy.context_tokens} tokens, which leaves no room for a "
                f"prompt beside max_completion_tokens {settings.max_completion_tokens}. Lower it."
            )
        policy = self._policy
        ready_kernels(policy, say)
        self._engine = build_engine(TorchEngineSettings(), policy.model, policy.end_token_ids, settings.max_sequences)
        self._sampling = SamplingParams(settings.max_completion_tokens, settings.temperature, settings.top_p)
        self._prompt = PromptSettings(system=settings.system, template=settings.template)
        self._rows, self._seed = settings.max_sequences, seed
        self._weights = f"{settings.model}@{weights_hash(self._policy)}"
        asked = [prompt_hash(self._policy.tokenizer, self._prompt), settings.temperature, settings.top_p]
        asked += [settings.max_completion_tokens, settings.dtype, seed]
        self._asked = hashlib.blake2b(json.dumps(asked).encode(), digest_size=8).hexdigest()

    @property
    def solver_id(self) -> str:
        return self._weights

    @property
    def asked(self) -> str:
        return self._asked

    @property
    def batch(self) -> int:
        return 4 * self._rows

    @property
    def most_failed(self) -> float:
        return 0.0

    def answers(self, asks: Sequence[Ask]) -> Iterator[tuple[int, Answer]]:
        """See `Solver.answers`."""
        tokenizer = self._policy.tokenizer
        by_text: dict[str, list[int]] = {}
        for at, ask in enumerate(asks):
            by_text.setdefault(ask.text, []).append(at)
        requests, positions, opened, lengths = [], [], [], []
        for text, own in by_text.items():
            prompt = render(tokenizer, messages_for(text, self._prompt))
            token_ids = tokenize(tokenizer, prompt)
            if len(token_ids) > self._room:
                said = f"the prompt has {len(token_ids):,} tokens, and there is room for {self._room:,}"
                yield from ((at, Answer("", REFUSED, 0, said=said)) for at in own)
                continue
            seeds = tuple(completion_seed("curate", self._seed, text, asks[at].sample) for at in own)
            requests.append(RolloutRequest(token_ids, seeds))
            positions.append(own)
            opened.append(prefills_think(prompt))
            lengths.append(len(token_ids))
        for own, is_open, length, sequences in zip(
            positions, opened, lengths, self._engine.generate(requests, self._sampling), strict=True
        ):
            for at, sequence in zip(own, sequences, strict=True):
                text = completion_text(tokenizer, sequence)
                yield at, Answer(text, sequence.finish_reason, len(sequence.token_ids), is_open, length)
