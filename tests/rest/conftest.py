"""Every test of this folder gets a service of its own."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.rest.service import Person, Service, rest_service


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with rest_service(tmp_path) as running:
        yield running


@pytest.fixture
async def person(service: Service) -> AsyncIterator[Person]:
    somebody = await service.person()
    async with somebody.http:
        yield somebody


@pytest.fixture
async def stranger(service: Service) -> AsyncIterator[Person]:
    somebody = await service.person()
    async with somebody.http:
        yield somebody


@pytest.fixture(autouse=True)
def no_errors_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """An ERROR that nobody expected fails the test; who expects one clears the log."""
    yield
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert not errors
