"""Registering, logging in, tokens, and what ends them."""

from __future__ import annotations

import time
from pathlib import Path

import jwt
import pytest
import trio

from mediaconvert.api.rest.tokens import Tokens, bearer_token
from mediaconvert.errors import NotAuthenticated
from mediaconvert.ports.notices import Notice, Topic
from tests.rest.service import PASSWORD, Person, Service, rest_service

EMAIL = "user@example.com"


async def register(service: Service, email: object = EMAIL, password: object = PASSWORD):  # type: ignore[no-untyped-def]
    return await service.http.post("/auth/register", json={"email": email, "password": password})


async def login(service: Service, email: object = EMAIL, password: object = PASSWORD):  # type: ignore[no-untyped-def]
    return await service.http.post("/auth/login", json={"email": email, "password": password})


async def test_register_answers_a_token_and_the_user(service: Service) -> None:
    answer = await register(service)
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"token", "user"}
    assert set(body["user"]) == {"id", "email"}
    assert body["user"]["email"] == EMAIL
    me = (await service.get("/api/me", body["token"])).json()
    assert (me["user_id"], me["email"]) == (body["user"]["id"], EMAIL)


async def test_login_answers_the_same_shape_whatever_the_case_of_the_address(
    service: Service,
) -> None:
    registered = (await register(service)).json()
    answer = await login(service, "USER@Example.COM")
    assert answer.status_code == 200
    assert answer.json()["user"] == registered["user"]
    assert (await service.get("/api/me", answer.json()["token"])).status_code == 200


async def test_an_address_registers_once_whatever_its_case(service: Service) -> None:
    await register(service)
    answer = await register(service, "User@Example.com")
    assert answer.status_code == 409
    assert answer.json()["error"] == "User already exists"
    assert answer.json()["code"] == "user_exists"


async def test_two_who_register_one_address_at_once_get_one_account(service: Service) -> None:
    statuses: list[int] = []

    async def one() -> None:
        statuses.append((await register(service)).status_code)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(one)
    assert sorted(statuses) == [201, 409, 409, 409, 409]


@pytest.mark.parametrize(
    "email", ["", "user", "user@", "a b@example.com", "x" * 300 + "@a.example"]
)
async def test_a_bad_address_is_a_400_that_says_which(service: Service, email: str) -> None:
    answer = await register(service, email)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["details"][0]["path"] == "email"


@pytest.mark.parametrize("password", ["", "12345", "x" * 1025, "é" * 513])
async def test_a_password_too_short_or_too_long_is_a_400(service: Service, password: str) -> None:
    answer = await register(service, password=password)
    assert answer.status_code == 400
    assert answer.json()["details"][0]["path"] == "password"
    assert not password or password not in answer.text


async def test_the_shortest_and_the_longest_password_work(service: Service) -> None:
    for email, password in (("short@example.com", "123456"), ("long@example.com", "é" * 512)):
        assert (await register(service, email, password)).status_code == 201
        assert (await login(service, email, password)).status_code == 200
        assert (await login(service, email, password[:-1])).status_code == 401


@pytest.mark.parametrize(
    "body",
    [{}, {"email": EMAIL}, {"password": PASSWORD}, {"email": 5, "password": PASSWORD},
     {"email": EMAIL, "password": ["x"]}, {"email": None, "password": None}],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/auth/register", "/auth/login"])
async def test_missing_and_ill_typed_fields_are_a_400(
    service: Service, path: str, body: dict[str, object]
) -> None:
    answer = await service.http.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["details"]


@pytest.mark.parametrize(
    ("raw", "status"),
    [(b"", 400), (b"not json", 400), (b"null", 400), (b"[]", 400), (b'{"email": NaN}', 400),
     (b'{"email": "a@b.example", "email": "c@d.example", "password": "123456"}', 400),
     (b"[" * 10_000, 400), (b"\xff\xfe", 400), (b" " * (1 << 20) + b"{}", 413)],
)  # fmt: skip
async def test_what_is_no_decent_json_is_refused(service: Service, raw: bytes, status: int) -> None:
    answer = await service.http.post("/auth/login", content=raw)
    assert answer.status_code == status
    assert answer.json()["error"] and answer.json()["code"]


async def test_a_body_that_only_turns_out_too_large_is_a_413(service: Service) -> None:
    async def endless():  # type: ignore[no-untyped-def]
        for _ in range(20):
            yield b" " * 100_000

    answer = await service.http.post("/auth/login", content=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_any_content_type_will_do(service: Service) -> None:
    content = b'{"email": "user@example.com", "password": "correct horse"}'
    answer = await service.http.post(
        "/auth/register", content=content, headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 201


async def test_unknown_user_and_wrong_password_are_told_in_the_same_words(
    service: Service,
) -> None:
    await register(service)
    wrong, unknown = await login(service, password="wrong!"), await login(service, "no@example.com")
    odd = await login(service, "no address")
    for answer in (wrong, unknown, odd):
        assert answer.status_code == 401
        assert answer.json()["error"] == "Invalid credentials"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert wrong.json().keys() == unknown.json().keys() == odd.json().keys()


async def test_the_eleventh_try_after_ten_failures_waits_even_with_the_right_password(
    service: Service,
) -> None:
    await register(service)
    for _ in range(10):
        assert (await login(service, password="wrong!")).status_code == 401
    answer = await login(service)
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    assert int(answer.headers["retry-after"]) == 900
    await register(service, "other@example.com")
    assert (await login(service, "other@example.com")).status_code == 200


async def test_unknown_users_are_counted_like_known_ones(tmp_path: Path) -> None:
    async with rest_service(tmp_path, login_failures=2) as service:
        statuses = [(await login(service, "no@example.com")).status_code for _ in range(3)]
    assert statuses == [401, 401, 429]


async def test_a_success_forgets_the_failures(tmp_path: Path) -> None:
    async with rest_service(tmp_path, login_failures=3) as service:
        await register(service)
        for _ in range(4):
            assert (await login(service, password="wrong!")).status_code == 401
            assert (await login(service)).status_code == 200


async def test_guesses_made_side_by_side_are_counted_too(tmp_path: Path) -> None:
    async with rest_service(tmp_path, login_failures=3) as service:
        await register(service)
        statuses: list[int] = []

        async def guess() -> None:
            statuses.append((await login(service, password="wrong!")).status_code)

        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(guess)
        assert statuses.count(401) <= 3
        assert set(statuses) <= {401, 429}


async def test_registration_can_be_closed(tmp_path: Path) -> None:
    async with rest_service(tmp_path, registration=False) as service:
        answer = await register(service)
        assert (answer.status_code, answer.json()["code"]) == (403, "registration_closed")


# --- tokens ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Basic dXNlcjpwYXNz", "Bearer not.a.jwt", "Bearer " + "x" * 3000,
     "Bearer a b", "bearer x.y.z"],
)  # fmt: skip
async def test_what_is_no_token_is_a_401(service: Service, header: str) -> None:
    answer = await service.http.get("/api/me", headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_no_token_is_a_401_on_every_route_that_is_not_public(service: Service) -> None:
    for route in service.app.routes:
        if route.is_public:
            continue
        path = route.path.replace("{id}", "1")
        answer = await service.http.request(route.method, path, content=b"nonsense")
        assert (route.path, answer.status_code) == (route.path, 401)


def forge(service: Service, person: Person, **changes: object) -> str:
    claims = jwt.decode(person.token, options={"verify_signature": False}) | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, service.keys.jwt_key, algorithm="HS256")


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": int(time.time()) - 1}, {"exp": None}, {"ver": 2}, {"ver": "1"}, {"ver": None},
        {"sub": "999999"}, {"sub": "0"}, {"sub": "x"}, {"sub": None}, {"sub": "9" * 30},
        {"jti": None}, {"iat": None},
    ],
)  # fmt: skip
async def test_a_token_that_is_signed_but_not_right_is_a_401(
    service: Service, person: Person, changes: dict[str, object]
) -> None:
    answer = await service.get("/api/me", forge(service, person, **changes))
    assert answer.status_code == 401
    assert (await service.get("/api/me", forge(service, person))).status_code == 200


async def test_only_our_own_key_and_algorithm_count(service: Service, person: Person) -> None:
    claims = jwt.decode(person.token, options={"verify_signature": False})
    other_key = jwt.encode(claims, b"k" * 64, algorithm="HS256")
    other_hash = jwt.encode(claims, service.keys.jwt_key * 2, algorithm="HS512")
    same_key = jwt.encode(claims, service.keys.jwt_key + b"\0" * 32, algorithm="HS512")
    unsigned = jwt.encode(claims, None, algorithm="none")
    for token in (other_key, other_hash, same_key, unsigned):
        assert (await service.get("/api/me", token)).status_code == 401


async def test_a_changed_password_ends_every_token_and_answers_a_new_one(
    service: Service, person: Person
) -> None:
    second = (await login(service, person.email)).json()["token"]
    body = {"current_password": PASSWORD, "new_password": "battery staple"}
    answer = await person.http.post("/api/me/password", json=body)
    assert answer.status_code == 200
    assert set(answer.json()) == {"token", "user"}
    for ended in (person.token, second):
        assert (await service.get("/api/me", ended)).status_code == 401
    assert (await service.get("/api/me", answer.json()["token"])).status_code == 200
    assert (await login(service, person.email)).status_code == 401
    assert (await login(service, person.email, "battery staple")).status_code == 200


async def test_changing_the_password_needs_the_present_one(
    service: Service, person: Person
) -> None:
    body = {"current_password": "wrong!", "new_password": "battery staple"}
    answer = await person.http.post("/api/me/password", json=body)
    assert (answer.status_code, answer.json()["error"]) == (401, "Invalid credentials")
    short = {"current_password": PASSWORD, "new_password": "1"}
    answer = await person.http.post("/api/me/password", json=short)
    assert (answer.status_code, answer.json()["details"][0]["path"]) == (400, "new_password")
    assert (await person.http.get("/api/me")).status_code == 200


async def test_a_disabled_user_is_out_at_once_and_cannot_log_in(
    service: Service, person: Person
) -> None:
    assert (await person.http.get("/api/me")).status_code == 200
    await service.catalog.users.set_disabled(person.id, is_disabled=True)
    await service.notices.publish(Notice(Topic.USER_CHANGED, str(person.id)))
    await trio.testing.wait_all_tasks_blocked()
    for route in service.app.routes:
        if not route.is_public:
            path = route.path.replace("{id}", "1")
            answer = await person.http.request(route.method, path)
            assert (route.path, answer.status_code) == (route.path, 401)
    answer = await login(service, person.email)
    assert (answer.status_code, answer.json()["error"]) == (401, "Invalid credentials")


async def test_a_token_is_verified_against_the_catalog_while_nobody_listens_for_changes(
    service: Service, person: Person
) -> None:
    users = service.catalog.users
    tokens = Tokens(service.keys.jwt_key, users, service.notices, hours=1)
    user = await users.by_id(person.id)
    assert user is not None
    token = tokens.issue(user)
    assert (await tokens.verify(token)).user_id == person.id
    await users.set_disabled(person.id, is_disabled=True)
    with pytest.raises(NotAuthenticated):
        await tokens.verify(token)


async def test_a_token_lives_as_long_as_the_setting_says(service: Service, person: Person) -> None:
    users = service.catalog.users
    user = await users.by_id(person.id)
    assert user is not None

    def an_hour_ago() -> float:
        return time.time() - 3600

    for hours, is_valid in ((0.5, False), (1.5, True)):
        tokens = Tokens(
            service.keys.jwt_key, users, service.notices, hours=hours, clock=an_hour_ago
        )
        assert ((await service.get("/api/me", tokens.issue(user))).status_code == 200) is is_valid


def test_the_bearer_header_is_read_as_rfc_6750_has_it() -> None:
    assert bearer_token(["Bearer abc.def-_~+/=="]) == "abc.def-_~+/=="
    assert bearer_token(["bEaReR   abc "]) == "abc"
    for values in ([], ["Bearer a", "Bearer a"], ["Bearer"], ["Bearer a,b"], ["Token a"]):
        assert bearer_token(values) is None
