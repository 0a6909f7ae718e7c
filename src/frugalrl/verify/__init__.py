"""Is it right? Usable on its own, without training.

What may not enter: rewards, recipes, torch.

The package is callable: ``frugalrl.verify(answer, gold)`` is the public function of its name (one_answer.py), whichever
of the two was imported first.
"""

import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frugalrl.types import Verdict


class _Room(types.ModuleType):
    """The package as a function."""

    def __call__(self, *arguments: Any, **settings: Any) -> "Verdict":
        """`one_answer.verify`."""
        from frugalrl.verify.one_answer import verify

        return verify(*arguments, **settings)


sys.modules[__name__].__class__ = _Room
