"""CLICKHOUSE_DSN: its forms, and one sentence for everything else."""

from __future__ import annotations

import pytest

from mediaconvert.backends.analytics.clickhouse_address import (
    ClickHouseAddress,
    parse_clickhouse_dsn,
)
from mediaconvert.errors import StartupError

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("dsn", "address"),
    [
        ("ch:8123", ClickHouseAddress("ch")),
        (" ch ", ClickHouseAddress("ch", 8123, "mediaconvert", "default", "")),
        ("ch:80", ClickHouseAddress("ch", 80)),
        ("[::1]:8123", ClickHouseAddress("::1")),
        ("ann:pw@ch:8123", ClickHouseAddress("ch", user="ann", password="pw")),
        ("http://ch", ClickHouseAddress("ch")),
        ("http://ch/", ClickHouseAddress("ch")),
        ("HTTP://CH:8123/Reports", ClickHouseAddress("ch", database="Reports")),
        ("https://ch", ClickHouseAddress("ch", 8443, is_tls=True)),
        ("https://ch:443/db", ClickHouseAddress("ch", 443, "db", is_tls=True)),
        ("http://ann@ch", ClickHouseAddress("ch", user="ann")),
        (
            "http://a%40b:p%2Fw%23%3F%25@ch/d%20b",
            ClickHouseAddress("ch", 8123, "d b", "a@b", "p/w#?%"),
        ),
        (
            "https://ch?ca_cert=/etc/ca.pem",
            ClickHouseAddress("ch", 8443, is_tls=True, ca_file="/etc/ca.pem"),
        ),
    ],
)
def test_every_form_is_understood(dsn: str, address: ClickHouseAddress) -> None:
    assert parse_clickhouse_dsn(dsn) == address


@pytest.mark.parametrize("port", [9000, 9001, 9440])
@pytest.mark.parametrize("form", ["ch:{}", "http://ann:hunter2@ch:{}/db", "https://ch:{}"])
def test_a_native_port_is_answered_with_the_right_one(form: str, port: int) -> None:
    with pytest.raises(StartupError) as refusal:
        parse_clickhouse_dsn(form.format(port))
    sentence = str(refusal.value)
    assert f"port {port}" in sentence and "8123" in sentence and "CLICKHOUSE_DSN" in sentence
    assert "\n" not in sentence and SECRET not in sentence


@pytest.mark.parametrize(
    ("dsn", "reason"),
    [
        ("clickhouse://ann:hunter2@ch/db", "the native protocol"),
        ("native://ch:9000", "the native protocol"),
        ("htp://ann:hunter2@ch", "did you mean 'http'"),
        ("mysql://ann:hunter2@ch", "begins with 'mysql://'"),
        ("http://", "names no host"),
        (":8123", "names no host"),
        ("http://ch:0", "port 0"),
        ("http://ch:abc", "no valid host and port"),
        ("ch:99999", "no valid host and port"),
        ("http://[::1", "no valid host and port"),
        ("http://ann:hun/ter2@ch", "no valid host and port"),
        ("http://ann:hunter2#x@ch", "'#'"),
        ("http://ann:100%hunter2@ch", "'%'"),
        ("http://ann:@ch/a/b", "more than one database"),
        ("http://ch/db?secure=hunter2", "unknown option"),
        ("http://ann:x?hunter2@ch", "no valid host and port"),
        ("http://ch?ca_cert=/etc/ca.pem", "https:// only"),
    ],
)
def test_a_wrong_form_is_answered_with_a_sentence_that_does_not_repeat_it(
    dsn: str, reason: str
) -> None:
    with pytest.raises(StartupError) as refusal:
        parse_clickhouse_dsn(dsn)
    sentence = str(refusal.value)
    assert reason in sentence and "CLICKHOUSE_DSN" in sentence
    assert "\n" not in sentence
    for part in (SECRET, "ter2", "hun/"):
        assert part not in sentence


def test_a_password_is_in_no_representation() -> None:
    address = parse_clickhouse_dsn(f"http://ann:{SECRET}@ch")
    assert SECRET not in repr(address) and SECRET not in str(address)
    assert str(address) == "ch:8123/mediaconvert"
