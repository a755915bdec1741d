"""Where the two secret keys come from, and which are refused."""

from __future__ import annotations

import base64
import logging
import os
import stat
from pathlib import Path

import pytest

from mediaconvert.errors import StartupError
from mediaconvert.keys import is_loopback, sweep_unfinished_keys
from mediaconvert.settings import AuthSettings, ServerSettings, Settings
from mediaconvert.vault import Keys, load_keys

STRONG = "kGm2S6xN0Zr1vQ9yT4uW7bE3aC5dF8hJ"
MASTER = base64.b64encode(bytes(range(32))).decode()


def load(data_dir: Path, *, host: str = "0.0.0.0", credentials: Path | None = None, **auth) -> Keys:
    settings = Settings(
        server=ServerSettings(data_dir=data_dir, host=host), auth=AuthSettings(**auth)
    )
    return load_keys(settings, credentials_dir=credentials)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_first_start_makes_both_keys_and_the_next_start_finds_them(tmp_path: Path) -> None:
    first = load(tmp_path)
    second = load(tmp_path)
    assert first.jwt_key == second.jwt_key and len(first.jwt_key) >= 32
    assert first.vault.fingerprint() == second.vault.fingerprint()


def test_generated_keys_can_be_read_by_nobody_else(tmp_path: Path) -> None:
    load(tmp_path)
    folder = tmp_path / "secrets"
    assert mode(folder) == 0o700
    assert {p.name: mode(p) for p in folder.iterdir()} == {
        "jwt_secret": 0o600,
        "master_key": 0o600,
    }


def test_a_secrets_folder_that_others_could_enter_is_shut(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o755)
    load(tmp_path)
    assert mode(folder) == 0o700


def test_only_files_that_a_killed_process_left_are_removed(tmp_path: Path) -> None:
    names = (".master_key.swp", ".gitignore.old", "master_key", ".jwt_key.0123456789abcdef")
    for name in names:
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (1, 1))
    assert sweep_unfinished_keys(tmp_path, older_than_seconds=60) == 1
    assert {path.name for path in tmp_path.iterdir()} == {*names[:3]}


def test_two_installations_have_different_keys(tmp_path: Path) -> None:
    one, other = load(tmp_path / "one"), load(tmp_path / "other")
    assert one.jwt_key != other.jwt_key
    assert one.vault.fingerprint() != other.vault.fingerprint()


def test_a_setting_wins_over_a_file_and_a_file_over_a_systemd_credential(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "jwt_secret").write_text(STRONG + "-credential\n")
    (tmp_path / "file").write_text(STRONG + "-file\n")
    data = tmp_path / "data"
    file = tmp_path / "file"
    assert load(data, credentials=credentials).jwt_key == f"{STRONG}-credential".encode()
    by_file = load(data, credentials=credentials, jwt_secret_file=file)
    assert by_file.jwt_key == f"{STRONG}-file".encode()
    by_value = load(data, credentials=credentials, jwt_secret_file=file, jwt_secret=STRONG)
    assert by_value.jwt_key == STRONG.encode()
    assert not (data / "secrets" / "jwt_secret").exists()


def test_the_master_key_comes_from_the_same_places(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "master_key").write_text(MASTER)
    by_credential = load(tmp_path / "data", credentials=credentials)
    by_value = load(tmp_path / "data", master_key=MASTER)
    urlsafe = base64.urlsafe_b64encode(bytes([255] * 32)).decode()
    assert by_credential.vault.fingerprint() == by_value.vault.fingerprint()
    assert load(tmp_path / "data", master_key=urlsafe).vault.fingerprint()


@pytest.mark.parametrize(
    "weak",
    [
        "your-secret-key-here",
        "change-this-secret-in-production",
        "short",
        "x" * 64,
        "31 bytes are a byte too few....",
    ],
)
def test_a_weak_or_published_jwt_key_is_refused_with_a_sentence(tmp_path: Path, weak: str) -> None:
    with pytest.raises(StartupError, match=r"JWT key in the setting auth\.jwt_secret.*openssl"):
        load(tmp_path, jwt_secret=weak)


def test_on_loopback_a_weak_jwt_key_is_only_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        keys = load(tmp_path, host="127.0.0.1", jwt_secret="your-secret-key-here")
    assert keys.jwt_key == b"your-secret-key-here"
    assert "stands in published examples" in caplog.text
    assert "your-secret-key-here" not in caplog.text


@pytest.mark.parametrize(
    "wrong", ["not base64!", base64.b64encode(bytes(31)).decode(), "A" * 32, "é" * 43]
)
def test_a_master_key_that_is_not_32_bytes_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(StartupError, match="is not the base64 of 32 bytes"):
        load(tmp_path, master_key=wrong)


def test_a_key_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    missing, empty, binary = tmp_path / "missing", tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe" * 16)
    for file, words in ((missing, "cannot read"), (empty, "is empty"), (binary, "is not text")):
        with pytest.raises(StartupError, match=words) as caught:
            load(tmp_path, jwt_secret_file=file)
        assert str(file) in str(caught.value)


def test_keys_do_not_show_in_their_printed_form(tmp_path: Path) -> None:
    keys = load(tmp_path, jwt_secret=STRONG)
    assert STRONG not in repr(keys)


def test_a_data_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, where a folder should be")
    with pytest.raises(StartupError, match=r"cannot keep a generated key.*auth\.jwt_secret"):
        load(tmp_path / "data")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("LOCALHOST", True),
        ("::1", True), ("[::1]", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False),
        ("::", False), ("192.168.0.1", False), ("example.com", False), ("", False),
    ],
)  # fmt: skip
def test_loopback_is_told_from_what_others_can_reach(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
