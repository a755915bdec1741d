"""S3 key pairs: made, listed without secrets, revoked; and the names of buckets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio

from mediaconvert.api.doors import RESERVED_NAMES
from mediaconvert.errors import StartupError
from mediaconvert.ports.notices import Notice, Topic
from mediaconvert.vault import Vault, verify_master_key
from tests.rest.service import Person, Service, rest_service

URL = "/api/s3-credentials"


async def test_without_a_body_a_bucket_is_thought_up(person: Person) -> None:
    answer = await person.http.post(URL)
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {
        "id", "access_key", "secret_key", "bucket_name", "is_active", "created_at",
    }  # fmt: skip
    assert re.fullmatch(r"MC[A-Z2-7]{18}", body["access_key"])
    assert re.fullmatch(r"[A-Za-z0-9]{40}", body["secret_key"])
    assert re.fullmatch(rf"user-{person.id}-[a-z0-9]{{8}}", body["bucket_name"])
    assert body["is_active"] is True
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", body["created_at"])


async def test_the_secret_is_shown_once_and_lies_sealed(service: Service, person: Person) -> None:
    made = (await person.http.post(URL)).json()
    listed = await person.http.get(URL)
    assert "secret" not in listed.text
    [row] = listed.json()["credentials"]
    assert row == {name: made[name] for name in row}
    key = await service.catalog.credentials.by_access_key(made["access_key"])
    assert key is not None and made["secret_key"].encode() not in key.sealed_secret
    opened = service.keys.vault.unseal(
        key.sealed_secret, access_key=made["access_key"], user_id=person.id
    )
    assert opened == made["secret_key"]


async def test_a_name_is_taken_for_everybody_and_for_oneself(
    person: Person, stranger: Person
) -> None:
    name = {"bucket_name": "my-films"}
    assert (await person.http.post(URL, json=name)).json()["bucket_name"] == "my-films"
    for somebody, code in ((stranger, "bucket_taken"), (person, "bucket_already_owned")):
        answer = await somebody.http.post(URL, json=name)
        assert (answer.status_code, answer.json()["code"]) == (409, code)


@pytest.mark.parametrize(
    "name",
    ["", "ab", "UPPER", "a_b", "-abc", "a" * 64, "192.168.0.1", "x" * 10_000, *RESERVED_NAMES],
)  # fmt: skip
async def test_a_bad_name_is_a_400_and_not_available(person: Person, name: str) -> None:
    answer = await person.http.post(URL, json={"bucket_name": name})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_bucket_name")
    assert len(answer.content) < 1000
    free = await person.http.get(f"{URL}/check-availability", params={"name": name})
    assert free.status_code == 200
    assert set(free.json()) == {"available", "reason"} and free.json()["available"] is False


async def test_a_further_key_for_a_bucket_of_ones_own(person: Person, stranger: Person) -> None:
    await person.http.post(URL, json={"bucket_name": "my-films"})
    body = {"bucket_name": "my-films", "existing": True}
    second = await person.http.post(URL, json=body)
    assert (second.status_code, second.json()["bucket_name"]) == (201, "my-films")
    foreign = await stranger.http.post(URL, json=body)
    missing = await stranger.http.post(URL, json={"bucket_name": "nothing", "existing": True})
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert foreign.json()["code"] == missing.json()["code"] == "bucket_not_found"
    assert foreign.json()["error"].replace("my-films", "nothing") == missing.json()["error"]


async def test_existing_without_a_name_is_a_400(person: Person) -> None:
    answer = await person.http.post(URL, json={"existing": True})
    assert (answer.status_code, answer.json()["details"][0]["path"]) == (400, "bucket_name")


async def test_the_limit_counts_active_keys_only(person: Person) -> None:
    made = [(await person.http.post(URL)).json() for _ in range(5)]
    answer = await person.http.post(URL)
    assert (answer.status_code, answer.json()["code"]) == (400, "too_many_credentials")
    await person.http.delete(f"{URL}/{made[0]['id']}")
    assert (await person.http.post(URL)).status_code == 201


async def test_the_limit_holds_when_many_are_made_at_once(tmp_path: Path) -> None:
    async with rest_service(tmp_path, max_credentials=2) as service:
        person = await service.person()
        statuses: list[int] = []

        async def make() -> None:
            statuses.append((await person.http.post(URL)).status_code)

        async with person.http, trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(make)
    assert sorted(statuses) == [201, 201, 400, 400, 400, 400, 400, 400]


async def test_revoking_announces_itself_and_stays_in_the_list(
    service: Service, person: Person
) -> None:
    made = (await person.http.post(URL)).json()
    async with service.notices.subscribe(Topic.CREDENTIAL_REVOKED) as subscription:
        answer = await person.http.delete(f"{URL}/{made['id']}")
        assert await subscription.receive() == Notice(Topic.CREDENTIAL_REVOKED, made["access_key"])
    assert (answer.status_code, answer.json()) == (
        200,
        {"message": "Credentials revoked successfully"},
    )
    [row] = (await person.http.get(URL)).json()["credentials"]
    assert row["is_active"] is False
    again = await person.http.delete(f"{URL}/{made['id']}")
    assert again.status_code == 200
    free = await person.http.get(f"{URL}/check-availability?name={made['bucket_name']}")
    assert free.json()["available"] is False


async def test_a_foreign_a_missing_and_an_impossible_id_are_one_answer(
    person: Person, stranger: Person
) -> None:
    made = (await person.http.post(URL)).json()
    for text in (str(made["id"]), "999999", "0", "-1", "abc", "9" * 30, "1.5", "%20"):
        answer = await stranger.http.delete(f"{URL}/{text}")
        assert (answer.status_code, answer.json()["code"]) == (404, "credential_not_found")
    [row] = (await person.http.get(URL)).json()["credentials"]
    assert row["is_active"] is True


async def test_availability(person: Person) -> None:
    answer = await person.http.get(f"{URL}/check-availability", params={"name": "my-films"})
    assert answer.json() == {"available": True, "name": "my-films"}
    await person.http.post(URL, json={"bucket_name": "my-films"})
    answer = await person.http.get(f"{URL}/check-availability", params={"name": "my-films"})
    assert answer.json()["available"] is False and "taken" in answer.json()["reason"]
    missing = await person.http.get(f"{URL}/check-availability")
    assert (missing.status_code, missing.json()["details"][0]["path"]) == (400, "name")


async def test_another_master_key_than_the_databases_stops_the_start(service: Service) -> None:
    await verify_master_key(service.catalog, service.keys.vault)
    await verify_master_key(service.catalog, service.keys.vault)
    with pytest.raises(StartupError, match="master key is not the one"):
        await verify_master_key(service.catalog, Vault(bytes(32)))
