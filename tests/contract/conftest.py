"""Every test of this folder runs on every store."""

from collections.abc import AsyncIterator

import pytest

from media_gateway.contracts import VectorStore
from tests.contract.factories import FACTORIES, FULL_FACTORIES, StoreFactory


@pytest.fixture(params=[*FACTORIES, *(pytest.param(name, marks=pytest.mark.full) for name in FULL_FACTORIES)])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[StoreFactory]:
    """A factory of one backend; everything it opened is closed after the test."""
    factory = (FACTORIES | FULL_FACTORIES)[request.param](request)
    yield factory
    await factory.close()


@pytest.fixture
async def store(stores: StoreFactory) -> VectorStore:
    """A store on an empty collection."""
    return await stores.open()
