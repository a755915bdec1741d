"""Which S3 operation a request means: a row of a table, found by method, level and subresource.

Pure. The rows stand in `table.py`; `dispatch.py` asks here. A request that names a subresource
which has no row is refused here, so that it can never fall through to a plain GET, PUT or
DELETE of the object.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mediaconvert.api.s3.request import S3Request, Services
from mediaconvert.api.s3.responses import Response

Handler = Callable[[Services, S3Request], Awaitable[Response]]


class Level(StrEnum):
    """What the request's path names."""

    SERVICE = "service"
    BUCKET = "bucket"
    OBJECT = "object"


class Access(StrEnum):
    """What a credential needs for a row."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the S3 API."""

    operation: str
    """Its name in the S3 API reference."""
    method: str
    level: Level
    access: Access
    handler: Handler | None = None
    """None: the operation is known and answered with 501 NotImplemented."""
    queries: tuple[str, ...] = ()
    """Query parameters that must all be there: `name` or `name=value`."""
    header: str | None = None
    """A header, in lower case, that must be there."""
    optional: frozenset[str] = field(default_factory=frozenset)
    """Names that are subresources elsewhere, and plain parameters here."""
    has_body: bool = False
    """Whether the handler reads the request's body. Where it does not, `dispatch` does."""

    @property
    def names(self) -> frozenset[str]:
        return frozenset(q.partition("=")[0] for q in self.queries)

    def matches(self, query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        if self.header is not None and self.header not in headers:
            return False
        for wanted in self.queries:
            name, equals, value = wanted.partition("=")
            if name not in query or (equals and query[name] != value):
                return False
        return True


# Values with these names only shape the answer of a row (`id` tells a Get from a List).
_QUALIFIERS = frozenset({"id", "annotationName"})

# Parameters that may come with an empty value and name no subresource.
_PARAMETERS = frozenset(
    [
        "prefix",
        "delimiter",
        "marker",
        "max-keys",
        "encoding-type",
        "continuation-token",
        "start-after",
        "fetch-owner",
        "key-marker",
        "upload-id-marker",
        "version-id-marker",
        "max-uploads",
        "part-number-marker",
        "max-parts",
        "max-buckets",
        "bucket-region",
        "versionId",
        "x-id",
        "AWSAccessKeyId",
        "Signature",
        "Expires",
    ]
)
_PARAMETER_PREFIXES = ("response-", "x-amz-", "X-Amz-")


class NoRoute(Exception):
    """No row matches. Not a Refusal: `dispatch` turns it into MethodNotAllowed (the method
    exists nowhere at this level, or the subresource has other methods) or NotImplemented."""

    def __init__(self, *, is_method_wrong: bool, what: str) -> None:
        super().__init__(what)
        self.is_method_wrong = is_method_wrong
        self.what = what


class Routes:
    """The table, indexed by method and level, most specific rows first."""

    def __init__(self, rows: Iterable[Route]) -> None:
        self.rows = tuple(rows)
        self._by_place: dict[tuple[str, Level], list[Route]] = {}
        for row in self.rows:
            self._by_place.setdefault((row.method, row.level), []).append(row)
        for found in self._by_place.values():
            found.sort(key=lambda row: (len(row.queries), row.header is not None), reverse=True)
        self._subresources = {name for row in self.rows for name in row.names} - _QUALIFIERS

    def match(
        self, method: str, level: Level, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> Route:
        """The row for a request; header names in lower case. Raises NoRoute."""
        rows = self._by_place.get((method, level))
        if rows is None:
            raise NoRoute(is_method_wrong=True, what=f"method {method}")
        named = self._named(query)
        for row in rows:
            if row.matches(query, headers) and named <= row.names | row.optional:
                return row
        what = ", ".join(sorted(named)) or f"method {method}"
        known = bool(named) and named <= self._subresources
        raise NoRoute(is_method_wrong=known or not named, what=what)

    def _named(self, query: Mapping[str, str]) -> set[str]:
        """The subresources that a query names: known ones, and whatever else has no value."""
        return {
            name
            for name, value in query.items()
            if name in self._subresources
            or (
                not value
                and name not in _PARAMETERS
                and name not in _QUALIFIERS
                and not name.startswith(_PARAMETER_PREFIXES)
            )
        }
