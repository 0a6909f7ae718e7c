"""Objects that a recipe names by dotted path: a user's task, reward, or other function."""

import importlib
import os
import re
import sys

from frugalrl.errors import RecipeError

_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")


def is_dotted_path(name: str) -> bool:
    """Whether a name has the form ``package.module.name``."""
    return _DOTTED.fullmatch(name) is not None


def search_here() -> None:
    """Make modules of the current folder importable, after everything installed, so that they shadow nothing."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def import_dotted(path: str, what: str) -> object:
    """The object at ``package.module.name``. what: ``task``, ``reward`` ... Raises RecipeError if there is none."""
    search_here()
    module_name, _, name = path.rpartition(".")
    try:
        found: object = getattr(importlib.import_module(module_name), name)
    except Exception as error:  # whatever the user's module raises when it is imported
        known = isinstance(error, ImportError | AttributeError | ValueError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        raise RecipeError(
            f"The {what} {path!r} cannot be imported: {reason}. Check the path and PYTHONPATH."
        ) from error
    return found
