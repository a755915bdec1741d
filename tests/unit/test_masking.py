"""Passwords in servers' URLs are masked, and nothing else is where it is clear what they are."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.cli.masking import MASK, masked_url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://mediaconvert@db.internal:5432/films?sslmode=require",
        "postgres://ann@one:5432,[::1]:5433,three/films?target_session_attrs=read-write",
        "postgres:///films?host=/run/postgresql&passfile=/etc/pgpass&sslkey=/etc/key.pem",
        "postgres://ann:@db/films",
        "redis:6379",
        "redis://cache/2?ssl_keyfile=/etc/key.pem",
        "unix:///run/redis/redis.sock",
        "https://ch.internal:8443/films?ca_cert=/etc/ca.pem",
        "10.0.0.7:8123",
    ],
)
def test_a_url_without_a_password_is_shown_as_it_is(url: str) -> None:
    assert masked_url(url) == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://ann:hunter2@db:5432/films?sslmode=require",
         f"postgres://ann:{MASK}@db:5432/films?sslmode=require"),
        ("postgres://ann:hun@ter2:x@db/films", f"postgres://ann:{MASK}@db/films"),
        ("postgres://db/films?user=ann&password=hunter2&sslpassword=hunter2",
         f"postgres://db/films?user=ann&password={MASK}&sslpassword={MASK}"),
        ("postgres://db?oauth_client_secret=hunter2&scram_client_key=hunter2",
         f"postgres://db?oauth_client_secret={MASK}&scram_client_key={MASK}"),
        ("redis://hunter2@cache:6379", f"redis://{MASK}@cache:6379"),
        ("hunter2@cache:6379", f"{MASK}@cache:6379"),
        ("redis://:hunter2@cache:6379/1", f"redis://:{MASK}@cache:6379/1"),
        ("ann:hunter2@cache:6379", f"ann:{MASK}@cache:6379"),
        ("unix://ann:hunter2@/run/redis.sock", f"unix://ann:{MASK}@/run/redis.sock"),
        ("http://ann:hunter2@ch:8123/films", f"http://ann:{MASK}@ch:8123/films"),
    ],
)  # fmt: skip
def test_only_the_password_is_masked(url: str, shown: str) -> None:
    assert masked_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "postgres://ann:hun/ter2@db/films",
        "postgres://ann:12/hunter2@db/films",
        "postgres://ann:hun?ter2@db/films",
        "postgres://ann:hunter2",
        "host=db user=ann password=hunter2",
        "redis://:hunter2#x@cache",
        "clickhouse://ann:hunter2@ch:9000",
        "http://ch:8123/?%70assword=hunter2",
        "http://ch:8123/?hunter2",
        "http://[::1:hunter2",
        "Server=db;Port=5432;User=ann;Password=hunter2",
        "cache.internal:6379,password=hunter2,ssl=True",
        "host=ch;password=hunter2",
        "password=hunter2",
        "postgres://db/films;password=hunter2",
        "postgres://db/films&password=hunter2",
        "postgres://db?x=y;password=hunter2",
        "user=ann;password=hunter2@db",
    ],
)
def test_what_is_not_clear_is_masked_whole(url: str) -> None:
    assert masked_url(url) == MASK


@given(st.text(), st.text())
def test_no_password_is_shown_escaped_or_not(before: str, after: str) -> None:
    password = f"{before}hunter2{after}"
    for scheme, rest in (("postgres", "@db/films?sslmode=require"), ("redis", "@cache/1")):
        for written in (password, quote(password), quote(password, safe="")):
            assert "hunter2" not in masked_url(f"{scheme}://ann:{written}{rest}")
    assert "hunter2" not in masked_url(f"postgres://db/d?password={quote(password, safe='')}")
