"""What `/ready` says. A probe has two seconds and an answer is kept for one: of a machine that
pauses one look proves nothing, so a test says what it waits to read."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.program import Json, wait_until

Rows = dict[str, Json]


def rows(url: str) -> Rows:
    """Each row by its name, and `status`, which is that of the whole."""
    body = httpx.get(f"{url}/ready", timeout=60).json()
    return {row["name"]: row for row in body["checks"]} | {"status": body["status"]}


def rows_once(url: str, holds: Callable[[Rows], bool], what: str) -> Rows:
    """The first answer of which it holds."""
    found: Rows = {}

    def is_told() -> bool:
        found.clear()
        found.update(rows(url))
        return holds(found)

    wait_until(is_told, what)
    return found


def rows_once_ready(url: str) -> Rows:
    """The first answer without a row that is not ok."""
    return rows_once(
        url,
        lambda found: all(row == "ready" or row["status"] == "ok" for row in found.values()),
        "every dependency is well",
    )


def queue_says(url: str, status: str) -> bool:
    return bool(rows(url)["queue"]["status"] == status)
