"""The one place that builds a rollout engine, from the section `rollout.engine` of a recipe.

A new engine is a module beside this one, its section in `config/schema.py`, and a line in `_BUILDERS`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from frugalrl.config.schema import EngineSettings, TorchEngineSettings
from frugalrl.rollout.engine import RolloutEngine
from frugalrl.rollout.torch_engine import TorchEngine


def build_engine(
    settings: EngineSettings, model: Any, end_token_ids: frozenset[int], max_sequences: int
) -> RolloutEngine:
    """An engine that samples from a model.

    model: a transformers causal LM, shared with the caller. max_sequences: the most completions in flight at once.
    """
    return _BUILDERS[type(settings)](settings, model, end_token_ids, max_sequences)


def _torch_engine(
    settings: TorchEngineSettings, model: Any, end_token_ids: frozenset[int], max_sequences: int
) -> RolloutEngine:
    return TorchEngine(model, end_token_ids, max_sequences)


_BUILDERS: Mapping[type, Callable[..., RolloutEngine]] = {TorchEngineSettings: _torch_engine}
