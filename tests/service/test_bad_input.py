"""What a file contains never makes an upload fail: the object is stored, its job fails, with
a sentence, and nobody else notices."""

from __future__ import annotations

import pytest

from tests.program import FILM, PHOTO, Person, Program

PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\n"
    b"trailer<</Root 1 0 R>>\n%%EOF\n"
)
BAD = {
    "text": b"Dear diary, today nobody encoded me.\n" * 50,
    "empty": b"",
    "truncated": FILM.read_bytes()[: FILM.stat().st_size // 3],
    "head-only": FILM.read_bytes()[:200],
    "noise": bytes((i * 7919 + 13) % 251 for i in range(100_000)),
    "pdf": PDF,
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
}


@pytest.mark.parametrize("kind", BAD)
def test_a_job_on_a_bad_file_fails_with_a_sentence_and_the_file_stays(
    person: Person, kind: str
) -> None:
    person.save_pipeline("video-complete")
    job_id = person.upload(f"{kind}.mp4", BAD[kind], "video-complete")
    assert job_id is not None
    job = person.wait_for_job(job_id)
    assert job["status"] == "failed"
    assert job["error_code"] and job["error_code"] == job["error_code"].lower()
    assert 10 < len(job["error"]) <= 2000
    assert "Traceback" not in str(job) and "/work" not in job["error"]
    assert person.keys_below("results/") == []
    assert person.read(f"{kind}.mp4") == BAD[kind]
    rows = person.get(f"/api/jobs/{job_id}/history")["history"]
    assert [r["to_status"] for r in rows] == ["pending", "processing", "failed"]


def test_jobs_beside_a_bad_one_are_untouched(person: Person, program: Program) -> None:
    person.save_pipeline("video-complete")
    person.save_pipeline("image-resize")
    jobs = []
    for number in range(4):
        jobs.append((person.upload(f"{number}.jpg", PHOTO, "image-resize"), "completed"))
        jobs.append((person.upload(f"{number}.mp4", BAD["text"], "video-complete"), "failed"))
    for job_id, status in jobs:
        assert job_id is not None
        assert person.wait_for_job(job_id)["status"] == status
    assert program.process.poll() is None


def test_an_upload_that_names_an_unknown_pipeline_is_refused_and_stores_nothing(
    person: Person,
) -> None:
    person.save_pipeline("video-complete")
    with pytest.raises(person.s3.exceptions.ClientError) as caught:
        person.upload("film.mp4", FILM, "video-complet")
    error = caught.value.response["Error"]
    assert error["Code"] == "InvalidArgument"
    assert "'video-complet' does not exist; did you mean 'video-complete'?" in error["Message"]
    assert person.keys_below("") == []
