"""What a REST call is: one row with its method, path, types, handler and refusals.

The rows are the only registry: `app.py` serves them and `openapi.py` describes them. Handlers
get a `Call` and return a model; they never see Quart and never write a response themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from mediaconvert.api.rest.tokens import Caller
from mediaconvert.errors import CredentialNotFound, JobNotFound, PipelineNotFound, Refusal
from mediaconvert.model import UserId

Q = TypeVar("Q")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Call(Generic[Q, B]):
    """One request, checked. `query` and `body` are None where the route declares none."""

    query: Q
    body: B
    address: str
    """Of the client as the socket says; empty where there is none."""
    bearer: str | None = field(repr=False)
    """The token of the Authorization header, unchecked; only /metrics reads it."""
    id: int = 0
    """The path's id; 0 where the path has none."""
    caller: Caller | None = None

    @property
    def user_id(self) -> UserId:
        """Whose call it is. Only on routes that are not public."""
        if self.caller is None:
            raise RuntimeError("a public route asked for its user")
        return self.caller.user_id


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose status is not the route's usual one."""

    status: int
    model: BaseModel


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that is not a model: bytes of the route's content type."""

    body: bytes
    content_type: str


Answer = BaseModel | Reply | Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[Q, B]):
    method: str
    path: str
    """With at most one id: `/api/jobs/{id}/cancel`."""
    summary: str
    handler: Callable[[Call[Q, B]], Awaitable[Answer]]
    answer: type[BaseModel] | None
    """None: the answer is a `Text`."""
    status: int = 200
    query: type[Q] | None = None
    body: type[B] | None = None
    body_may_be_empty: bool = False
    is_public: bool = False
    refusals: tuple[type[Refusal], ...] = ()
    """What the handler may refuse; what any call may refuse is added by `openapi.py`."""
    missing: type[JobNotFound | PipelineNotFound | CredentialNotFound] | None = None
    """What a path id that is no id is answered with; set where the path has an id."""
    other_answers: tuple[tuple[int, str], ...] = ()
    """Further statuses with the usual model, with their meaning: (503, "not ready")."""
    content_type: str = "application/json"

    def __post_init__(self) -> None:
        if self.has_id != (self.missing is not None):
            raise ValueError(f"{self.path}: `missing` and an id in the path go together")

    @property
    def has_id(self) -> bool:
        return "{id}" in self.path


AnyRoute = Route[Any, Any]
