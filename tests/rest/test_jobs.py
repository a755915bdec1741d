"""Jobs as their owner sees them: shape, list, history, cancel, rerun; and nobody else's."""

from __future__ import annotations

import pytest

from mediaconvert.model import (
    BlobId,
    BucketRef,
    Conditions,
    FailureKind,
    JobFailure,
    JobOutcome,
    Lease,
    NewObject,
    ObjectHeaders,
    Segment,
)
from mediaconvert.ports.notices import Notice, Topic
from tests.rest.service import YAML, Person, Service, submit_job

URL = "/api/jobs"
FIELDS = {
    "id", "file_id", "file", "pipeline_id", "pipeline", "status", "progress", "steps",
    "result_info", "error", "error_code", "created_at", "started_at", "finished_at",
}  # fmt: skip


async def claim(service: Service) -> Lease:
    [job] = await service.catalog.queue.claim("worker", 1, 60)
    return Lease(job.id, job.token)


async def complete(service: Service) -> None:
    lease = await claim(service)
    key = f"results/job-{lease.job_id}/probe.json"
    output = NewObject(key, 5, "0" * 32, ObjectHeaders(), (Segment(BlobId("f" * 32), 0, 5),))
    result = {"output_files": [key], "log": ["done"]}
    outcome = JobOutcome((output,), result, ({"id": "probe", "status": "completed"},), 5)
    assert await service.catalog.queue.finish(lease, outcome)


async def fail(service: Service) -> None:
    lease = await claim(service)
    failure = JobFailure(FailureKind.INPUT, "no_video_stream", "there is no video", ("a", "b"))
    assert await service.catalog.queue.fail(lease, failure, None)


async def test_a_pending_job_has_every_field(service: Service, person: Person) -> None:
    job_id = await submit_job(service, person, "in/my film.mp4")
    job = (await person.http.get(f"{URL}/{job_id}")).json()
    assert set(job) >= FIELDS
    assert job["file"] == {
        "id": job["file_id"],
        "original_name": "my film.mp4",
        "s3_key": "in/my film.mp4",
        "bucket": f"bucket-{person.id}",
        "size": 1000,
        "content_type": "video/mp4",
    }
    assert job["pipeline"] == {
        "id": job["pipeline_id"],
        "name": "look",
        "format": "yaml",
        "content": YAML.format(name="look"),
    }
    assert (job["status"], job["progress"]) == ("pending", 0)
    assert job["result_info"] == {"output_files": []}
    assert job["error"] is job["error_code"] is job["started_at"] is job["finished_at"] is None
    assert job["created_at"].endswith("Z")


async def test_a_completed_job_names_its_outputs(service: Service, person: Person) -> None:
    job_id = await submit_job(service, person)
    await complete(service)
    job = (await person.http.get(f"{URL}/{job_id}")).json()
    assert (job["status"], job["progress"]) == ("completed", 100)
    assert job["result_info"]["output_files"] == [f"results/job-{job_id}/probe.json"]
    assert job["result_info"]["log"] == ["done"]
    assert job["steps"][0]["id"] == "probe"
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]


async def test_a_failed_job_says_why(service: Service, person: Person) -> None:
    job_id = await submit_job(service, person)
    await fail(service)
    job = (await person.http.get(f"{URL}/{job_id}")).json()
    assert (job["status"], job["error_code"]) == ("failed", "no_video_stream")
    assert job["error"] == "there is no video"
    assert job["result_info"]["log"] == ["a", "b"]
    assert job["result_info"]["output_files"] == []


async def test_the_list_is_newest_first_in_pages_without_texts(
    service: Service, person: Person
) -> None:
    made = [await submit_job(service, person, f"{n}.mp4") for n in range(5)]
    first = (await person.http.get(URL, params={"limit": 2})).json()
    third = (await person.http.get(URL, params={"limit": 2, "page": 3})).json()
    beyond = (await person.http.get(URL, params={"limit": 2, "page": 4})).json()
    assert [job["id"] for job in first["jobs"]] == made[:2:-1]
    assert [job["id"] for job in third["jobs"]] == made[:1]
    assert beyond["jobs"] == []
    assert first["pagination"] == {"page": 1, "limit": 2, "total": 5}
    assert set(first["jobs"][0]) >= FIELDS
    assert "content" not in first["jobs"][0]["pipeline"]
    default = (await person.http.get(URL)).json()
    assert default["pagination"] == {"page": 1, "limit": 20, "total": 5}


async def test_the_list_can_be_of_one_status(service: Service, person: Person) -> None:
    first, second = [await submit_job(service, person, f"{n}.mp4") for n in range(2)]
    await fail(service)
    failed = (await person.http.get(URL, params={"status": "failed"})).json()
    assert [job["id"] for job in failed["jobs"]] == [first]
    assert failed["pagination"]["total"] == 1
    pending = (await person.http.get(URL, params={"status": "pending"})).json()
    assert [job["id"] for job in pending["jobs"]] == [second]


@pytest.mark.parametrize(
    "query",
    ["status=cancelled", "status=", "page=0", "page=x", "page=1.5", "limit=0", "limit=101",
     "limit=-1", "page=99999999999999999999", "page=1&page=2", "page=%31%00"],
)  # fmt: skip
async def test_bad_parameters_are_a_400_with_a_code(person: Person, query: str) -> None:
    answer = await person.http.get(f"{URL}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_history_begins_with_null_and_names_who(service: Service, person: Person) -> None:
    job_id = await submit_job(service, person)
    await claim(service)
    await person.http.post(f"{URL}/{job_id}/cancel")
    history = (await person.http.get(f"{URL}/{job_id}/history")).json()["history"]
    assert [(row["from_status"], row["to_status"], row["triggered_by"]) for row in history] == [
        (None, "pending", "user"),
        ("pending", "processing", "worker"),
        ("processing", "canceled", "user"),
    ]
    assert all(set(row) == {
        "from_status", "to_status", "message", "triggered_by", "created_at",
    } for row in history)  # fmt: skip
    assert all(row["message"] for row in history)


async def test_canceling_ends_a_job_and_wakes_its_worker(service: Service, person: Person) -> None:
    job_id = await submit_job(service, person)
    async with service.notices.subscribe(Topic.JOB_CANCELED) as subscription:
        answer = await person.http.post(f"{URL}/{job_id}/cancel")
        assert await subscription.receive() == Notice(Topic.JOB_CANCELED, str(job_id))
    assert (answer.status_code, answer.json()) == (
        200,
        {"message": "Job cancelled successfully", "job_id": job_id},
    )
    assert (await person.http.get(f"{URL}/{job_id}")).json()["status"] == "canceled"


async def test_an_ended_job_cannot_be_canceled(service: Service, person: Person) -> None:
    job_id = await submit_job(service, person)
    await complete(service)
    for _ in range(2):
        answer = await person.http.post(f"{URL}/{job_id}/cancel")
        assert (answer.status_code, answer.json()["code"]) == (400, "job_already_ended")
    assert (await person.http.get(f"{URL}/{job_id}")).json()["status"] == "completed"


@pytest.mark.parametrize("raw", [b"", b"{}", b'{"pipeline": null}'])
async def test_a_rerun_is_a_new_job_on_the_same_bytes_and_text(
    service: Service, person: Person, raw: bytes
) -> None:
    job_id = await submit_job(service, person)
    await fail(service)
    before = (await person.http.get(f"{URL}/{job_id}")).json()
    await person.http.put(
        f"/api/pipelines/{before['pipeline_id']}",
        json={"name": "look", "format": "yaml", "content": YAML.format(name="look") + "# new\n"},
    )
    answer = await person.http.post(f"{URL}/{job_id}/rerun", content=raw)
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"message", "original_job", "new_job"}
    assert body["original_job"] == job_id
    new = body["new_job"]
    assert set(new) >= FIELDS
    assert (new["status"], new["file_id"]) == ("pending", before["file_id"])
    assert new["id"] != job_id and new["rerun_of"] == job_id
    assert new["pipeline"]["content"] == before["pipeline"]["content"]
    assert (await person.http.get(f"{URL}/{job_id}")).json() == before


async def test_a_rerun_can_take_the_newest_text(service: Service, person: Person) -> None:
    job_id = await submit_job(service, person)
    pipeline_id = (await person.http.get(f"{URL}/{job_id}")).json()["pipeline_id"]
    text = YAML.format(name="look") + "# new\n"
    body = {"name": "look", "format": "yaml", "content": text}
    await person.http.put(f"/api/pipelines/{pipeline_id}", json=body)
    answer = await person.http.post(f"{URL}/{job_id}/rerun", json={"pipeline": "latest"})
    assert answer.json()["new_job"]["pipeline"]["content"] == text
    await person.http.delete(f"/api/pipelines/{pipeline_id}")
    latest = await person.http.post(f"{URL}/{job_id}/rerun", json={"pipeline": "latest"})
    assert (latest.status_code, latest.json()["code"]) == (404, "pipeline_not_found")
    pinned = await person.http.post(f"{URL}/{job_id}/rerun")
    assert pinned.status_code == 201


async def test_a_rerun_without_its_bytes_is_a_409(service: Service, person: Person) -> None:
    job_id = await submit_job(service, person, "gone.mp4")
    await fail(service)
    ref = BucketRef(person.id, f"bucket-{person.id}")
    await service.catalog.objects.delete(ref, [("gone.mp4", Conditions())])
    await service.catalog.housekeeping.purge_detached(100)
    answer = await person.http.post(f"{URL}/{job_id}/rerun")
    assert (answer.status_code, answer.json()["code"]) == (409, "source_gone")


@pytest.mark.parametrize("body", [{"pipeline": "oldest"}, {"pipeline": 1}, [], "latest"])
async def test_a_rerun_with_a_wrong_body_is_a_400(
    service: Service, person: Person, body: object
) -> None:
    job_id = await submit_job(service, person)
    answer = await person.http.post(f"{URL}/{job_id}/rerun", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_a_foreign_a_missing_and_an_impossible_id_are_one_answer(
    service: Service, person: Person, stranger: Person
) -> None:
    job_id = await submit_job(service, person)
    calls = (("GET", ""), ("GET", "/history"), ("POST", "/cancel"), ("POST", "/rerun"))
    for text in (str(job_id), "999999", "0", "-1", "abc", "9" * 30, "٣"):
        for method, verb in calls:
            answer = await stranger.http.request(method, f"{URL}/{text}{verb}")
            assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")
            assert answer.json()["error"] == f"job {text} does not exist"
            assert "details" not in answer.json()
    assert (await stranger.http.get(URL)).json()["pagination"]["total"] == 0
    assert (await person.http.get(f"{URL}/{job_id}")).json()["status"] == "pending"
