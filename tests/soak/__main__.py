"""`make soak`: kills at random, by the hour, under uploads and jobs; outside CI.

Two storms. In `service` the whole of an embedded service is killed (SIGKILL), in `workers` single
workers of a cluster on PostgreSQL. Afterwards: no acknowledged byte is lost, no job has failed,
every job has exactly one result, and no staged file is older than the last start.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.cluster.topology import open_cluster, open_servers
from tests.cluster.uploads import PLAIN_REPEATS, Uploaders, assert_right
from tests.program import Json, Person, Program, wait_until
from tests.servers.process import free_port

MEAN_SECONDS = 1.2
"""Between a start and the next kill, on average. Most pictures take 0.1 s, films several."""
LONGEST_SECONDS = 12.0
JOB_SECONDS = 7200.0
"""How long the jobs that the storm has left may take: suspects wait up to ten minutes each."""
PEOPLE = 2

Say = Callable[[str], None]


@dataclass(frozen=True)
class Storm:
    kills: int
    chance: random.Random
    say: Say

    def run(self, kill: Callable[[], None]) -> None:
        """Call `kill`, which also starts anew, so many times."""
        pause = threading.Event()
        for number in range(1, self.kills + 1):
            pause.wait(min(self.chance.expovariate(1 / MEAN_SECONDS), LONGEST_SECONDS))
            kill()
            if number % 25 == 0:
                self.say(f"{number} kills")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("storms", nargs="*", help="service, workers; default both")
    parser.add_argument("--kills", type=int, default=1000, help="of each storm (default 1000)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    arguments = parser.parse_args()
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:7.0f} s  {words}", flush=True)

    say(f"seed {arguments.seed}")
    for name in arguments.storms or STORMS:
        with tempfile.TemporaryDirectory(prefix="mediaconvert-soak-") as folder:
            Path(folder).chmod(0o755)  # some servers run as another user
            storm = Storm(arguments.kills, random.Random(f"{arguments.seed} {name}"), say)
            say(f"storm '{name}': {arguments.kills} kills")
            STORMS[name](Path(folder), storm)
            say(f"storm '{name}': passed")
    return 0


def service_storm(folder: Path, storm: Storm) -> None:
    """An embedded service, killed as a whole."""
    port = free_port()
    programs: list[Program] = []

    def start() -> None:
        programs.append(Program(folder, {}, ["--port", str(port)]))

    def kill() -> None:
        programs[-1].kill()
        start()

    start()
    url = programs[-1].url
    people = [Person(url) for _ in range(PEOPLE)]
    uploaders = Uploaders(people, [url], folder, storm.chance.randrange(10**6))
    uploaders.start()
    try:
        storm.run(kill)
    finally:
        uploaders.stop()
    storm.say("the storm is over")
    last_start = time.time()
    kill()
    try:
        check(people, uploaders, storm.say)
        staged = [path for path in (folder / "data/blobs/staging").rglob("*") if path.is_file()]
        old = [path for path in staged if path.stat().st_mtime < last_start]
        assert not old, f"staged files that are older than the last start: {old}"
    finally:
        programs[-1].terminate()
    _refuse_errors([line for program in programs for line in program.errors()])


def workers_storm(folder: Path, storm: Storm) -> None:
    """A cluster whose workers are killed one at a time."""
    settings = {
        "MEDIACONVERT_WORKERS__LEASE_SECONDS": "6",
        "MEDIACONVERT_WORKERS__RENEW_SECONDS": "1",
    }
    with (
        open_servers(folder) as servers,
        open_cluster(folder, servers, apis=1, workers=3, settings=settings) as cluster,
    ):
        people = [cluster.person() for _ in range(PEOPLE)]
        urls = [api.url for api in cluster.apis]
        uploaders = Uploaders(people, urls, folder, storm.chance.randrange(10**6))

        def kill() -> None:
            node = storm.chance.choice(cluster.workers)
            node.kill()
            node.start()

        uploaders.start()
        try:
            storm.run(kill)
        finally:
            uploaders.stop()
        check(people, uploaders, storm.say)
    # An ERROR in any node's log has failed the storm by now (`open_cluster`).


STORMS: dict[str, Callable[[Path, Storm], None]] = {
    "service": service_storm,
    "workers": workers_storm,
}


def check(people: Sequence[Person], uploaders: Uploaders, say: Say) -> None:
    """Everything that users were promised."""
    for person in people:
        wait_until(lambda person=person: not _open(person), "all jobs have ended", JOB_SECONDS)
    jobs = {job["id"]: job for person in people for job in _jobs(person)}
    attempts = Counter(job["attempt"] for job in jobs.values())
    say(
        f"{len(jobs)} jobs, {len(uploaders.acknowledged)} acknowledged, {len(uploaders.plain)} "
        f"plain uploads; jobs by attempts: {sorted(attempts.items())}"
    )
    failed = [job for job in jobs.values() if job["status"] != "completed"]
    assert not failed, f"{len(failed)} jobs have not completed, such as {failed[0]}"
    for upload in uploaders.acknowledged:
        job = jobs[upload.job_id]
        history = upload.person.get(f"/api/jobs/{upload.job_id}/history")["history"]
        states = Counter(row["to_status"] for row in history)
        assert states["completed"] == 1, (upload, history)
        made = sorted(upload.person.keys_below(f"results/job-{upload.job_id}/"))
        told = [*job["result_info"]["output_files"], job["result_info"]["manifest"]]
        assert made == sorted(told), (upload, made, told)
        for key in job["result_info"]["output_files"]:
            assert_right(upload, key, upload.person.read(key))
    for plain in uploaders.plain:
        found = _stored(plain.person, plain.key)
        whole = plain.block * PLAIN_REPEATS
        assert found == whole or (found is None and not plain.is_acknowledged), plain.key


def _open(person: Person) -> bool:
    return any(
        person.get(f"/api/jobs?status={status}&limit=1")["jobs"]
        for status in ("pending", "processing")
    )


def _jobs(person: Person) -> list[Json]:
    found: list[Json] = []
    while page := person.get(f"/api/jobs?limit=100&page={len(found) // 100 + 1}")["jobs"]:
        found += page
        if len(page) < 100:
            break
    return found


def _stored(person: Person, key: str) -> bytes | None:
    try:
        return person.read(key)
    except person.s3.exceptions.NoSuchKey:
        return None


def _refuse_errors(errors: Sequence[dict[str, Any]]) -> None:
    assert not errors, f"{len(errors)} errors in the log, such as {errors[0]}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except httpx.HTTPError as error:
        sys.exit(f"the service did not answer: {error}")
