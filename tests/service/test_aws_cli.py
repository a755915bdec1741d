"""The aws cli, unmodified, with its own defaults, as the README shows it."""

from __future__ import annotations

import filecmp
import re
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.program import FILM, PHOTO, PIPELINES, ROOT, Person, clean_environment
from tests.service.media import large_file, make

AWS = ROOT / ".venv-clients/bin/aws"


class Cli:
    def __init__(self, person: Person, folder: Path) -> None:
        self.folder = folder
        self._endpoint = person.url
        self._environment = clean_environment(
            AWS_ACCESS_KEY_ID=str(person.keys["access_key"]),
            AWS_SECRET_ACCESS_KEY=str(person.keys["secret_key"]),
            AWS_CONFIG_FILE="/dev/null",
            AWS_SHARED_CREDENTIALS_FILE="/dev/null",
            AWS_DEFAULT_REGION="us-east-1",
            AWS_PAGER="",
            AWS_MAX_ATTEMPTS="1",
        )

    def __call__(self, *arguments: object, fails: bool = False) -> str:
        done = subprocess.run(
            [str(AWS), "--endpoint-url", self._endpoint, *map(str, arguments)],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        # What it exits with when refused depends on its version: 1, 254 or 255.
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def aws(person: Person, tmp_path: Path) -> Cli:
    assert AWS.exists(), "run 'make test', which installs the aws cli into .venv-clients"
    return Cli(person, tmp_path)


def test_cp_with_a_pipeline_and_results_back(aws: Cli, person: Person) -> None:
    person.save_pipeline("video-complete")
    aws("s3", "cp", FILM, f"s3://{person.bucket}/film.mp4", "--metadata", "Pipeline=video-complete")
    job_id = person.get("/api/jobs")["jobs"][0]["id"]
    assert person.wait_for_job(job_id)["status"] == "completed"
    listing = aws("s3", "ls", "--recursive", f"s3://{person.bucket}/results/")
    assert re.search(rf"\d+ results/job-{job_id}/video\.mp4", listing)
    aws("s3", "cp", "--recursive", f"s3://{person.bucket}/results/", "back")
    got = {p.name for p in (aws.folder / f"back/job-{job_id}").iterdir()}
    assert got == {"video.mp4", "thumb.jpg", "manifest.json"}


@pytest.mark.slow
def test_a_film_of_300_mb_goes_through_multipart_and_its_job(
    aws: Cli, person: Person, tmp_path: Path
) -> None:
    # Few frames, each of 2 MB: it is the bytes that are many, not the work.
    film = make(
        tmp_path / "large.mp4",
        *("-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=6.4"),
        *("-vf", "noise=alls=100:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-qp", "0"),
    )
    assert film.stat().st_size > 290_000_000
    person.save_pipeline("video-complete")
    aws("s3", "cp", film, f"s3://{person.bucket}/film.mp4", "--metadata", "Pipeline=video-complete")
    head = person.s3.head_object(Bucket=person.bucket, Key="film.mp4")
    assert re.fullmatch(r'"[0-9a-f]{32}-\d+"', head["ETag"])
    job_id = person.get("/api/jobs")["jobs"][0]["id"]
    assert person.wait_for_job(job_id)["status"] == "completed"
    aws("s3", "cp", f"s3://{person.bucket}/film.mp4", "back.mp4", "--only-show-errors")
    assert filecmp.cmp(film, tmp_path / "back.mp4", shallow=False)


def test_multipart_of_20_mb_comes_back_byte_for_byte(
    aws: Cli, person: Person, tmp_path: Path
) -> None:
    file = large_file(tmp_path / "large.bin", (20 << 20) + 77)
    aws("s3", "cp", file, f"s3://{person.bucket}/large.bin", "--only-show-errors")
    aws("s3", "cp", f"s3://{person.bucket}/large.bin", "back.bin", "--only-show-errors")
    assert filecmp.cmp(file, tmp_path / "back.bin", shallow=False)
    aws("s3", "cp", f"s3://{person.bucket}/large.bin", f"s3://{person.bucket}/copy.bin")
    assert person.s3.head_object(Bucket=person.bucket, Key="copy.bin")["ContentLength"] == (
        file.stat().st_size
    )


def test_an_unknown_pipeline_is_a_sentence_in_the_terminal(aws: Cli, person: Person) -> None:
    person.save_pipeline("image-resize")
    said = aws(
        *("s3", "cp", PHOTO, f"s3://{person.bucket}/p.jpg"),
        *("--metadata", "Pipeline=image-resiz"),
        fails=True,
    )
    assert "InvalidArgument" in said
    assert "pipeline 'image-resiz' does not exist; did you mean 'image-resize'?" in said
    assert person.keys_below("") == []


def test_sync_mv_and_rm(aws: Cli, person: Person) -> None:
    bucket = f"s3://{person.bucket}"
    aws("s3", "sync", PIPELINES, f"{bucket}/pipelines")
    names = sorted(p.name for p in PIPELINES.iterdir())
    assert person.keys_below("pipelines/") == [f"pipelines/{n}" for n in names]
    assert aws("s3", "sync", PIPELINES, f"{bucket}/pipelines") == ""
    aws("s3", "mv", f"{bucket}/pipelines/{names[0]}", f"{bucket}/moved here/ä +.yaml")
    assert person.keys_below("moved") == ["moved here/ä +.yaml"]
    aws("s3", "sync", f"{bucket}/pipelines", "down")
    assert sorted(p.name for p in (aws.folder / "down").iterdir()) == names[1:]
    aws("s3", "rm", "--recursive", bucket)
    assert person.keys_below("") == []


def test_mb_ls_and_rb(aws: Cli, person: Person) -> None:
    name = f"{person.bucket}-two"
    aws("s3", "mb", f"s3://{name}")
    assert name in aws("s3", "ls")
    person.s3.put_object(Bucket=name, Key="k", Body=b"x")
    assert "BucketNotEmpty" in aws("s3", "rb", f"s3://{name}", fails=True)
    aws("s3", "rb", "--force", f"s3://{name}")
    assert name not in aws("s3", "ls")


def test_a_bucket_cannot_have_the_name_of_a_part_of_the_api(aws: Cli) -> None:
    for name in ("api", "health", "docs"):
        assert "InvalidBucketName" in aws("s3api", "create-bucket", "--bucket", name, fails=True)


def test_ls_shows_folders(aws: Cli, person: Person) -> None:
    for key in ("a/1", "a/2", "b/1", "top"):
        person.s3.put_object(Bucket=person.bucket, Key=key, Body=b"12345")
    lines = aws("s3", "ls", f"s3://{person.bucket}/").splitlines()
    assert [line.split()[-1] for line in lines] == ["a/", "b/", "top"]


def test_a_presigned_url_opens_without_keys(aws: Cli, person: Person) -> None:
    person.s3.put_object(Bucket=person.bucket, Key="sp ace+ü.txt", Body=b"open")
    url = aws("s3", "presign", f"s3://{person.bucket}/sp ace+ü.txt", "--expires-in", "3600").strip()
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"open"


def test_streams_through_the_terminal(aws: Cli, person: Person) -> None:
    person.s3.put_object(Bucket=person.bucket, Key="t", Body=b"streamed\n")
    assert aws("s3", "cp", f"s3://{person.bucket}/t", "-") == "streamed\n"


def test_s3api_calls_answer_what_they_should(aws: Cli, person: Person) -> None:
    person.s3.put_object(Bucket=person.bucket, Key="k", Body=b"x")
    assert "LocationConstraint" in aws("s3api", "get-bucket-location", "--bucket", person.bucket)
    assert '"k"' in aws("s3api", "list-objects", "--bucket", person.bucket)
    said = aws(
        *("s3api", "put-object-tagging", "--bucket", person.bucket, "--key", "k"),
        *("--tagging", "TagSet=[{Key=a,Value=b}]"),
        fails=True,
    )
    assert "NotImplemented" in said
