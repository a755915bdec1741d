"""S3 secrets at rest, and the installation's keys as the rest of the program gets them.

A secret is stored as AES-256-GCM under the master key, which is never in the database: a
stolen database signs nothing. Called by the REST side to seal, by the S3 side to unseal, and
by the supervisor at start. Never logs or prints a key or a secret.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mediaconvert.errors import MediaConvertError, StartupError
from mediaconvert.keys import MASTER_KEY_BYTES, SecretSource, find_secret, jwt_key, master_key
from mediaconvert.model import UserId
from mediaconvert.ports.catalog import Catalog
from mediaconvert.settings import Settings

_VERSION = b"\x01"
"""First byte of everything sealed: version 1 is nonce (12) + ciphertext + tag (16)."""
_NONCE_BYTES = 12
_FINGERPRINT_NAME = "master_key_fingerprint"


class UnsealError(MediaConvertError):
    """Sealed bytes were changed, belong to another key pair, or to another master key."""


class Vault:
    """Seals and unseals S3 secrets. Random 96-bit nonces: NIST SP 800-38D §8.3 allows 2^32
    seals under one key, far above the number of credentials."""

    def __init__(self, key: bytes) -> None:
        if len(key) != MASTER_KEY_BYTES:
            raise ValueError(f"a master key has {MASTER_KEY_BYTES} bytes, not {len(key)}")
        self._cipher = AESGCM(key)
        self._fingerprint = hmac.digest(key, b"mediaconvert master key fingerprint", hashlib.sha256)

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
        return self._fingerprint[:16].hex()


@dataclass(frozen=True, slots=True)
class Keys:
    """What `load_keys` found. `jwt_key` signs tokens; the vault holds the master key."""

    jwt_key: bytes = field(repr=False)
    vault: Vault


def load_keys(settings: Settings, *, credentials_dir: Path | None = None) -> Keys:
    """Read both keys, making them on the first start. `credentials_dir` is systemd's
    $CREDENTIALS_DIRECTORY unless given. Blocks on files. Raises StartupError."""
    auth = settings.auth
    secrets_dir = settings.server.data_dir / "secrets"
    if credentials_dir is None and os.environ.get("CREDENTIALS_DIRECTORY"):
        credentials_dir = Path(os.environ["CREDENTIALS_DIRECTORY"])
    jwt = SecretSource("jwt_secret", "auth.jwt_secret", auth.jwt_secret, auth.jwt_secret_file)
    master = SecretSource("master_key", "auth.master_key", auth.master_key, auth.master_key_file)
    return Keys(
        jwt_key=jwt_key(find_secret(jwt, secrets_dir, credentials_dir), settings.server.host),
        vault=Vault(master_key(find_secret(master, secrets_dir, credentials_dir))),
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


def _associated_data(access_key: str, user_id: UserId) -> bytes:
    return f"mediaconvert s3 secret\0{access_key}\0{user_id}".encode()
