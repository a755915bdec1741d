"""Finds the installation's two secret keys: the one that signs tokens and the master key.

Each comes from a setting, else a file that a setting names, else a systemd credential, else a
file in `<data_dir>/secrets/` that is made on the first start. Called once, by
`vault.load_keys`; never logs a key, and ends the program with one sentence where a key is
unfit.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import ipaddress
import logging
import os
import re
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

from mediaconvert.errors import StartupError

logger = logging.getLogger("mediaconvert.keys")

JWT_KEY_BYTES = 32
"""RFC 7518 §3.2: an HS256 key must be at least as long as the hash's output."""
MASTER_KEY_BYTES = 32
_MIN_DISTINCT_BYTES = 8
_MAX_FILE_BYTES = 16_384
_STAGED_NAME = re.compile(r"\..+\.[0-9a-f]{16}")

# Texts that stand in published examples: whoever reads the example can sign tokens.
_EXAMPLE_KEYS = frozenset(
    {
        "your-secret-key-here",
        "change-this-secret-in-production",
        "a-string-secret-at-least-256-bits-long",
        "your-256-bit-secret",
        "your-super-secret-jwt-token-with-at-least-32-characters-long",
        "super-secret-jwt-token-with-at-least-32-characters-long",
        "your-super-secret-jwt-key-change-this-in-production",
        "your-secret-key-change-this-in-production",
        "0123456789abcdef0123456789abcdef",
        "00112233445566778899aabbccddeeff",
    }
)


@dataclass(frozen=True, slots=True)
class Secret:
    """The text of a key and, for messages, where it was found."""

    text: str = field(repr=False)
    origin: str
    is_own: bool = False
    """Of the secrets folder, where this node makes one when it is given none."""


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where one key may stand, in the order in which the places are looked at."""

    name: str
    """File name below the credentials and secrets folders: `jwt_secret`, `master_key`."""
    setting: str
    """The setting that holds it, for messages: `auth.jwt_secret`."""
    value: str = field(repr=False)
    file: Path | None


def find_secret(source: SecretSource, secrets_dir: Path, credentials_dir: Path | None) -> Secret:
    """The key's text, made and stored durably where there is none yet.

    Raises StartupError when a named file cannot be read or is empty."""
    path = secrets_dir / source.name
    try:
        given = look_for_secret(source, secrets_dir, credentials_dir)
        if given is not None and not given.is_own:
            return given
        _prepare_folder(secrets_dir)
        if given is None:
            # 32 random bytes in base64: fit to be either key.
            _write_new(path, base64.b64encode(secrets.token_bytes(32)))
            logger.info("made a new key", extra={"fields": {"key": source.name}})
    except OSError as error:
        raise StartupError(
            f"cannot keep a generated key in {secrets_dir}: {error.strerror}; make the folder "
            f"writable or give the key by the setting {source.setting}"
        ) from error
    return Secret(_read(path), f"the file {path}", is_own=True)


def sweep_unfinished_keys(secrets_dir: Path, *, older_than_seconds: float) -> int:
    """Remove what processes that were killed while they wrote a key left beside it; returns
    how many files. Younger ones may belong to a process that is writing. Raises OSError."""
    moment = time.time() - older_than_seconds
    swept = 0
    for path in secrets_dir.glob(".*.*"):
        if not _STAGED_NAME.fullmatch(path.name):
            continue
        with contextlib.suppress(FileNotFoundError):
            if path.lstat().st_mtime <= moment:
                path.unlink()
                swept += 1
    return swept


def look_for_secret(
    source: SecretSource, secrets_dir: Path, credentials_dir: Path | None
) -> Secret | None:
    """As `find_secret`, but nothing is made: None where there is none."""
    if source.value.strip():
        return Secret(source.value.strip(), f"the setting {source.setting}")
    if source.file is not None:
        return Secret(_read(source.file), f"the file {source.file}")
    if credentials_dir is not None and (credentials_dir / source.name).exists():
        path = credentials_dir / source.name
        return Secret(_read(path), f"the systemd credential {source.name}")
    path = secrets_dir / source.name
    return Secret(_read(path), f"the file {path}", is_own=True) if path.exists() else None


def jwt_key(secret: Secret, host: str) -> bytes:
    """The key of the tokens as bytes. A weak one raises StartupError, but where the service
    listens on loopback only it is a warning in the log."""
    reason = _weakness(secret.text)
    if reason:
        sentence = (
            f"the JWT key in {secret.origin} {reason}; use 32 random bytes, for instance "
            "`openssl rand -base64 32`, or leave it unset to have one made"
        )
        if not is_loopback(host):
            raise StartupError(sentence)
        logger.warning(sentence)
    return secret.text.encode()


def master_key(secret: Secret) -> bytes:
    """The 32 bytes that encrypt S3 secrets. Raises StartupError for anything else."""
    compact = "".join(secret.text.split()).replace("-", "+").replace("_", "/")
    try:
        key = base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise StartupError(
            f"the master key in {secret.origin} is not the base64 of 32 bytes; make one with "
            "`openssl rand -base64 32`, or put back the one that this data was written with"
        )
    return key


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def _weakness(text: str) -> str:
    """What is wrong with a JWT key, as the predicate of a sentence; empty where nothing is."""
    if text.lower() in _EXAMPLE_KEYS:
        return "is one that stands in published examples"
    size = len(text.encode())
    if size < JWT_KEY_BYTES:
        return f"has {size} bytes, and HS256 needs at least {JWT_KEY_BYTES}"
    if len(set(text)) < _MIN_DISTINCT_BYTES:
        return "repeats a few characters and could be guessed"
    return ""


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES).decode("utf-8").strip()
    except OSError as error:
        raise StartupError(f"cannot read the key file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StartupError(f"the key file {path} is not text; store the key in base64") from error
    if not text:
        raise StartupError(f"the key file {path} is empty; put a key into it or remove the file")
    return text


def _prepare_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def _write_new(path: Path, data: bytes) -> None:
    """Make the file whole and durable, or leave the one that another process made first."""
    staged = path.with_name(f".{path.name}.{secrets.token_hex(8)}")  # matches _STAGED_NAME
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never replaces the key of a process that was faster.
        with contextlib.suppress(FileExistsError):
            os.link(staged, path)
    finally:
        staged.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
