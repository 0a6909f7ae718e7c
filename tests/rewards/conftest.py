"""One pool of verifier processes for all tests of rewards."""

from collections.abc import Iterator

import pytest

from frugalrl.rewards.verifier_pool import VerifierPool


@pytest.fixture(scope="session")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(workers=2) as shared:
        yield shared
