"""Fine-tune small reasoning models with GRPO and verifiable rewards, on a small budget.

The public API: recipes, training, evaluation and verification as functions, and the protocols of what users write
themselves. Nothing is imported before it is used; `import frugalrl` takes a moment and loads no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frugalrl.api import change as change
    from frugalrl.api import compare as compare
    from frugalrl.api import curate as curate
    from frugalrl.api import doctor as doctor
    from frugalrl.api import evaluate as evaluate
    from frugalrl.api import forecast_evaluation as forecast_evaluation
    from frugalrl.api import load_recipe as load_recipe
    from frugalrl.api import plan as plan
    from frugalrl.api import regrade as regrade
    from frugalrl.api import report as report
    from frugalrl.api import score as score
    from frugalrl.api import sft as sft
    from frugalrl.api import train as train
    from frugalrl.curation.solver import Solver as Solver
    from frugalrl.errors import UserError as UserError
    from frugalrl.protocols import AdvantageRule as AdvantageRule
    from frugalrl.protocols import Loss as Loss
    from frugalrl.protocols import Reward as Reward
    from frugalrl.rollout.engine import RolloutEngine as RolloutEngine
    from frugalrl.tasks.task import Task as Task
    from frugalrl.verify.one_answer import verify as verify

__version__ = "0.1.0"

_PUBLIC = {
    **dict.fromkeys(
        (
            "load_recipe",
            "change",
            "train",
            "doctor",
            "plan",
            "sft",
            "evaluate",
            "forecast_evaluation",
            "compare",
            "curate",
            "regrade",
            "report",
            "score",
        ),
        "frugalrl.api",
    ),
    "verify": "frugalrl.verify.one_answer",
    "UserError": "frugalrl.errors",
    "Reward": "frugalrl.protocols",
    "Loss": "frugalrl.protocols",
    "AdvantageRule": "frugalrl.protocols",
    "RolloutEngine": "frugalrl.rollout.engine",
    "Solver": "frugalrl.curation.solver",
    "Task": "frugalrl.tasks.task",
}
"""Where each public name is defined."""

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'frugalrl' has no attribute {name!r}")
    if name == "verify":  # the package of that name is the function, too: no order of imports makes a difference
        return importlib.import_module("frugalrl.verify")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
