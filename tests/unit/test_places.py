"""Places are shared out: one user cannot have them all."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from mediaconvert.api.places import Places
from mediaconvert.errors import Unavailable
from mediaconvert.model import UserId

ONE, OTHER = UserId(1), UserId(2)


def test_one_user_gets_a_part_and_leaves_the_rest_to_others() -> None:
    places = Places(4, of_one_user=3)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(places.taken_by(ONE))
        with pytest.raises(Unavailable), places.taken_by(ONE):
            pass
        held.enter_context(places.taken_by(OTHER))
        with pytest.raises(Unavailable), places.taken_by(OTHER):
            pass
    with places.taken_by(ONE):
        pass


def test_a_place_comes_back_when_its_block_fails() -> None:
    places = Places(1, of_one_user=1)
    with pytest.raises(LookupError), places.taken_by(ONE):
        raise LookupError
    with places.taken_by(ONE):
        pass
