"""S3 secrets at rest: they open with the right key, for the right row, and not otherwise."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.model import UserId
from mediaconvert.vault import UnsealError, Vault

KEY = secrets.token_bytes(32)
USER = UserId(7)


@given(st.text(max_size=100))
def test_what_was_sealed_opens(secret: str) -> None:
    vault = Vault(KEY)
    sealed = vault.seal(secret, access_key="MCAAA", user_id=USER)
    assert vault.unseal(sealed, access_key="MCAAA", user_id=USER) == secret


def test_the_same_secret_never_looks_the_same_twice() -> None:
    vault = Vault(KEY)
    seals = {vault.seal("secret", access_key="MCAAA", user_id=USER) for _ in range(50)}
    assert len(seals) == 50
    assert not any(b"secret" in sealed for sealed in seals)


@pytest.mark.parametrize(("access_key", "user_id"), [("MCAAB", 7), ("MCAAA", 8), ("MCAAA\x007", 7)])
def test_a_secret_moved_to_another_row_does_not_open(access_key: str, user_id: int) -> None:
    vault = Vault(KEY)
    sealed = vault.seal("secret", access_key="MCAAA", user_id=USER)
    with pytest.raises(UnsealError, match="cannot be opened"):
        vault.unseal(sealed, access_key=access_key, user_id=UserId(user_id))


def test_another_master_key_opens_nothing() -> None:
    sealed = Vault(KEY).seal("secret", access_key="MCAAA", user_id=USER)
    with pytest.raises(UnsealError):
        Vault(secrets.token_bytes(32)).unseal(sealed, access_key="MCAAA", user_id=USER)


def test_every_changed_or_missing_byte_is_noticed() -> None:
    vault = Vault(KEY)
    sealed = vault.seal("secret", access_key="MCAAA", user_id=USER)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        for broken in (bytes(changed), sealed[:at]):
            with pytest.raises(UnsealError):
                vault.unseal(broken, access_key="MCAAA", user_id=USER)


def test_a_newer_form_is_named_as_such() -> None:
    with pytest.raises(UnsealError, match="newer version"):
        Vault(KEY).unseal(b"\x02" + bytes(40), access_key="MCAAA", user_id=USER)


def test_the_fingerprint_tells_keys_apart_and_shows_none_of_them() -> None:
    one, other = Vault(KEY), Vault(secrets.token_bytes(32))
    assert one.fingerprint() == Vault(KEY).fingerprint() != other.fingerprint()
    assert KEY.hex()[:8] not in one.fingerprint()


def test_a_key_of_the_wrong_length_is_no_key() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(bytes(16))
