"""What a user does with the service, from register to download, with ordinary clients.

REST through the standard library's http.client, S3 through the `minio` package. Blocking: the
demo runs it in a thread beside the service.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import minio

from mediaconvert.errors import StartupError

Json = Mapping[str, object]
POLL_SECONDS = 0.2


class DemoFailed(StartupError):
    """A step of the demo was refused; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Account:
    token: str
    access_key: str
    secret_key: str
    bucket: str


class DemoClient:
    """One user of the service at host:port."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port

    def call(self, method: str, path: str, *, body: Json | None = None, token: str = "") -> Json:
        """One REST call. Raises DemoFailed with the service's own sentence."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            answer = cast("Json", json.loads(response.read()))
        except OSError as error:
            raise DemoFailed(f"{method} {path}: the service did not answer: {error}") from error
        finally:
            connection.close()
        if response.status >= 400:
            raise DemoFailed(f"{method} {path} answered {response.status}: {answer.get('error')}")
        return answer

    def sign_up(self, email: str, password: str) -> Account:
        """Register, and make S3 credentials with a bucket of their own."""
        registered = self.call(
            "POST", "/auth/register", body={"email": email, "password": password}
        )
        token = str(registered["token"])
        keys = self.call("POST", "/api/s3-credentials", token=token)
        return Account(
            token, str(keys["access_key"]), str(keys["secret_key"]), str(keys["bucket_name"])
        )

    def save_pipeline(self, account: Account, name: str, text: str) -> None:
        body = {"name": name, "format": "yaml", "content": text}
        self.call("POST", "/api/pipelines", body=body, token=account.token)

    def upload(self, account: Account, film: Path, pipeline: str) -> int:
        """Upload with the pipeline's name as metadata; the id of the job that this started."""
        self._s3(account).fput_object(
            account.bucket,
            film.name,
            str(film),
            content_type="video/mp4",
            metadata={"Pipeline": pipeline},
        )
        jobs = cast("list[Json]", self.call("GET", "/api/jobs", token=account.token)["jobs"])
        if not jobs:
            raise DemoFailed(f"the upload of {film.name} started no job")
        return cast("int", jobs[0]["id"])

    def watch(self, account: Account, job_id: int, show: Callable[[Json], None]) -> Json:
        """Poll until the job has ended. Raises DemoFailed unless it completed."""
        while True:
            job = self.call("GET", f"/api/jobs/{job_id}", token=account.token)
            show(job)
            if job["status"] not in ("pending", "processing"):
                break
            time.sleep(POLL_SECONDS)
        if job["status"] != "completed":
            raise DemoFailed(f"the job ended as {job['status']}: {job['error']}")
        return job

    def download(self, account: Account, keys: list[str], folder: Path) -> list[Path]:
        client = self._s3(account)
        paths = []
        for key in keys:
            path = folder / key.rpartition("/")[2]
            client.fget_object(account.bucket, key, str(path))
            paths.append(path)
        return paths

    def _s3(self, account: Account) -> minio.Minio:
        return minio.Minio(
            endpoint=f"{self.host}:{self.port}",
            access_key=account.access_key,
            secret_key=account.secret_key,
            secure=False,
            region="us-east-1",
        )
