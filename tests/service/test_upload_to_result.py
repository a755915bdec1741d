"""The main job: upload with a pipeline's name, and results in the bucket."""

from __future__ import annotations

import hashlib
import json

from tests.program import FILM, PHOTO, Person
from tests.service.probing import probe


def test_a_film_becomes_a_compressed_film_and_a_thumbnail(person: Person) -> None:
    person.save_pipeline("video-complete")
    job_id = person.upload("films/bunny.mp4", FILM, "video-complete")
    assert job_id is not None
    job = person.wait_for_job(job_id)
    assert (job["status"], job["error"]) == ("completed", None)
    assert job["progress"] == 100
    prefix = f"results/job-{job_id}/"
    names = {"video.mp4", "thumb.jpg", "manifest.json"}
    assert set(person.keys_below("results/")) == {prefix + name for name in names}
    listed = job["result_info"]["output_files"]
    assert listed == [prefix + "video.mp4", prefix + "thumb.jpg"]

    video = probe(person.read(prefix + "video.mp4"), "mp4")
    assert video.codecs == ["h264", "aac"]
    assert (video.width, video.height) == (1280, 720)
    assert abs(video.duration - 5.3) < 0.2
    thumbnail = probe(person.read(prefix + "thumb.jpg"), "jpg")
    assert (thumbnail.width, thumbnail.height) == (320, 180)


def test_the_manifest_says_what_was_done_and_its_hashes_are_those_of_the_files(
    person: Person,
) -> None:
    person.save_pipeline("image-resize")
    job_id = person.upload("p.jpg", PHOTO, "image-resize")
    assert job_id is not None
    person.wait_for_job(job_id)
    manifest = json.loads(person.read(f"results/job-{job_id}/manifest.json"))
    resized = person.read(f"results/job-{job_id}/resized.jpg")
    text = json.dumps(manifest)
    assert hashlib.sha256(resized).hexdigest() in text
    assert hashlib.sha256(PHOTO.read_bytes()).hexdigest() in text or "etag" in text
    assert "libvips" in text


def test_a_job_has_its_file_its_pipeline_and_its_history(person: Person) -> None:
    pipeline_id = person.save_pipeline("image-resize")
    job_id = person.upload("deep/folder/p.jpg", PHOTO, "image-resize")
    assert job_id is not None
    job = person.wait_for_job(job_id)
    assert job["file"]["original_name"] == "p.jpg"
    assert job["file"]["s3_key"] == "deep/folder/p.jpg"
    assert job["file"]["size"] == PHOTO.stat().st_size
    assert job["pipeline_id"] == pipeline_id
    assert job["pipeline"]["content"].startswith("name:")
    rows = person.get(f"/api/jobs/{job_id}/history")["history"]
    assert [(r["from_status"], r["to_status"], r["triggered_by"]) for r in rows] == [
        (None, "pending", "user"),
        ("pending", "processing", "worker"),
        ("processing", "completed", "worker"),
    ]


def test_head_on_the_source_tells_the_state_of_its_job(person: Person) -> None:
    person.save_pipeline("image-resize")
    job_id = person.upload("p.jpg", PHOTO, "image-resize")
    assert job_id is not None
    person.wait_for_job(job_id)
    answer = person.s3.head_object(Bucket=person.bucket, Key="p.jpg")
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-mediaconvert-job-id"] == str(job_id)
    assert headers["x-mediaconvert-job-status"] == "completed"
    assert float(headers["x-mediaconvert-job-progress"]) == 100
    assert answer["Metadata"] == {"pipeline": "image-resize"}


def test_a_rerun_makes_results_of_its_own(person: Person) -> None:
    person.save_pipeline("image-resize")
    job_id = person.upload("p.jpg", PHOTO, "image-resize")
    assert job_id is not None
    person.wait_for_job(job_id)
    answer = person.post(f"/api/jobs/{job_id}/rerun", 201)
    assert answer["original_job"] == job_id
    again = person.wait_for_job(answer["new_job"]["id"])
    assert again["status"] == "completed"
    first, second = f"results/job-{job_id}/", f"results/job-{again['id']}/"
    assert person.read(first + "resized.jpg") == person.read(second + "resized.jpg")


def test_a_rerun_keeps_the_pipeline_that_the_job_was_made_with(person: Person) -> None:
    pipeline_id = person.save_pipeline("image-resize")
    job_id = person.upload("p.jpg", PHOTO, "image-resize")
    assert job_id is not None
    person.wait_for_job(job_id)
    smaller = person.get(f"/api/pipelines/{pipeline_id}")["content"].replace("800", "80")
    body = {"name": "image-resize", "format": "yaml", "content": smaller}
    assert person.rest.put(f"/api/pipelines/{pipeline_id}", json=body).status_code == 200
    pinned = person.post(f"/api/jobs/{job_id}/rerun", 201)["new_job"]["id"]
    latest = person.post(f"/api/jobs/{job_id}/rerun", 201, {"pipeline": "latest"})["new_job"]["id"]
    for job in (pinned, latest):
        assert person.wait_for_job(job)["status"] == "completed"
    width = {
        job: probe(person.read(f"results/job-{job}/resized.jpg"), "jpg").width
        for job in (pinned, latest)
    }
    assert width == {pinned: 640, latest: 80}


def test_a_source_that_is_overwritten_or_deleted_while_it_waits_changes_nothing(
    person: Person,
) -> None:
    person.save_pipeline("image-resize")
    # Two jobs a source, so that some certainly still wait when the source changes.
    overwritten = [person.upload("a.jpg", PHOTO, "image-resize") for _ in range(4)]
    person.s3.put_object(Bucket=person.bucket, Key="a.jpg", Body=b"no picture at all")
    deleted = [person.upload("b.jpg", PHOTO, "image-resize") for _ in range(4)]
    person.s3.delete_object(Bucket=person.bucket, Key="b.jpg")
    for job_id in (*overwritten, *deleted):
        assert job_id is not None
        assert person.wait_for_job(job_id)["status"] == "completed"
    assert person.read("a.jpg") == b"no picture at all"


def test_analytics_agree_with_the_jobs(person: Person) -> None:
    person.save_pipeline("image-resize")
    good = person.upload("p.jpg", PHOTO, "image-resize")
    bad = person.upload("t.jpg", b"this is no picture", "image-resize")
    assert good is not None and bad is not None
    person.wait_for_job(good)
    person.wait_for_job(bad)

    from tests.program import wait_until

    def stats() -> dict[str, float]:
        return person.get("/api/analytics/jobs/stats?days=7")

    wait_until(lambda: stats()["completed_jobs"] + stats()["failed_jobs"] == 2, "reports caught up")
    report = stats()
    assert (report["total_jobs"], report["completed_jobs"], report["failed_jobs"]) == (2, 1, 1)
    assert report["success_rate"] == 50
    assert report["total_data_processed_bytes"] == PHOTO.stat().st_size
    assert report["avg_processing_time_ms"] > 0
    pipelines = person.get("/api/analytics/pipelines/stats?days=30")
    assert [(p["pipeline_name"], p["total_jobs"]) for p in pipelines] == [("image-resize", 2)]  # type: ignore[index]
    timeline = person.get("/api/analytics/jobs/timeline?days=7&interval=hour")
    assert sum(point["job_count"] for point in timeline) == 2  # type: ignore[index]
