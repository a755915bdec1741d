"""A server's URL as it may be shown: without its password. Pure.

Sees a URL as the three parsers behind the settings do (libpq's form, Redis, ClickHouse). What is
not clearly one of theirs is masked whole, for a password that was not escaped makes anything of it.
"""

from __future__ import annotations

import re

MASK = "********"

_HOST = r"(?:\[[\w:.%-]*\]|[\w.%-]*)(?::[0-9]*)?"
_URL = re.compile(
    r"(?P<scheme>(?:postgres|postgresql|redis|rediss|unix|http|https)://)?"
    r"(?:(?P<user>[^\s/?#:]*)(?P<password>:[^\s/?#]*)?@)?"
    rf"(?P<hosts>{_HOST}(?:,{_HOST})*)"
    r"(?P<path>/(?!/)[^\s?#@&;=]*)?(?P<query>\?[^\s#@]*)?"
)
_PARAMETER = re.compile(r"(?P<name>[a-z_]+)=(?P<value>[^?;=]*)")
_SECRET_WORDS = ("pass", "pwd", "secret", "key", "token")
_FILES = frozenset({"passfile", "sslkey", "sslkeylogfile", "ssl_keyfile"})
"""Parameters that sound like secrets and name files."""
_SUSPICIOUS = re.compile(r"pass|pwd|secret", re.IGNORECASE)
"""In what would be shown: the password of a form that is none of theirs may stand beside it."""
_NAMES_A_USER = frozenset({"postgres://", "postgresql://", "http://", "https://"})
"""Where a login of one word is a user. To Redis many write the password alone."""


def masked_url(url: str) -> str:
    """With the mask in the place of each password in it, or the mask alone."""
    match = _URL.fullmatch(url.strip())
    parameters = None if match is None else _masked_query(match["query"] or "")
    if match is None or parameters is None:
        return MASK
    user, password, place = match["user"], match["password"], f"{match['hosts']}{match['path']}"
    if _SUSPICIOUS.search(f"{user} {place}"):
        return MASK
    login = ""
    if user is not None:
        if password is None and match["scheme"] not in _NAMES_A_USER:
            user = MASK
        shown = f":{MASK}" if password and len(password) > 1 else password or ""
        login = f"{user}{shown}@"
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
        is_file = name in _FILES
        if not is_file and any(word in name for word in _SECRET_WORDS):
            value = MASK if value else value
        elif not is_file and _SUSPICIOUS.search(value):
            return None
        shown.append(f"{name}={value}")
    return "?" + "&".join(shown)
