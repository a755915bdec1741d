"""What a user sees of a running job: step states, a percentage that never falls, an ETA."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.workers.progress import ProgressBoard


def board() -> ProgressBoard:
    return ProgressBoard([("video", "transcode"), ("poster", "generate_thumbnail")])


def statuses(steps: tuple[dict[str, object], ...]) -> list[object]:
    return [step["status"] for step in steps]


def test_a_run_begins_at_nothing_and_ends_at_everything() -> None:
    b = board()
    first = b.snapshot(10.0)
    assert (first.percent, first.eta_seconds, statuses(first.steps)) == (0.0, None, ["pending"] * 2)
    for step_id in ("video", "poster"):
        b.start(step_id, input_bytes=100, now=10.0)
        b.complete(step_id, output_bytes=7, outputs=["a.mp4"], now=12.5)
    last = b.snapshot(13.0)
    assert (last.percent, last.eta_seconds, statuses(last.steps)) == (100.0, 0.0, ["completed"] * 2)
    assert last.steps[0] == {
        "id": "video", "operation": "transcode", "status": "completed", "progress": 100.0,
        "duration_ms": 2500, "input_bytes": 100, "output_bytes": 7, "outputs": ["a.mp4"],
    }  # fmt: skip
    assert json.loads(json.dumps(last.steps)) == list(last.steps)


def test_a_costly_step_weighs_more() -> None:
    b = board()
    b.weigh("video", 90.0)
    b.weigh("poster", 10.0)
    b.start("video", input_bytes=1, now=0.0)
    b.advance("video", 0.5, None)
    assert b.snapshot(1.0).percent == 45.0


def test_the_estimate_of_the_last_step_is_the_tools_own() -> None:
    b = board()
    b.start("poster", input_bytes=1, now=0.0)
    b.complete("poster", output_bytes=1, outputs=["p.jpg"], now=1.0)
    b.start("video", input_bytes=1, now=1.0)
    b.advance("video", 0.25, 42.0)
    assert b.snapshot(2.0).eta_seconds == 42.0


def test_with_several_steps_left_the_estimate_follows_the_share_done() -> None:
    b = board()
    b.weigh("video", 1.0)
    b.weigh("poster", 1.0)
    b.start("video", input_bytes=1, now=0.0)
    b.advance("video", 0.5, 3.0)
    assert b.snapshot(10.0).eta_seconds == 30.0


def test_a_failure_leaves_the_other_steps_skipped_and_says_why() -> None:
    b = board()
    b.start("video", input_bytes=1, now=0.0)
    b.fail("video", "no video stream", 1.0)
    b.skip_unfinished(1.0)
    last = b.snapshot(1.0)
    assert statuses(last.steps) == ["failed", "skipped"]
    assert last.steps[0]["error"] == "no video stream"
    assert "error" not in last.steps[1]


@given(st.lists(st.tuples(st.sampled_from(["weigh", "advance"]), st.booleans(), st.floats(0, 500))))
def test_the_percentage_never_falls_and_never_leaves_its_range(
    moves: list[tuple[str, bool, float]],
) -> None:
    b = board()
    before = 0.0
    for what, is_video, amount in moves:
        step_id = "video" if is_video else "poster"
        if what == "weigh":
            b.weigh(step_id, amount)
        else:
            b.advance(step_id, amount / 500, None)
        percent = b.snapshot(1.0).percent
        assert before <= percent <= 100.0
        before = percent
