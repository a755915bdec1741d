"""S3 secrets at rest, and the installation's keys as the rest of the program gets them.

A secret is stored as AES-256-GCM under the master key, which is never in the database: a
stolen database signs nothing. Called by the REST side to seal, by the S3 side to unseal, and
by the supervisor at start. Never logs or prints a key or a secret.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mediaconvert.errors import MediaConvertError, StartupError
from mediaconvert.keys import (
    MASTER_KEY_BYTES,
    SecretSource,
    find_secret,
    jwt_key,
    look_for_secret,
    master_key,
)
from mediaconvert.model import UserId
from mediaconvert.ports.catalog import Catalog
from mediaconvert.settings import Settings

logger = logging.getLogger("mediaconvert.vault")

_VERSION = b"\x01"
"""First byte of everything sealed: version 1 is nonce (12) + ciphertext + tag (16)."""
_NONCE_BYTES = 12
_FINGERPRINT_NAME = "master_key_fingerprint"
_JWT_FINGERPRINT_NAME = "jwt_key_fingerprint"
_FINGERPRINT_BYTES = 16


class UnsealError(MediaConvertError):
    """Sealed bytes were changed, belong to another key pair, or to another master key."""


class Vault:
    """Seals and unseals S3 secrets. Random 96-bit nonces: NIST SP 800-38D §8.3 allows 2^32
    seals under one key, far above the number of credentials."""

    def __init__(self, key: bytes) -> None:
        if len(key) != MASTER_KEY_BYTES:
            raise ValueError(f"a master key has {MASTER_KEY_BYTES} bytes, not {len(key)}")
        self._cipher = AESGCM(key)
        self._fingerprint = _fingerprint(key, b"mediaconvert master key fingerprint")

    def seal(self, secret: str, *, access_key: str, user_id: UserId) -> bytes:
        """Bytes for the database, bound to the access key and its user: moved to another row
        they do not open."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        bound_to = _associated_data(access_key, user_id)
        return _VERSION + nonce + self._cipher.encrypt(nonce, secret.encode(), bound_to)

    def unseal(self, sealed: bytes, *, access_key: str, user_id: UserId) -> str:
        """The secret. Raises UnsealError."""
        if sealed[:1] != _VERSION:
            raise UnsealError(
                f"the secret of {access_key} was sealed by a newer version of this program"
            )
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            opened = self._cipher.decrypt(nonce, body, _associated_data(access_key, user_id))
        except (InvalidTag, ValueError) as error:
            raise UnsealError(
                f"the secret of {access_key} cannot be opened with this master key"
            ) from error
        return opened.decode()

    def fingerprint(self) -> str:
        """Tells master keys apart without telling anything about them: 32 hex digits."""
        return self._fingerprint


@dataclass(frozen=True, slots=True)
class Keys:
    """What `load_keys` found. `jwt_key` signs tokens; the vault holds the master key."""

    jwt_key: bytes = field(repr=False)
    vault: Vault
    is_jwt_key_own: bool = False
    """This node made it, as it was given none."""
    is_master_key_own: bool = False

    def jwt_fingerprint(self) -> str:
        """As `Vault.fingerprint`, of the key of the tokens."""
        return _fingerprint(self.jwt_key, b"mediaconvert jwt key fingerprint")


def load_keys(settings: Settings, *, credentials_dir: Path | None = None) -> Keys:
    """Read both keys, making them on the first start. `credentials_dir` is systemd's
    $CREDENTIALS_DIRECTORY unless given. Blocks on files. Raises StartupError."""
    folder, credentials_dir = _places(settings, credentials_dir)
    jwt_secret = find_secret(_jwt_source(settings), folder, credentials_dir)
    master_secret = find_secret(_master_source(settings), folder, credentials_dir)
    return Keys(
        jwt_key=jwt_key(jwt_secret, settings.server.host),
        vault=Vault(master_key(master_secret)),
        is_jwt_key_own=jwt_secret.is_own,
        is_master_key_own=master_secret.is_own,
    )


def find_vault(settings: Settings) -> Vault | None:
    """That of the master key which stands there already; none where a start would make one.
    Blocks on files. Raises StartupError."""
    folder, credentials_dir = _places(settings, None)
    try:
        secret = look_for_secret(_master_source(settings), folder, credentials_dir)
    except OSError as error:
        raise StartupError(f"{error.filename} cannot be looked at: {error.strerror}") from error
    return None if secret is None else Vault(master_key(secret))


def _places(settings: Settings, credentials_dir: Path | None) -> tuple[Path, Path | None]:
    """The folder of the keys that we make, and systemd's."""
    if credentials_dir is None and os.environ.get("CREDENTIALS_DIRECTORY"):
        credentials_dir = Path(os.environ["CREDENTIALS_DIRECTORY"])
    return settings.server.data_dir / "secrets", credentials_dir


def _jwt_source(settings: Settings) -> SecretSource:
    auth = settings.auth
    return SecretSource("jwt_secret", "auth.jwt_secret", auth.jwt_secret, auth.jwt_secret_file)


def _master_source(settings: Settings) -> SecretSource:
    auth = settings.auth
    return SecretSource("master_key", "auth.master_key", auth.master_key, auth.master_key_file)


async def verify_keys(catalog: Catalog, keys: Keys, *, is_embedded: bool) -> None:
    """Refuse a node whose keys are not those of the installation; the first start writes their
    fingerprints down. With an embedded catalog there are no other nodes, and the key of the
    tokens may change: old tokens end then. Raises StartupError, Unavailable."""
    if is_embedded:
        await verify_master_key(catalog, keys.vault)
        return
    meta = catalog.housekeeping.meta
    master = keys.vault.fingerprint()
    if not hmac.compare_digest(await meta(_FINGERPRINT_NAME, master), master):
        raise StartupError(
            _other_key("master key", "MEDIACONVERT_MASTER_KEY", is_own=keys.is_master_key_own)
        )
    jwt = keys.jwt_fingerprint()
    if not hmac.compare_digest(await meta(_JWT_FINGERPRINT_NAME, jwt), jwt):
        sentence = _other_key("JWT key", "JWT_SECRET", is_own=keys.is_jwt_key_own)
        if not keys.is_jwt_key_own:
            sentence += (
                ", or, to change it for all of them, stop them and run `mediaconvert migrate "
                "--accept-jwt-key` once with the new one"
            )
        raise StartupError(sentence)
    if keys.is_jwt_key_own or keys.is_master_key_own:
        logger.warning(
            "this node made a key itself, as it was given none; further nodes need the same "
            "JWT_SECRET and MEDIACONVERT_MASTER_KEY, here in <data_dir>/secrets"
        )


async def accept_jwt_key(catalog: Catalog, keys: Keys) -> None:
    """From now on this is the installation's key of the tokens: nodes with the former one are
    refused at their next start, and all tokens signed with it end. Raises Unavailable."""
    await catalog.housekeeping.set_meta(_JWT_FINGERPRINT_NAME, keys.jwt_fingerprint())


def _other_key(name: str, variable: str, *, is_own: bool) -> str:
    if is_own:
        return (
            f"this node made a {name} of its own, as it was given none, and the installation's "
            f"other nodes have another; set {variable} to the same value on all nodes (what the "
            "first node made stands in its <data_dir>/secrets)"
        )
    return (
        f"this node's {name} is not the one of the installation's other nodes; set {variable} "
        "to the same value on all nodes"
    )


async def verify_master_key(catalog: Catalog, vault: Vault) -> None:
    """Refuse a master key that is not the one the catalog's secrets were sealed with; the
    first start writes its fingerprint down. Raises StartupError, Unavailable."""
    ours = vault.fingerprint()
    known = await catalog.housekeeping.meta(_FINGERPRINT_NAME, ours)
    if not hmac.compare_digest(known, ours):
        raise StartupError(
            "the master key is not the one that this database's S3 secrets were sealed with; "
            "put back the former key (auth.master_key, auth.master_key_file or "
            "<data_dir>/secrets/master_key)"
        )


def _fingerprint(key: bytes, purpose: bytes) -> str:
    """Tells nothing about a key that cannot be guessed."""
    return hmac.digest(key, purpose, hashlib.sha256)[:_FINGERPRINT_BYTES].hex()


def _associated_data(access_key: str, user_id: UserId) -> bytes:
    return f"mediaconvert s3 secret\0{access_key}\0{user_id}".encode()
