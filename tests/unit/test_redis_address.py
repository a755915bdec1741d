"""`redis.url`: its forms, its sentences, and that no password leaves it."""

from __future__ import annotations

import pytest

from mediaconvert.backends.notices.redis_address import RedisAddress, parse_address
from mediaconvert.backends.notices.redis_link import is_too_old, version
from mediaconvert.errors import StartupError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis:6379", RedisAddress(host="redis")),
        ("localhost", RedisAddress(host="localhost")),
        ("10.0.0.7:7000", RedisAddress(host="10.0.0.7", port=7000)),
        ("  cache.internal:1  ", RedisAddress(host="cache.internal", port=1)),
        ("redis://cache", RedisAddress(host="cache")),
        ("redis://cache:7000/3", RedisAddress(host="cache", port=7000, db=3)),
        ("redis://cache/?db=2", RedisAddress(host="cache", db=2)),
        ("redis://[::1]:7000", RedisAddress(host="::1", port=7000)),
        ("redis://:s%23cret@cache", RedisAddress(host="cache", password="s#cret")),
        (
            "redis://ann:a%40b%2Fc@cache:7000/1",
            RedisAddress(host="cache", port=7000, db=1, username="ann", password="a@b/c"),
        ),
        ("rediss://cache", RedisAddress(host="cache", is_tls=True)),
        (
            "rediss://cache?ssl_ca_certs=/etc/ca.pem&ssl_cert_reqs=none",
            RedisAddress(
                host="cache", is_tls=True, ca_file="/etc/ca.pem", checks_certificate=False
            ),
        ),
        ("unix:///run/redis.sock", RedisAddress(path="/run/redis.sock")),
        (
            "unix://:word@/run/redis.sock?db=4",
            RedisAddress(path="/run/redis.sock", db=4, password="word"),
        ),
    ],
)
def test_every_form_is_understood(url: str, address: RedisAddress) -> None:
    assert parse_address(url) == address


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://ann:hunter2@cache:6379", "begins with 'http://'"),
        ("redi://:hunter2@cache", "did you mean 'redis'?"),
        ("redis://:hunter2@cache:port", "no valid host and port"),
        ("redis://:hunter2@cache:99999", "no valid host and port"),
        ("redis://:hunter2@cache:0", "has port 0"),
        ("redis://:hunter2@[::1", "no valid host and port"),
        ("redis://:hunter2@", "names no host"),
        ("redis://", "names no host"),
        ("redis://:hunt#er2@cache", "%23"),
        ("redis://:hunter2@cache/films", "a database that is not a number"),
        ("redis://:hunter2@cache/1?password=hunter2", "has an unknown option"),
        ("redis://:hunter2@cache?ssl_cert_reqs=none", "is for rediss:// only"),
        ("rediss://:hunter2@cache?ssl_cert_reqs=no", "neither 'required' nor 'none'"),
        ("unix://run/redis.sock", "names no socket"),
        ("unix://", "names no socket"),
    ],
)
def test_a_wrong_one_gets_a_sentence_without_its_secret(url: str, complaint: str) -> None:
    with pytest.raises(StartupError) as caught:
        parse_address(url)
    sentence = str(caught.value)
    assert sentence.startswith("redis.url ")
    assert complaint in sentence
    assert "host:port" in sentence
    assert "hunt" not in sentence and "er2" not in sentence
    assert "\n" not in sentence


def test_an_address_shown_holds_no_password() -> None:
    address = parse_address("redis://ann:hunter2@cache:7000/1")
    assert str(address) == "cache:7000"
    assert "hunter2" not in repr(address)
    assert str(parse_address("redis://[::1]:7000")) == "[::1]:7000"
    assert str(parse_address("unix:///run/redis.sock")) == "/run/redis.sock"


@pytest.mark.parametrize(
    ("info", "name", "is_old"),
    [
        (b"# Server\r\nredis_version:7.4.1\r\nredis_mode:standalone\r\n", "Redis 7.4.1", False),
        (b"redis_version:6.2.0\r\n", "Redis 6.2.0", False),
        (b"redis_version:6.0.16\r\n", "Redis 6.0.16", True),
        (b"redis_version:10.0.0\r\n", "Redis 10.0.0", False),
        (
            b"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n",
            "Valkey 8.0.1",
            False,
        ),
        (b"redis_version:255.255.255\r\n", "Redis 255.255.255", False),
        (b"", "Redis", False),
        (b"redis_version:unstable\r\n", "Redis unstable", False),
    ],
)
def test_the_version_is_read_from_what_the_server_says(
    info: bytes, name: str, is_old: bool
) -> None:
    assert version(info) == name
    assert is_too_old(name) is is_old
