"""One running S3 side for all tests of this folder; each test is a new user with a bucket."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.s3.signing import Signer
from tests.serving import Person, Served, serving


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("s3")) as served:
        yield served


@pytest.fixture
def person(served: Served) -> Person:
    return served.person()


@pytest.fixture
def s3(served: Served, person: Person) -> Iterator[Any]:
    """The person's boto3 client. Its connections end with the test: `select` takes descriptors
    up to 1,023 only."""
    client = served.client(person)
    yield client
    client.close()


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"bucket-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def signer(served: Served, person: Person) -> Signer:
    return Signer(served, person)
