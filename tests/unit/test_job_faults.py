"""What an attempt failed of: the machine, the file, or this program."""

from __future__ import annotations

import errno

import pytest

from mediaconvert.errors import MediaInputError, StorageFull, ToolCrashed, Unavailable
from mediaconvert.model import FailureKind
from mediaconvert.workers.faults import explained


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "full"), "storage_full"),
        (OSError(errno.EMFILE, "too many"), "too_many_files"),
        (OSError(errno.EIO, "broken"), "storage_broken"),
        (OSError(errno.EROFS, "read only"), "storage_broken"),
        (MemoryError(), "no_memory"),
        (Unavailable("away"), "unavailable"),
        (StorageFull(), "storage_full"),
    ],
)
def test_what_the_machine_did_is_tried_again_however_deep_it_is_wrapped(
    error: Exception, code: str
) -> None:
    for wrapped in (error, ExceptionGroup("a", [ExceptionGroup("b", [error])])):
        failure = explained(wrapped)
        assert failure is not None
        assert (failure.kind, failure.code) == (FailureKind.INFRA, code)


def test_the_first_of_several_failures_counts() -> None:
    group = ExceptionGroup("a", [ToolCrashed("first"), MediaInputError("second", "x")])
    failure = explained(group)
    assert failure is not None and failure.message == "first"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a bug"),
        FileNotFoundError(errno.ENOENT, "a bug"),
        ExceptionGroup("a", [OSError(errno.EIO, "x"), KeyError("a bug")]),
    ],
)
def test_a_bug_explains_nothing(error: Exception) -> None:
    assert explained(error) is None
