"""The catalog that a test of the suite runs on: each implementation in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.worlds import CATALOGS, World


@pytest.fixture(params=CATALOGS)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with CATALOGS[request.param](request, tmp_path) as opened:
        yield opened
