"""Nodes that share a catalog share their keys; one that has others is refused."""

from __future__ import annotations

import logging
import secrets

import pytest

from mediaconvert.errors import StartupError
from mediaconvert.vault import Keys, Vault, accept_jwt_key, verify_keys
from tests.conformance.worlds import World


def _keys(*, is_own: bool = False) -> Keys:
    vault = Vault(secrets.token_bytes(32))
    jwt_key = secrets.token_urlsafe(32).encode()
    return Keys(jwt_key, vault, is_jwt_key_own=is_own, is_master_key_own=is_own)


async def test_nodes_with_the_same_keys_belong_together(world: World) -> None:
    keys = _keys()
    for _ in range(3):
        await verify_keys(world.catalog, keys, is_embedded=False)


async def test_another_jwt_key_is_refused_with_the_setting_to_set(world: World) -> None:
    first, other = _keys(), _keys()
    await verify_keys(world.catalog, first, is_embedded=False)
    with pytest.raises(StartupError, match="set JWT_SECRET to the same value on all nodes") as why:
        await verify_keys(world.catalog, Keys(other.jwt_key, first.vault), is_embedded=False)
    assert "--accept-jwt-key" in str(why.value)
    assert other.jwt_key.decode() not in str(why.value)


async def test_another_master_key_is_refused_with_the_setting_to_set(world: World) -> None:
    first, other = _keys(), _keys()
    await verify_keys(world.catalog, first, is_embedded=False)
    with pytest.raises(StartupError, match="set MEDIACONVERT_MASTER_KEY to the same value"):
        await verify_keys(world.catalog, Keys(first.jwt_key, other.vault), is_embedded=False)


async def test_a_node_that_made_its_own_keys_is_told_so(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    first, other = _keys(is_own=True), _keys(is_own=True)
    await verify_keys(world.catalog, first, is_embedded=False)
    (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "further nodes need the same JWT_SECRET" in warning.getMessage()
    with pytest.raises(StartupError, match="this node made a master key of its own"):
        await verify_keys(world.catalog, other, is_embedded=False)
    mixed = Keys(other.jwt_key, first.vault, is_jwt_key_own=True)
    with pytest.raises(StartupError, match="this node made a JWT key of its own"):
        await verify_keys(world.catalog, mixed, is_embedded=False)


async def test_the_jwt_key_of_an_installation_is_changed_on_purpose(world: World) -> None:
    first = _keys()
    new = Keys(_keys().jwt_key, first.vault)
    await verify_keys(world.catalog, first, is_embedded=False)
    await accept_jwt_key(world.catalog, new)
    await verify_keys(world.catalog, new, is_embedded=False)
    with pytest.raises(StartupError, match="JWT key"):
        await verify_keys(world.catalog, first, is_embedded=False)


async def test_an_embedded_installation_may_change_its_jwt_key_but_not_its_master_key(
    world: World,
) -> None:
    first = _keys()
    await verify_keys(world.catalog, first, is_embedded=True)
    await verify_keys(world.catalog, Keys(_keys().jwt_key, first.vault), is_embedded=True)
    with pytest.raises(StartupError, match="put back the former key"):
        await verify_keys(world.catalog, _keys(), is_embedded=True)


async def test_the_catalog_tells_nothing_of_the_keys(world: World) -> None:
    keys = _keys()
    await verify_keys(world.catalog, keys, is_embedded=False)
    for name in ("jwt_key_fingerprint", "master_key_fingerprint"):
        value = await world.catalog.housekeeping.meta(name, "")
        assert len(value) == 32
        assert keys.jwt_key.decode()[:8] not in value
    assert keys.jwt_key.decode() not in repr(keys)
