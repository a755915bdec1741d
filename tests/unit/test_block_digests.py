"""Digests of blocks: the CRC-64/NVME of its published check value, however the bytes arrive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.digests import BlockDigests, Digests, block_crc, checksum_of
from mediaconvert.model import BLOCK_BYTES


def test_a_block_has_the_check_value_of_crc_64_nvme() -> None:
    # The catalogue of parametrised CRC algorithms: CRC-64/NVME, check="123456789".
    assert block_crc(b"123456789").hex() == "ae8b14860a799888"


def test_each_block_has_its_own_digest_and_the_last_may_be_short() -> None:
    data = bytes(range(256)) * (2 * BLOCK_BYTES // 256) + b"tail"
    digests = BlockDigests()
    digests.update(data)
    found = digests.blob_digest()
    assert found.size == len(data)
    blocks = [data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES)]
    assert [found.block(index) for index in range(3)] == [block_crc(block) for block in blocks]
    assert len(found.blocks) == 24


def test_no_bytes_have_no_blocks() -> None:
    assert BlockDigests().blob_digest().blocks == b""
    assert BlockDigests().digest() == bytes(8)


@given(st.lists(st.integers(1, BLOCK_BYTES + 3), max_size=6))
def test_how_the_bytes_are_cut_makes_no_difference(sizes: list[int]) -> None:
    data = bytes(range(251)) * (sum(sizes) // 251 + 1)
    data = data[: sum(sizes)]
    pieces, whole = Digests(("CRC64NVME",)), Digests(("CRC64NVME",))
    at = 0
    for size in sizes:
        pieces.update(memoryview(data)[at : at + size])
        at += size
    whole.update(data)
    assert pieces.blob_digest == whole.blob_digest
    assert pieces.checksum("CRC64NVME") == checksum_of("CRC64NVME", data)
