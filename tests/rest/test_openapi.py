"""The served port does what its own OpenAPI document says, asked by schemathesis."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.program import WAIT_SECONDS
from tests.rest.service import rest_service

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
    ignored_auth,
]
EXAMPLES = 10


class ServedRest:
    """The service in a thread of its own: schemathesis blocks."""

    def __init__(self, folder: Path) -> None:
        self.url = ""
        self.token = ""
        self._folder = folder
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._serve,))

    def __enter__(self) -> ServedRest:
        self._thread.start()
        assert self._ready.wait(WAIT_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        trio.from_thread.run_sync(self._stop.set, trio_token=self._trio_token)
        self._thread.join(WAIT_SECONDS)

    async def _serve(self) -> None:
        self._trio_token = trio.lowlevel.current_trio_token()
        self._stop = trio.Event()
        async with rest_service(self._folder) as service:
            person = await service.person()
            async with person.http:
                self.url, self.token = service.url, person.token
                self._ready.set()
                await self._stop.wait()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRest]:
    with ServedRest(tmp_path_factory.mktemp("rest")) as running:
        yield running


@pytest.fixture(scope="module")
def described(served: ServedRest) -> BaseSchema:
    # Unknown parameters are ignored on purpose, so that old and new clients agree.
    config = SchemathesisConfig.from_dict(
        {
            "request-timeout": WAIT_SECONDS,
            "generation": {"allow-extra-parameters": False},
        }
    )
    return schemathesis.openapi.from_url(
        f"{served.url}/openapi.json", config=config, timeout=WAIT_SECONDS
    )


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_call_keeps_to_its_description(
    described: BaseSchema, served: ServedRest, mode: GenerationMode
) -> None:
    """With requests that the document allows, and with requests that it does not."""
    tried = 0
    for found in described.get_all_operations():
        operation = found.ok()
        try:
            cases = operation.as_strategy(generation_mode=mode)
            _try_cases(cases, served)
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label
            continue  # a call without parameters cannot be called wrongly
        tried += 1
    assert tried >= 10


def _try_cases(cases: SearchStrategy[Case], served: ServedRest) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def run(case: Case) -> None:
        token = "no-metrics-token" if case.path == "/metrics" else served.token
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)

    run()


def test_the_document_is_valid_openapi(described: BaseSchema) -> None:
    described.validate()
