"""Every test of this folder runs on every store."""

from collections.abc import AsyncIterator

import pytest

from media_gateway.contracts import VectorStore
from tests.contract.factories import FACTORIES, StoreFactory


@pytest.fixture(params=list(FACTORIES))
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[StoreFactory]:
    """A factory of one backend; everything it opened is closed after the test."""
    factory = FACTORIES[request.param](request)
    yield factory
    await factory.close()


@pytest.fixture
async def store(stores: StoreFactory) -> VectorStore:
    """A store on an empty collection."""
    return await stores.open()
