"""The pool that tests of rewards use."""

from tests.rewards.conftest import patient_pool

__all__ = ["patient_pool"]
