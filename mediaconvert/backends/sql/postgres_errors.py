"""What PostgreSQL's failures mean: to a transaction (may it run again?), to whoever waits for it,
and to the operator at start.

Pure. SQLSTATEs are those of PostgreSQL's manual, appendix A. Sentences never hold a password.
Called by `postgres.py`.
"""

from __future__ import annotations

import os
import re
import socket
import ssl

import asyncpg

from mediaconvert.backends.sql.driver import nothing_changed
from mediaconvert.backends.sql.postgres_uri import PostgresAddress
from mediaconvert.errors import CatalogDamaged, StartupError, StorageFull

CONNECTION_ERRORS = (
    OSError,  # refused, reset, timed out, no such host, TLS
    asyncpg.InterfaceError,  # "connection is closed"
    asyncpg.InternalClientError,  # no host of several that is wanted
    asyncpg.PostgresError,
)
"""All that opening and using a connection can raise."""

_LOST = (
    *("08000", "08001", "08003", "08004", "08006", "08007", "08P01"),
    *("57P01", "57P02", "57P03", "57P05", "25P03", "25P04"),
)

_CONFLICTS = ("40001", "40P01")
# An older statement of another schema, or of another server behind a pooler.
_STALE = ("26000", "42P05")


def sqlstate(error: BaseException) -> str:
    """Empty where the error is not the server's."""
    return (getattr(error, "sqlstate", None) or "") if _is_servers(error) else ""


def _is_servers(error: BaseException) -> bool:
    return isinstance(error, asyncpg.PostgresError)


def is_lost(error: BaseException) -> bool:
    """The connection is gone, or never came about."""
    if isinstance(error, (OSError, asyncpg.InternalClientError)):
        return True
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, (asyncpg.DataError, ValueError))
    return sqlstate(error) in _LOST


def is_passing(error: BaseException) -> bool:
    """Why no connection came about may pass within a second: the server is being started, or
    all of its connections are taken just now."""
    state = sqlstate(error)
    return state in ("57P03", "53300") if state else not isinstance(error, ssl.SSLError)


def is_starting(error: BaseException) -> bool:
    """The server is there, and will take connections soon."""
    return sqlstate(error) == "57P03"


def is_conflict(error: BaseException) -> bool:
    """Others were in the way; the same transaction may succeed when it runs again."""
    return sqlstate(error) in _CONFLICTS


def is_stale(error: BaseException) -> bool:
    """A prepared statement is no longer what it was; prepared anew it works."""
    return isinstance(
        error, (asyncpg.InvalidCachedStatementError, asyncpg.exceptions.OutdatedSchemaCacheError)
    ) or (sqlstate(error) in _STALE)


def is_read_only(error: BaseException) -> bool:
    """The server is a replica, or was made read-only. (A hot standby calls SERIALIZABLE a
    feature that it does not have.)"""
    return sqlstate(error) == "25006" or (
        isinstance(error, asyncpg.FeatureNotSupportedError) and not is_stale(error)
    )


def translated(error: Exception) -> Exception:
    """What a failure means to whoever asked, when the transaction will not run again and has
    changed nothing; mistakes in our SQL stay what they are."""
    state = sqlstate(error)
    if state == "53100":
        return StorageFull()
    if state == "53300":
        return nothing_changed("the database has no connection left for us", 5)
    if state == "57014":
        return nothing_changed("the catalog took too long")
    if state == "55P03":
        return nothing_changed("the catalog is busy")
    if state in ("XX001", "XX002"):
        return CatalogDamaged(
            f"the database is damaged ({reason(error)}); restore it from a backup"
        )
    if is_conflict(error):
        return nothing_changed("too many want to change the same at once")
    if is_read_only(error):
        return nothing_changed("the database is a read-only replica", 5)
    if state == "42501":
        why = f"the database does not let this user do all that it has to: {reason(error)}"
        return nothing_changed("the database cannot be used", 5, reason=why)
    if is_lost(error) or state[:2] in ("53", "57", "58", "28") or state == "3D000":
        why = f"the database cannot be used: {reason(error)}"
        return nothing_changed("the database cannot be reached", 2, reason=why)
    return error


SHARED = (
    "is behind a pooler in transaction mode, which cannot be used; run it in session mode "
    "(pgbouncer: pool_mode = session), or connect to the server itself"
)
"""What is wrong with a database whose connections share server processes."""


def startup_error(error: Exception, address: PostgresAddress) -> StartupError:
    """The first connection failed: one sentence with what to do."""
    return StartupError(f"the database {address.shown} {_at_start(error)}")


def _at_start(error: Exception) -> str:
    state = sqlstate(error)
    if state in ("28P01", "28000"):
        return (
            f"refused the user or the password ({error}); correct them in DATABASE_URL, or "
            "allow them in the server's pg_hba.conf"
        )
    if state == "3D000":
        return f"does not exist ({error}); make it with createdb, or name another in DATABASE_URL"
    if state in _STALE:
        # A statement that we have just prepared is somebody else's.
        return SHARED
    if state == "53300":
        return "has no connection left; raise its max_connections, or lower database.pool_size"
    if state == "57P03":
        return f"is not ready yet ({error}); start again when it is"
    if isinstance(error, asyncpg.exceptions.TargetServerAttributeNotMatched):
        return "has no server such as target_session_attrs asks for; check the hosts"
    if isinstance(error, asyncpg.ClientConfigurationError):
        return f"cannot be reached with this DATABASE_URL: {error}"
    if isinstance(error, ssl.SSLError):
        return (
            f"cannot be reached over TLS: {reason(error)}; check sslmode, sslrootcert and the "
            "host's name in DATABASE_URL"
        )
    if isinstance(error, ConnectionError) and "SSL" in str(error):
        return (
            "does not offer TLS; turn it on in the server, or, where the network is trusted, "
            "write sslmode=disable in DATABASE_URL"
        )
    if isinstance(error, socket.gaierror):
        return f"cannot be reached: {reason(error)}; correct it in DATABASE_URL"
    if _is_hung_up(error):
        return (
            f"cannot be reached: {reason(error)}; see that PostgreSQL is what listens there, or "
            "correct DATABASE_URL"
        )
    if isinstance(error, TimeoutError):
        return "does not answer; check the host and the port in DATABASE_URL, and the firewall"
    return f"cannot be reached: {reason(error)}; start the server, or correct DATABASE_URL"


def reason(error: Exception) -> str:
    """Why a connection did not come about, for a log."""
    if isinstance(error, ssl.SSLError):
        return getattr(error, "verify_message", "") or error.reason or "the handshake failed"
    if isinstance(error, socket.gaierror):
        # Its number is not the system's.
        return f"the name of its host could not be resolved ({error.strerror})"
    if _is_hung_up(error):
        return "it closed the connection"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    words = " ".join(str(error).split())
    # asyncio's words, where a name has several addresses.
    if isinstance(error, OSError) and (numbers := re.findall(r"\[Errno (\d+)\]", words)):
        return ", ".join(dict.fromkeys(os.strerror(int(number)) for number in numbers))
    return words or type(error).__name__


def _is_hung_up(error: Exception) -> bool:
    """The other side ended the connection, without a word and in good order."""
    if isinstance(error, asyncpg.ConnectionDoesNotExistError):
        return True
    # asyncpg's words, before and during the handshake of TLS.
    words = ("unexpected connection_lost() call", "connection closed during TLS handshake")
    return isinstance(error, ConnectionError) and str(error) in words
