"""From outside text to typed requests: what is taken, and how what is wrong is said."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.api.rest.accounts import counted_address, is_loopback, normal_email
from mediaconvert.api.rest.auth import Login
from mediaconvert.api.rest.credentials import CredentialRequest
from mediaconvert.api.rest.jobs import JobsQuery
from mediaconvert.api.rest.pipelines import PipelineRequest
from mediaconvert.api.rest.requests import (
    MAX_DEPTH,
    parse_body,
    parse_id,
    parse_json,
    parse_query,
)
from mediaconvert.errors import InvalidRequest
from mediaconvert.model import JobStatus

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def refused(raw: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse_json(raw)
    return str(caught.value)


@given(JSON_VALUES)
def test_every_json_value_is_read_as_the_standard_library_reads_it(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_no_bytes_at_all_end_in_anything_but_a_value_or_a_refusal(raw: bytes) -> None:
    try:
        parse_json(raw)
    except InvalidRequest as refusal:
        assert str(refusal).startswith("the body")


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999"])
def test_numbers_that_json_does_not_have_are_refused(number: bytes) -> None:
    assert number.decode().lstrip("-")[:3] in refused(b'{"a": [' + number + b"]}")


def test_a_key_given_twice_is_named_at_any_depth() -> None:
    assert "'b' more than once" in refused(b'{"a": {"b": 1, "b": 2}}')


def test_nesting_is_bounded_even_where_python_would_run_out_of_stack() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert parse_json(deepest)
    for depth in (MAX_DEPTH + 1, 200_000):
        assert "nested deeper than" in refused(b"[" * depth + b"]" * depth)


def test_text_that_is_no_utf8_or_no_json_says_where() -> None:
    assert "byte 1 is wrong" in refused(b'"\xff"')
    assert "line 2 column 1" in refused(b'{"a":\n}')
    assert "too long" in refused(b"9" * 5000)


def test_a_body_may_begin_with_a_byte_order_mark() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"null", "null"),
        (b"[]", "a list"),
        (b'"x"', "a text"),
        (b"1", "a number"),
        (b"true", "a boolean"),
    ],
)
def test_a_body_that_is_no_object_is_named(raw: bytes, kind: str) -> None:
    with pytest.raises(InvalidRequest, match=f"the body is {kind}; send a JSON object"):
        parse_body(raw, Login, may_be_empty=False)


def test_every_problem_of_a_body_is_listed() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_body(b'{"format": "toml", "content": 5}', PipelineRequest, may_be_empty=False)
    assert {d.path for d in caught.value.details} == {"name", "format", "content"}
    assert "(and 2 more)" in str(caught.value)
    by_path = {d.path: d.message for d in caught.value.details}
    assert by_path["name"] == "is missing"
    assert "'toml'" in by_path["format"] and "yaml" in by_path["format"]
    assert by_path["content"].endswith("it is 5")


def test_types_are_taken_exactly() -> None:
    for body in (b'{"existing": 1}', b'{"existing": "true"}', b'{"bucket_name": 5}'):
        with pytest.raises(InvalidRequest):
            parse_body(body, CredentialRequest, may_be_empty=True)


def test_a_password_is_never_repeated_in_a_problem() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_body(b'{"email": "a@b.example", "password": 123456}', Login, may_be_empty=False)
    assert "123456" not in str(caught.value)
    assert not any("123456" in d.message for d in caught.value.details)


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(InvalidRequest, match="surrogate"):
        parse_body(b'{"email": "\\ud800@b.example", "password": "x"}', Login, may_be_empty=False)


def test_unknown_fields_and_parameters_are_ignored() -> None:
    assert parse_body(b'{"x": 1}', CredentialRequest, may_be_empty=True).bucket_name is None
    assert parse_query([("x", "1"), ("x", "2")], JobsQuery).page == 1


def test_only_optional_bodies_may_be_empty() -> None:
    assert parse_body(b" ", CredentialRequest, may_be_empty=True).existing is False
    with pytest.raises(InvalidRequest, match="the body is empty"):
        parse_body(b"", Login, may_be_empty=False)


def test_query_values_are_read() -> None:
    query = parse_query([("status", "failed"), ("page", "3"), ("limit", "100")], JobsQuery)
    assert query == JobsQuery(status=JobStatus.FAILED, page=3, limit=100)


@pytest.mark.parametrize(
    "pair",
    [
        ("page", "0"), ("page", "-1"), ("page", "+1"), ("page", " 1"), ("page", "1_0"),
        ("page", "٣"), ("page", "1.0"), ("page", ""), ("page", "9" * 30), ("limit", "0"),
        ("limit", "101"), ("status", "cancelled"), ("status", ""), ("status", "PENDING"),
    ],
)  # fmt: skip
def test_bad_query_values_are_refused_and_named(pair: tuple[str, str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_query([pair], JobsQuery)
    assert [d.path for d in caught.value.details] == [pair[0]]


def test_a_status_that_is_nearly_right_is_suggested() -> None:
    with pytest.raises(InvalidRequest, match="did you mean 'canceled'"):
        parse_query([("status", "cancelled")], JobsQuery)


def test_a_parameter_given_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'page' is given more than once"):
        parse_query([("page", "1"), ("page", "1")], JobsQuery)


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "+1", "007", "1.0", "abc", "", " 1", "1 ", "٣", "9223372036854775808", "9" * 99],
)
def test_what_can_be_no_id_is_none(text: str) -> None:
    assert parse_id(text) is None


@given(st.integers(min_value=1, max_value=2**63 - 1))
def test_every_id_is_read(number: int) -> None:
    assert parse_id(str(number)) == number


@pytest.mark.parametrize(
    "email",
    [
        "user@example.com", "a.b+c_d@sub.example-site.org", "x@y.z", "o'hara@example.com",
        "josé@exämple.de", "用户@例子.公司", "a" * 64 + "@example.com",
    ],
)  # fmt: skip
def test_addresses_are_taken(email: str) -> None:
    assert normal_email(email) == email


@pytest.mark.parametrize(
    "email",
    [
        "", "user", "@example.com", "user@", "user@localhost", "a b@example.com", "a@b@c.example",
        ".a@example.com", "a.@example.com", "a..b@example.com", "a@.example.com",
        "a@example..com", "a@example.com.", "a@-x.com", "a@x-.com", "a@ex_ample.com",
        "a@example.com\n", " a@example.com", "a@example.com ", "<a@example.com>", "a\0@example.com",
        "a" * 65 + "@example.com", "a@" + "b" * 64 + ".com", "a@" + "b." * 125 + "example",
        "a\r\nx@example.com", "a@exa mple.com", "\ud800@example.com",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(email: str) -> None:
    assert normal_email(email) is None


def test_addresses_are_one_whatever_their_case() -> None:
    assert normal_email("User@EXAMPLE.com") == normal_email("user@example.COM")


def test_attempts_are_counted_by_ipv4_address_and_ipv6_network() -> None:
    assert counted_address("192.0.2.7") != counted_address("192.0.2.8")
    assert counted_address("2001:db8:1:2::7") == counted_address("2001:db8:1:2:ffff::8")
    assert counted_address("2001:db8:1:2::7") != counted_address("2001:db8:1:3::7")
    assert counted_address("::ffff:192.0.2.7") == counted_address("192.0.2.7")
    assert counted_address("") == counted_address("nonsense") == "unknown"


def test_loopback_is_only_what_this_machine_calls_itself() -> None:
    assert all(is_loopback(a) for a in ("127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"))
    assert not any(is_loopback(a) for a in ("", "::2", "10.0.0.1", "2001:db8::1", "localhost"))
