"""What a person types to get in: e-mail, password, and how often they may try.

Checks syntax only, and counts failures in the catalog so that every process counts alike.
Never says whether an account exists. Called by `auth.py`.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata

from mediaconvert.api.rest.passwords import MAX_PASSWORD_BYTES
from mediaconvert.errors import Detail, InvalidRequest, TooManyAttempts
from mediaconvert.ports.catalog import Users

MAX_EMAIL_CHARS = 254
"""RFC 5321 §4.5.3.1.3: a path has at most 256 octets, two of them angle brackets."""
REGISTRATIONS_PER_HOUR = 20
"""From one address that is not loopback."""

# RFC 5322 §3.4.1 dot-atom; letters beyond ASCII as RFC 6531 allows. `\w` less the
# underscore is what a domain label may hold.
_ATOM = r"[\w!#$%&'*+/=?^`{|}~-]+"
_LABEL = r"[^\W_](?:[^\W_]|-){0,61}[^\W_]|[^\W_]"
_EMAIL = re.compile(rf"(?=.{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:(?:{_LABEL})\.)+(?:{_LABEL})")


def normal_email(text: str) -> str | None:
    """The address as it is stored and compared, in lower case; None where it is none."""
    email = unicodedata.normalize("NFC", text).lower()
    if len(email.encode("utf-8", "replace")) > MAX_EMAIL_CHARS or not _EMAIL.fullmatch(email):
        return None
    return email


def email_to_register(text: str) -> str:
    """Raises InvalidRequest."""
    email = normal_email(text)
    if email is None:
        shown = text if len(text) <= 100 else text[:100] + "…"
        detail = Detail("email", f"'{shown}' is not an e-mail address; write name@example.com")
        raise InvalidRequest(f"email: {detail.message}", [detail])
    return email


def check_new_password(password: str, minimum: int, field: str) -> None:
    """`minimum` is in characters, the upper bound in bytes. Raises InvalidRequest."""
    message = ""
    if len(password) < minimum:
        message = f"has {len(password)} characters; at least {minimum} are needed"
    elif len(password.encode()) > MAX_PASSWORD_BYTES:
        message = f"has {len(password.encode())} bytes; at most {MAX_PASSWORD_BYTES} are taken"
    if message:
        raise InvalidRequest(f"{field}: {message}", [Detail(field, message)])


def is_loopback(address: str) -> bool:
    network = _network(address)
    return network is not None and network.is_loopback


def counted_address(address: str) -> str:
    """What is counted for a client: its IPv4 address or its IPv6 /64, which one subscriber
    has whole."""
    network = _network(address)
    return "unknown" if network is None else str(network)


def _network(address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return ipaddress.IPv4Network(parsed.ipv4_mapped)
        # ::1 alone is loopback, not its /64.
        width = 128 if parsed.is_loopback else 64
        return ipaddress.IPv6Network((parsed, width), strict=False)
    return ipaddress.IPv4Network(parsed)


async def count_attempt(users: Users, subject: str, limit: int, window_seconds: int) -> None:
    """Count one more attempt, before its outcome is known: attempts that run side by side
    could otherwise all pass. Raises TooManyAttempts above `limit` in the window."""
    if await users.login_failures(subject, window_seconds) >= limit:
        raise TooManyAttempts(window_seconds)
    await users.note_login_failure(subject)
    if await users.login_failures(subject, window_seconds) > limit:
        raise TooManyAttempts(window_seconds)
