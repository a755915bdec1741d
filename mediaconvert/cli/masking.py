"""A server's URL as it may be shown: without its password. Pure.

Sees a URL as the three parsers behind the settings do (libpq's form, Redis, ClickHouse). What is
not clearly one of theirs is masked whole, for a password that was not escaped makes anything of it.
"""

from __future__ import annotations

import re

MASK = "********"

_HOST = r"(?:\[[^\s\[\]@/?#]*\]|[^\s\[\]@/?#:,]*)(?::[0-9]*)?"
_URL = re.compile(
    r"(?P<scheme>(?:postgres|postgresql|redis|rediss|unix|http|https)://)?"
    r"(?:(?P<user>[^\s/?#:]*)(?P<password>:[^\s/?#]*)?@)?"
    rf"(?P<hosts>{_HOST}(?:,{_HOST})*)"
    r"(?P<path>/(?!/)[^\s?#@]*)?(?P<query>\?[^\s#@]*)?"
)
_PARAMETER = re.compile(r"(?P<name>[a-z_]+)=(?P<value>.*)")
_SECRET_WORDS = ("pass", "pwd", "secret", "key", "token")
_FILES = frozenset({"passfile", "sslkey", "sslkeylogfile", "ssl_keyfile"})
"""Parameters that sound like secrets and name files."""


def masked_url(url: str) -> str:
    """With the mask in the place of each password in it, or the mask alone."""
    match = _URL.fullmatch(url.strip())
    parameters = None if match is None else _masked_query(match["query"] or "")
    if match is None or parameters is None:
        return MASK
    login = ""
    if match["user"] is not None:
        password = match["password"] or ""
        login = match["user"] + (f":{MASK}" if len(password) > 1 else password) + "@"
    return f"{match['scheme'] or ''}{login}{match['hosts']}{match['path'] or ''}{parameters}"


def _masked_query(query: str) -> str | None:
    if query in ("", "?"):
        return query
    shown = []
    for parameter in query.removeprefix("?").split("&"):
        match = _PARAMETER.fullmatch(parameter)
        if match is None:
            return None
        name, value = match["name"], match["value"]
        is_secret = name not in _FILES and any(word in name for word in _SECRET_WORDS)
        shown.append(f"{name}={MASK if is_secret and value else value}")
    return "?" + "&".join(shown)
