"""The pure parts of the front door: rates, heads, targets, what a log line shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.api.access_log import logged_path
from mediaconvert.api.doors import RESERVED_NAMES, Door, door_of
from mediaconvert.api.rates import RateFloor
from mediaconvert.api.request_head import BadRequest, check_head, head_end, parse_target


def test_a_client_at_the_minimum_rate_is_never_cut() -> None:
    floor = RateFloor(1024, 30)
    for _ in range(1000):
        floor.account(1, 1024)
        assert not floor.exhausted


def test_a_client_under_the_minimum_rate_is_cut_after_the_grace() -> None:
    floor = RateFloor(1024, 30)
    seconds = 0
    while not floor.exhausted:
        floor.account(1, 1000)
        seconds += 1
    assert seconds == 30


def test_a_stalled_client_is_cut_where_no_rate_is_asked_for() -> None:
    floor = RateFloor(0, 30)
    floor.account(29, 1)
    floor.account(29, 0)
    assert not floor.exhausted
    floor.account(1, 0)
    assert floor.exhausted


@given(st.lists(st.integers(1, 5)), st.binary())
def test_a_head_is_found_however_it_is_cut(sizes: list[int], rest: bytes) -> None:
    head = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    whole, buffer = head + rest, bytearray()
    for size in [*sizes, len(whole)]:
        buffer += whole[len(buffer) : len(buffer) + size]
        end = head_end(buffer, 4096)
        if end >= 0:
            assert end == len(head)
            return
        assert len(buffer) < len(head)


@pytest.mark.parametrize("size", [4096, 5000, 100_000])
def test_a_head_that_fills_the_limit_is_a_431(size: int) -> None:
    with pytest.raises(BadRequest) as raised:
        head_end(bytearray(b"a" * size), 4096)
    assert raised.value.status == 431


@given(st.binary())
def test_checking_a_head_raises_nothing_else(head: bytes) -> None:
    try:
        check_head(head)
    except BadRequest as bad:
        assert bad.status == 400


@given(st.from_regex(rb"[!-~]+", fullmatch=True))
def test_every_target_is_a_path_or_a_bad_request(target: bytes) -> None:
    try:
        parsed = parse_target(b"GET", target)
    except BadRequest:
        return
    assert parsed.raw_path.startswith(b"/")
    assert b"?" not in parsed.raw_path


@given(st.binary())
def test_every_path_has_a_door(path: bytes) -> None:
    assert door_of(path) in Door


@pytest.mark.parametrize("path", [b"/api%2Fjobs", b"/api%2fjobs", b"//api/jobs", b"/%2Fapi"])
def test_an_encoded_slash_does_not_end_a_reserved_name(path: bytes) -> None:
    assert door_of(path) is Door.S3
    assert door_of(b"/%61pi/jobs") is Door.REST


@pytest.mark.parametrize("name", RESERVED_NAMES)
def test_reserved_names_lead_to_rest(name: str) -> None:
    assert door_of(b"/" + name.encode()) is Door.REST
    assert door_of(b"/" + name.encode() + b"/more") is Door.REST
    assert door_of(b"/" + name.encode() + b"-bucket") is Door.S3


@given(st.binary(), st.binary())
def test_a_logged_path_is_printable_and_bounded(path: bytes, query: bytes) -> None:
    text = logged_path(path, query)
    assert text.isprintable()
    assert len(text) <= 510


@given(st.text("0123456789abcdef", min_size=8))
def test_values_that_might_be_secret_are_not_logged(secret: str) -> None:
    query = f"Signature={secret}&X-Amz-Security-Token={secret}&anything={secret}".encode()
    assert secret not in logged_path(b"/k", query)
