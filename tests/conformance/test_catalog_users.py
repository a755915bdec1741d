"""ports.catalog.Users and Credentials."""

from __future__ import annotations

import pytest

from mediaconvert.errors import (
    BucketAlreadyOwned,
    BucketNotFound,
    BucketTaken,
    CredentialNotFound,
    InvalidRequest,
    NotAuthenticated,
    TooManyCredentials,
    UserExists,
)
from mediaconvert.model import Credential, CredentialId, UserId
from tests.conformance.worlds import World


async def _key(
    world: World,
    user_id: UserId,
    bucket: str,
    access_key: str = "AK1",
    *,
    existing: bool = False,
    limit: int = 5,
) -> Credential:
    return await world.catalog.credentials.create(
        user_id, access_key, b"sealed", bucket, existing=existing, limit=limit, region="eu-1"
    )


async def test_a_user_is_found_by_address_without_case_and_by_id(world: World) -> None:
    users = world.catalog.users
    made = await users.register("Ann@Example.org", "hash")
    assert made.email == "Ann@Example.org"
    assert (made.token_version, made.is_disabled) == (1, False)
    assert await users.by_email("aNN@example.ORG") == made
    assert await users.by_id(made.id) == made


async def test_an_address_that_differs_only_in_case_is_taken(world: World) -> None:
    await world.catalog.users.register("ann@example.org", "hash")
    with pytest.raises(UserExists):
        await world.catalog.users.register("ANN@example.org", "other")


async def test_an_unknown_user_is_none(world: World) -> None:
    assert await world.catalog.users.by_email("nobody@example.org") is None
    assert await world.catalog.users.by_id(UserId(99)) is None


async def test_an_id_beyond_what_a_database_counts_to_is_missing_not_an_error(
    world: World,
) -> None:
    assert await world.catalog.users.by_id(UserId(10**30)) is None


async def test_text_that_is_not_unicode_is_refused(world: World) -> None:
    with pytest.raises(InvalidRequest, match="surrogate"):
        await world.catalog.users.register("ann\ud800@example.org", "hash")


async def test_a_new_password_and_disabling_each_end_all_tokens(world: World) -> None:
    users = world.catalog.users
    user_id = await world.user()
    changed = await users.set_password(user_id, "new")
    assert (changed.password_hash, changed.token_version) == ("new", 2)
    disabled = await users.set_disabled(user_id, is_disabled=True)
    assert (disabled.is_disabled, disabled.token_version) == (True, 3)
    enabled = await users.set_disabled(user_id, is_disabled=False)
    assert (enabled.is_disabled, enabled.token_version) == (False, 4)
    assert await users.by_id(user_id) == enabled


async def test_changing_a_user_who_does_not_exist_is_refused(world: World) -> None:
    with pytest.raises(NotAuthenticated):
        await world.catalog.users.set_password(UserId(99), "new")
    with pytest.raises(NotAuthenticated):
        await world.catalog.users.set_disabled(UserId(99), is_disabled=True)


async def test_login_failures_are_counted_per_subject_within_a_time(world: World) -> None:
    users = world.catalog.users
    for _ in range(3):
        await users.note_login_failure("ann 1.2.3.4")
    await users.note_login_failure("ann 5.6.7.8")
    assert await users.login_failures("ann 1.2.3.4", 900) == 3
    world.execute("update login_failures set created_at = created_at - 901000000")
    assert await users.login_failures("ann 1.2.3.4", 900) == 0
    assert await users.login_failures("ann 1.2.3.4", 1800) == 3


async def test_forgotten_login_failures_of_one_subject_leave_the_others(world: World) -> None:
    users = world.catalog.users
    await users.note_login_failure("ann")
    await users.note_login_failure("bob")
    await users.forget_login_failures("ann")
    assert await users.login_failures("ann", 900) == 0
    assert await users.login_failures("bob", 900) == 1


async def test_login_failures_of_yesterday_do_not_pile_up(world: World) -> None:
    users = world.catalog.users
    await users.note_login_failure("ann")
    world.execute("update login_failures set created_at = created_at - 90000000000")
    await users.note_login_failure("bob")
    assert await users.login_failures("ann", 10**6) == 0


async def test_a_credential_makes_its_bucket_and_signs_for_its_owner(world: World) -> None:
    user_id = await world.user()
    made = await _key(world, user_id, "films")
    assert (made.bucket_name, made.is_active) == ("films", True)
    (bucket,) = await world.catalog.buckets.list(user_id)
    assert (bucket.name, bucket.region) == ("films", "eu-1")
    key = await world.catalog.credentials.by_access_key("AK1")
    assert key is not None
    assert (key.credential_id, key.user_id, key.sealed_secret) == (made.id, user_id, b"sealed")
    assert (key.is_active, key.owner_email) == (True, "ann@example.org")
    assert await world.catalog.credentials.by_access_key("AK2") is None


async def test_a_bucket_name_that_anybody_has_is_refused(world: World) -> None:
    ann, bob = await world.user("ann"), await world.user("bob")
    await _key(world, ann, "films")
    with pytest.raises(BucketAlreadyOwned):
        await _key(world, ann, "films", "AK2")
    with pytest.raises(BucketTaken):
        await _key(world, bob, "films", "AK3")
    assert await world.catalog.credentials.list(bob) == ()


async def test_a_second_key_for_a_bucket_of_ones_own(world: World) -> None:
    ann, bob = await world.user("ann"), await world.user("bob")
    await _key(world, ann, "films")
    second = await _key(world, ann, "films", "AK2", existing=True)
    assert second.bucket_name == "films"
    for user_id, name in ((bob, "films"), (ann, "none")):
        with pytest.raises(BucketNotFound):
            await _key(world, user_id, name, "AK3", existing=True)


async def test_only_active_credentials_count_towards_the_limit(world: World) -> None:
    user_id = await world.user()
    first = await _key(world, user_id, "one", "AK1", limit=2)
    await _key(world, user_id, "two", "AK2", limit=2)
    with pytest.raises(TooManyCredentials):
        await _key(world, user_id, "three", "AK3", limit=2)
    assert not await world.catalog.buckets.exists("three")
    await world.catalog.credentials.revoke(user_id, first.id)
    await _key(world, user_id, "three", "AK3", limit=2)
    listed = await world.catalog.credentials.list(user_id)
    assert [(each.access_key, each.is_active) for each in listed] == [
        ("AK1", False),
        ("AK2", True),
        ("AK3", True),
    ]


async def test_revoking_is_idempotent_and_only_for_the_owner(world: World) -> None:
    ann, bob = await world.user("ann"), await world.user("bob")
    made = await _key(world, ann, "films")
    for user_id, credential_id in ((bob, made.id), (ann, CredentialId(99))):
        with pytest.raises(CredentialNotFound):
            await world.catalog.credentials.revoke(user_id, credential_id)
    for _ in range(2):
        assert not (await world.catalog.credentials.revoke(ann, made.id)).is_active
    key = await world.catalog.credentials.by_access_key("AK1")
    assert key is not None and not key.is_active


async def test_a_disabled_users_keys_are_inactive(world: World) -> None:
    user_id = await world.user()
    await _key(world, user_id, "films")
    await world.catalog.users.set_disabled(user_id, is_disabled=True)
    key = await world.catalog.credentials.by_access_key("AK1")
    assert key is not None and not key.is_active
