"""`GET /api/jobs/:id?wait=…`: answered when the job moves on, and never later than asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import trio
import trio.testing

from mediaconvert.api.rest.jobs import WAITING_OF_ONE_USER
from mediaconvert.job_watch import JobWatch
from mediaconvert.model import JobId, Lease
from mediaconvert.ports.notices import Notice, Topic
from tests.program import WAIT_SECONDS
from tests.rest.service import Person, Service, submit_job
from tests.rest.test_jobs import URL, claim, complete, fail

LONGEST = {"wait": 60}
AT_ONCE_SECONDS = 45.0
"""Less than what a wait takes that nothing ends; many times what an answer takes."""
TO_THE_END = LONGEST | {"until": "ended"}


class Answer:
    """One that is on its way."""

    def __init__(self) -> None:
        self.came = trio.Event()
        self.response: httpx.Response

    async def ask(self, person: Person, job_id: JobId, params: dict[str, object]) -> None:
        self.response = await person.http.get(f"{URL}/{job_id}", params=params)  # type: ignore[arg-type]
        self.came.set()

    async def status(self) -> str:
        with trio.fail_after(AT_ONCE_SECONDS):
            await self.came.wait()
        assert self.response.status_code == 200, self.response.text
        return str(self.response.json()["status"])


@pytest.fixture
async def other(service: Service) -> AsyncIterator[Person]:
    stranger = await service.person()
    async with stranger.http:
        yield stranger


@pytest.fixture
async def nursery() -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as opened:
        yield opened
        opened.cancel_scope.cancel()


async def _ask(
    nursery: trio.Nursery,
    service: Service,
    person: Person,
    job_id: JobId,
    params: dict[str, object],
) -> Answer:
    """Sent, looked at by the service, and waiting there for the job to move on."""
    answer = Answer()
    before = _waiting(service)
    nursery.start_soon(answer.ask, person, job_id, params)
    with trio.fail_after(WAIT_SECONDS):
        while True:
            if _waiting(service) > before:
                return answer
            await trio.sleep(0.01)


def _watch(service: Service) -> JobWatch:
    return service.jobs._watch


def _watching(service: Service) -> int:
    """Who has come to wait, and may still be taking the first look."""
    return sum(len(watchers) for watchers in _watch(service)._watchers.values())


def _waiting(service: Service) -> int:
    """Who waits at this moment. What changes from here on is a change to them; what changes
    before the first look is not."""
    return sum(
        watcher._moved.statistics().tasks_waiting
        for watchers in _watch(service)._watchers.values()
        for watcher in watchers
    )


async def test_a_job_that_has_ended_is_answered_at_once(service: Service, person: Person) -> None:
    job_id = await submit_job(service, person)
    await complete(service)
    with trio.fail_after(AT_ONCE_SECONDS):
        for params in (LONGEST, TO_THE_END):
            answer = await person.http.get(f"{URL}/{job_id}", params=params)
            assert answer.json()["status"] == "completed"


async def test_one_who_waits_for_a_change_is_told_of_the_start_the_progress_and_the_end(
    service: Service, person: Person, nursery: trio.Nursery
) -> None:
    job_id = await submit_job(service, person)
    waiting = await _ask(nursery, service, person, job_id, LONGEST)
    lease = await claim(service)
    await service.notices.publish(Notice(Topic.JOB_PROGRESS, str(job_id)))
    assert await waiting.status() == "processing"
    waiting = await _ask(nursery, service, person, job_id, LONGEST)
    assert await service.catalog.queue.progress(lease, 40.0, 3.0, [])
    await service.notices.publish(Notice(Topic.JOB_PROGRESS, str(job_id)))
    assert await waiting.status() == "processing"
    assert waiting.response.json()["progress"] == 40.0
    waiting = await _ask(nursery, service, person, job_id, LONGEST)
    assert (await person.http.post(f"{URL}/{job_id}/cancel")).status_code == 200
    assert await waiting.status() == "canceled"


async def test_one_who_waits_for_the_end_is_not_told_of_less(
    service: Service, person: Person, nursery: trio.Nursery
) -> None:
    job_id = await submit_job(service, person)
    waiting = await _ask(nursery, service, person, job_id, TO_THE_END)
    lease: Lease = await claim(service)
    for percent in (10.0, 20.0, 30.0):
        assert await service.catalog.queue.progress(lease, percent, None, [])
        await service.notices.publish(Notice(Topic.JOB_PROGRESS, str(job_id)))
        await trio.testing.wait_all_tasks_blocked()
    assert not waiting.came.is_set()
    assert (await person.http.post(f"{URL}/{job_id}/cancel")).status_code == 200
    assert await waiting.status() == "canceled"


async def test_a_lost_notice_delays_the_answer_and_no_more(
    service: Service, person: Person, nursery: trio.Nursery
) -> None:
    job_id = await submit_job(service, person)
    waiting = await _ask(nursery, service, person, job_id, TO_THE_END)
    await fail(service)
    assert await waiting.status() == "failed"


async def test_the_time_asked_for_ends_the_wait(service: Service, person: Person) -> None:
    job_id = await submit_job(service, person)
    with trio.fail_after(AT_ONCE_SECONDS):
        answer = await person.http.get(f"{URL}/{job_id}", params={"wait": 1})
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")


async def test_a_drain_answers_those_who_wait(
    service: Service, person: Person, nursery: trio.Nursery
) -> None:
    job_id = await submit_job(service, person)
    waiting = await _ask(nursery, service, person, job_id, TO_THE_END)
    service.jobs.end_waits()
    assert await waiting.status() == "pending"
    with trio.fail_after(AT_ONCE_SECONDS):
        late = await person.http.get(f"{URL}/{job_id}", params=TO_THE_END)
    assert late.json()["status"] == "pending"


async def test_a_client_that_leaves_no_longer_waits(service: Service, person: Person) -> None:
    job_id = await submit_job(service, person)
    async with trio.open_nursery() as nursery:
        await _ask(nursery, service, person, job_id, TO_THE_END)
        nursery.cancel_scope.cancel()
    with trio.fail_after(AT_ONCE_SECONDS):
        while True:
            if not _watching(service):
                break
            await trio.sleep(0.01)


async def test_one_user_has_only_some_of_the_places(
    service: Service, person: Person, other: Person
) -> None:
    job_id = await submit_job(service, person)
    limits = httpx.Limits(max_connections=None)
    headers = {"authorization": f"Bearer {person.token}"}
    async with (
        httpx.AsyncClient(
            base_url=service.url,
            timeout=WAIT_SECONDS,
            trust_env=False,
            limits=limits,
            headers=headers,
        ) as many,
        trio.open_nursery() as nursery,
    ):
        for _ in range(WAITING_OF_ONE_USER):
            nursery.start_soon(_swallow, many, f"{URL}/{job_id}?wait=60")
        with trio.fail_after(WAIT_SECONDS):
            while True:
                if _watching(service) == WAITING_OF_ONE_USER:
                    break
                await trio.sleep(0.01)
        refused = await person.http.get(f"{URL}/{job_id}", params={"wait": 1})
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"]
        assert (await person.http.get(f"{URL}/{job_id}")).status_code == 200
        theirs = await submit_job(service, other)
        waited = await other.http.get(f"{URL}/{theirs}", params={"wait": 1})
        assert waited.status_code == 200
        nursery.cancel_scope.cancel()


async def _swallow(client: httpx.AsyncClient, url: str) -> None:
    await client.get(url)


async def test_somebody_elses_job_is_not_waited_for(
    service: Service, person: Person, other: Person
) -> None:
    job_id = await submit_job(service, person)
    with trio.fail_after(AT_ONCE_SECONDS):
        answer = await other.http.get(f"{URL}/{job_id}", params=LONGEST)
    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"wait": "61"}, "wait"),
        ({"wait": "-1"}, "wait"),
        ({"wait": "1.5"}, "wait"),
        ({"wait": "soon"}, "wait"),
        ({"until": "end"}, "until"),
    ],
)
async def test_what_cannot_be_waited_for_is_refused(
    service: Service, person: Person, params: dict[str, str], path: str
) -> None:
    job_id = await submit_job(service, person)
    answer = await person.http.get(f"{URL}/{job_id}", params=params)
    assert answer.status_code == 400
    assert answer.json()["details"][0]["path"] == path
