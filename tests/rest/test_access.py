"""Every route × who asks. A route that is not listed here fails the test."""

from __future__ import annotations

import secrets

import httpx
import pytest

from mediaconvert.api.rest.accounts import REGISTRATIONS_PER_HOUR
from mediaconvert.api.rest.auth import AuthCalls, Login
from mediaconvert.api.rest.passwords import Passwords
from mediaconvert.api.rest.routes import Call
from mediaconvert.api.rest.tokens import Tokens
from mediaconvert.errors import TooManyAttempts
from mediaconvert.ports.notices import Notice, Topic
from tests.rest.service import PASSWORD, YAML, Person, Service, submit_job

PUBLIC = {
    ("GET", "/health"), ("GET", "/ready"), ("GET", "/metrics"), ("GET", "/openapi.json"),
    ("POST", "/auth/register"), ("POST", "/auth/login"), ("GET", "/api/pipelines/schema"),
}  # fmt: skip
OWN = {
    ("GET", "/api/me"), ("POST", "/api/me/password"),
    ("POST", "/api/s3-credentials"), ("GET", "/api/s3-credentials"),
    ("GET", "/api/s3-credentials/check-availability"),
    ("POST", "/api/pipelines"), ("GET", "/api/pipelines"), ("POST", "/api/pipelines/check"),
    ("GET", "/api/jobs"),
    ("GET", "/api/analytics/jobs/stats"), ("GET", "/api/analytics/jobs/timeline"),
    ("GET", "/api/analytics/jobs/percentiles"),
    ("GET", "/api/analytics/pipelines/stats"), ("GET", "/api/analytics/operations/stats"),
}  # fmt: skip
ONE = {
    ("DELETE", "/api/s3-credentials/{id}"): "credential",
    ("GET", "/api/pipelines/{id}"): "pipeline",
    ("PUT", "/api/pipelines/{id}"): "pipeline",
    ("DELETE", "/api/pipelines/{id}"): "pipeline",
    ("GET", "/api/jobs/{id}"): "job",
    ("GET", "/api/jobs/{id}/history"): "job",
    ("POST", "/api/jobs/{id}/cancel"): "job",
    ("POST", "/api/jobs/{id}/rerun"): "job",
}
CLOSED = sorted(OWN | set(ONE))
PIPELINE = {"name": "mine", "format": "yaml", "content": YAML.format(name="mine")}


async def ask(
    client: httpx.AsyncClient, method: str, path: str, number: object = 1
) -> httpx.Response:
    body = PIPELINE if method == "PUT" else None
    return await client.request(method, path.replace("{id}", str(number)), json=body)


async def test_every_route_is_listed_with_its_access(service: Service) -> None:
    served = {(route.method, route.path): route for route in service.app.routes}
    assert set(served) == PUBLIC | OWN | set(ONE)
    assert {key for key, route in served.items() if route.is_public} == PUBLIC
    assert {key for key, route in served.items() if route.has_id} == set(ONE)


async def test_nobody_in_particular_gets_nothing_in_particular(service: Service) -> None:
    for method, path in CLOSED:
        answer = await ask(service.http, method, path)
        assert (method, path, answer.status_code) == (method, path, 401)
        assert answer.json()["code"] == "not_authenticated"


async def test_a_disabled_user_gets_nothing(service: Service, person: Person) -> None:
    await service.catalog.users.set_disabled(person.id, is_disabled=True)
    await service.notices.publish(Notice(Topic.USER_CHANGED, str(person.id)))
    for method, path in CLOSED:
        answer = await ask(person.http, method, path)
        assert (method, path, answer.status_code) == (method, path, 401)


async def test_what_is_somebody_elses_answers_exactly_as_what_is_not_there(
    service: Service, person: Person, stranger: Person
) -> None:
    job_id = await submit_job(service, person)
    [pipeline] = (await person.http.get("/api/pipelines")).json()["pipelines"]
    credential = (await person.http.post("/api/s3-credentials")).json()
    theirs = {"job": int(job_id), "pipeline": pipeline["id"], "credential": credential["id"]}
    for (method, path), kind in ONE.items():
        foreign = await ask(stranger.http, method, path, theirs[kind])
        missing = await ask(stranger.http, method, path, 987_654)
        assert (method, path, foreign.status_code) == (method, path, 404)
        assert missing.status_code == 404
        words = [answer.json() | {"request_id": ""} for answer in (foreign, missing)]
        words[0]["error"] = words[0]["error"].replace(str(theirs[kind]), "987654")
        assert words[0] == words[1]
        assert set(foreign.headers) == set(missing.headers)
    assert (await person.http.get(f"/api/jobs/{job_id}")).json()["status"] == "pending"
    assert (await person.http.get("/api/pipelines")).json()["pipelines"] == [pipeline]


async def test_a_header_cannot_pretend_another_address(service: Service) -> None:
    """Registration from loopback is not limited; a header does not make it look otherwise,
    nor, by the same code, the other way round."""
    forged = {"Remote-Addr": "192.0.2.1", "X-Forwarded-For": "192.0.2.1"}
    for _ in range(REGISTRATIONS_PER_HOUR + 1):
        body = {"email": f"{secrets.token_hex(5)}@example.com", "password": PASSWORD}
        answer = await service.http.post("/auth/register", json=body, headers=forged)
        assert answer.status_code == 201


async def test_registration_from_elsewhere_is_limited_by_address(service: Service) -> None:
    users = service.catalog.users
    tokens = Tokens(service.keys.jwt_key, users, service.notices, hours=1)
    calls = AuthCalls(users, service.notices, tokens, Passwords(), service.settings.auth)

    async def register(address: str) -> None:
        body = Login(email=f"{secrets.token_hex(5)}@example.com", password=PASSWORD)
        await calls.register(Call(query=None, body=body, address=address, bearer=None))

    for _ in range(REGISTRATIONS_PER_HOUR):
        await register("192.0.2.1")
    with pytest.raises(TooManyAttempts):
        await register("192.0.2.1")
    await register("192.0.2.2")
