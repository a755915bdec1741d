"""Blocks are verified whatever pieces a store's cursor returns."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.backends.blobs.verifying import VerifyingCursor
from mediaconvert.digests import BlockDigests
from mediaconvert.model import BlobId, Segment

MIB = 1 << 20
BLOBS = {f"{index:032x}": random.Random(index).randbytes(2 * MIB + 77) for index in range(3)}


class Pieces:
    """A cursor whose pieces end anywhere, as after a broken connection; they cross no segment."""

    def __init__(
        self, segments: tuple[Segment, ...], cuts: random.Random, opened: list[int]
    ) -> None:
        opened.append(len(segments))
        self._cuts = cuts
        self._left = [
            BLOBS[each.blob_id][each.offset : each.offset + each.size] for each in segments
        ]

    def next_piece(self) -> bytes:
        while self._left and not self._left[0]:
            self._left.pop(0)
        if not self._left:
            return b""
        size = self._cuts.choice([1, 1000, MIB // 3, MIB - 1, MIB])
        piece, self._left[0] = self._left[0][:size], self._left[0][size:]
        return piece

    @property
    def at_end(self) -> bool:
        return not any(self._left)

    def close(self) -> None:
        self._left = []


def segment(name: str, offset: int, size: int, *, digested: bool) -> Segment:
    digests = BlockDigests()
    digests.update(BLOBS[name])
    return Segment(BlobId(name), offset, size, digests.blob_digest() if digested else None)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(BLOBS)),
            st.integers(0, 2 * MIB),
            st.sampled_from([1, 77, MIB, MIB + 5]),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 1000),
)
def test_pieces_that_end_within_blocks_shift_nothing(
    wanted: list[tuple[str, int, int, bool]], seed: int
) -> None:
    segments, expected = [], b""
    for name, offset, size, digested in wanted:
        size = min(size, len(BLOBS[name]) - offset)
        segments.append(segment(name, offset, size, digested=digested))
        expected += BLOBS[name][offset : offset + size]
    opened: list[int] = []
    cursor = VerifyingCursor(lambda each: Pieces(each, random.Random(seed), opened), segments)
    found = b""
    while piece := cursor.next_piece():
        assert len(piece) <= MIB
        found += piece
    assert found == expected
    assert cursor.at_end
    assert len(opened) == 1, "no block was read a second time"
