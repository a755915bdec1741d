"""A few places for what costs memory, shared out so that one user cannot have them all.

Given at once or refused: nobody waits behind a slow client. Used by the REST side for its large
bodies and for requests that wait, and by the S3 side for its large documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from mediaconvert.errors import Overloaded
from mediaconvert.model import UserId


class Places:
    def __init__(
        self,
        total: int,
        *,
        of_one_user: int,
        what: str = "large request bodies are being received",
    ) -> None:
        """`what` many are when there is no place, for the refusal."""
        self._what = what
        self._total = total
        self._of_one_user = of_one_user
        self._taken: Counter[UserId] = Counter()

    @contextmanager
    def taken_by(self, user_id: UserId) -> Iterator[None]:
        """One place while the block lasts. Raises Overloaded where there is none."""
        taken = self._taken
        if taken[user_id] >= self._of_one_user or taken.total() >= self._total:
            raise Overloaded(f"too many {self._what}; try again")
        taken[user_id] += 1
        try:
            yield
        finally:
            taken[user_id] -= 1
            if not taken[user_id]:
                del taken[user_id]
