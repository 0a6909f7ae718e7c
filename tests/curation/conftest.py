"""The pool of verifiers that tests of curation use."""

from tests.rewards.conftest import patient_pool

__all__ = ["patient_pool"]
