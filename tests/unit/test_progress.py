"""What `ffmpeg -progress` says, however it is cut into pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.tools.ffmpeg_progress import ProgressParser, Report, progress_of

BLOCK = (
    b"frame=25\nfps=24.9\nstream_0_0_q=28.0\nbitrate= 212.1kbits/s\ntotal_size=26512\n"
    b"out_time_us=1000000\nout_time_ms=1000000\nout_time=00:00:01.000000\n"
    b"dup_frames=0\ndrop_frames=0\nspeed=   2x\nprogress=continue\n"
)
END = BLOCK.replace(b"continue", b"end").replace(b"1000000", b"2000000")


def test_a_block_is_one_report() -> None:
    assert ProgressParser().feed(BLOCK) == [
        Report(out_seconds=1.0, frame=25, total_size=26512, speed=2.0, is_end=False)
    ]


@given(st.lists(st.integers(0, len(BLOCK + END)), max_size=20))
def test_pieces_give_the_same_reports_as_the_whole(cuts: list[int]) -> None:
    text = BLOCK + END
    edges = [0, *sorted(cuts), len(text)]
    parser = ProgressParser()
    pieces = [text[a:b] for a, b in itertools.pairwise(edges)]
    assert [r for piece in pieces for r in parser.feed(piece)] == ProgressParser().feed(text)


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_rubbish_is_never_an_error(pieces: list[bytes]) -> None:
    parser = ProgressParser()
    for piece in pieces:
        parser.feed(piece)


@pytest.mark.parametrize(
    "text",
    [
        b"out_time_us=N/A\nspeed=N/A\ntotal_size=N/A\nprogress=continue\n",
        b"out_time_us=-9223372036854775808\nspeed=\nprogress=continue\n",
        b"out_time_us=nan\nspeed=infx\nprogress=continue\n",
        b"progress=continue\n",
    ],
)
def test_what_is_not_known_yet_is_none(text: bytes) -> None:
    [report] = ProgressParser().feed(text)
    assert (report.out_seconds, report.speed, report.is_end) == (None, None, False)


def test_share_and_time_left_follow_from_the_expected_length() -> None:
    report = Report(1.0, 25, 1, speed=2.0, is_end=False)
    progress = progress_of(report, 4.0)
    assert (progress.fraction, progress.eta_seconds) == (0.25, 1.5)


def test_share_stays_below_one_until_the_end() -> None:
    late = Report(9.0, 25, 1, speed=2.0, is_end=False)
    assert progress_of(late, 4.0).fraction < 1.0
    assert progress_of(Report(9.0, 25, 1, 2.0, is_end=True), 4.0).fraction == 1.0


def test_without_an_expected_length_nothing_is_promised() -> None:
    progress = progress_of(Report(1.0, 25, 1, speed=2.0, is_end=False), None)
    assert (progress.fraction, progress.eta_seconds) == (0.0, None)
