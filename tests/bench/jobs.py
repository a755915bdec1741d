"""What a job costs beyond its tools, how fast a cancel is, how many photographs a second."""

from __future__ import annotations

import statistics
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import cast

from tests.bench.measure import Figure, seconds
from tests.program import PHOTO, Json, Person, descendants, wait_until
from tests.service.media import SLOW_PIPELINE, long_film, make

SMALL = """
name: small
steps:
  - operation: transcode
    input: ${input}
    output: ${output}/video.mp4
    params: {codec: h264, preset: ultrafast}
"""


def _time(job: Json, field: str) -> float:
    return datetime.fromisoformat(job[field]).timestamp()


def _finished(person: Person, data: Path, pipeline: str, count: int) -> list[Json]:
    jobs = []
    for number in range(count):
        job_id = person.upload(f"{pipeline}-{number}", data, pipeline)
        assert job_id is not None
        jobs.append(person.wait_for_job(job_id))
    return jobs[1:]


def run(person: Person, folder: Path) -> list[Figure]:
    """From the acknowledged PUT to completed, and how much of it is not the tools' own time."""
    film = make(
        folder / "small.mp4",
        *("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=1", "-c:v", "libx264"),
    )
    person.save_pipeline("small", SMALL)
    person.save_pipeline("image-resize")
    figures = []
    for name, data in (("small", film), ("image-resize", PHOTO)):
        jobs = _finished(person, data, name, 12)
        total = [1000 * (_time(j, "finished_at") - _time(j, "created_at")) for j in jobs]
        start = [1000 * (_time(j, "started_at") - _time(j, "created_at")) for j in jobs]
        tools = [sum(cast("float", s["duration_ms"]) for s in j["steps"]) for j in jobs]
        overhead = [t - u for t, u in zip(total, tools, strict=True)]
        figures += [
            Figure(f"job {name}: accepted to completed", "ms", total),
            Figure(f"job {name}: accepted to claimed", "ms", start),
            Figure(f"job {name}: outside of its steps", "ms", overhead),
        ]
    return figures


def run_cancel(person: Person, folder: Path) -> list[Figure]:
    """From the cancel's request until no process of the job is alive."""
    film = long_film(folder, 120)
    person.save_pipeline("slow", SLOW_PIPELINE)
    service = _service_pid(person)
    values = []
    for number in range(5):
        before = descendants(service)
        job_id = person.upload(f"{number}.mp4", film, "slow")
        assert job_id is not None
        person.wait_for_job(job_id, lambda job: job["progress"] > 0)

        def cancel(job_id: int = job_id, before: set[int] = before) -> None:
            person.post(f"/api/jobs/{job_id}/cancel", 200)
            wait_until(lambda: not descendants(service) - before, "the tree is dead")

        values.append(1000 * seconds(cancel))
    return [Figure("cancel: request to dead process tree", "ms", values)]


def _service_pid(person: Person) -> int:
    port = int(person.url.rpartition(":")[2])
    inode = next(
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    )
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) == f"socket:[{inode}]":
                return int(link.parts[2])
        except OSError:
            continue
    raise AssertionError("the service was not found")


def run_photographs(person: Person, folder: Path) -> list[Figure]:
    """200 photographs at once through image-resize."""
    person.save_pipeline("image-resize")
    with ThreadPoolExecutor(16) as pool:
        jobs = list(
            pool.map(lambda n: person.upload(f"{n}.jpg", PHOTO, "image-resize"), range(200))
        )
    done = [person.wait_for_job(cast("int", job)) for job in jobs]
    span = max(_time(j, "finished_at") for j in done) - min(_time(j, "started_at") for j in done)
    steps = [float(cast("float", j["steps"][0]["duration_ms"])) for j in done]
    return [
        Figure("photographs: 200 at once", "1/s", [200 / span]),
        Figure("photographs: one step", "ms", [statistics.median(steps)]),
    ]
