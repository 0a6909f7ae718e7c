"""Pools of verifier processes that tests of rewards share."""

from collections.abc import Iterator

import pytest

from frugalrl.rewards.verifier_pool import VerifierPool


@pytest.fixture(scope="session")
def pool() -> Iterator[VerifierPool]:
    """With the default limits: an answer takes a second at most."""
    with VerifierPool(workers=2) as shared:
        yield shared


@pytest.fixture(scope="session")
def patient_pool() -> Iterator[VerifierPool]:
    """For tests of what is right, on machines that may be busy with something else."""
    with VerifierPool(workers=2, limit_seconds=20.0) as shared:
        yield shared
