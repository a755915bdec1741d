#!/usr/bin/env bash
# Tool: minio (the Python SDK) 7.2.20.
#
# Expected: put_object() of a stream that turns out too short stops its upload threads, aborts
# the multipart upload and raises.
# Seen: it aborts first, while the parts that were read are still on their way, and never ends
# its threads (three by default, num_parallel_uploads): they wait for tasks for ever.
#
#     3 times put_object() of 10 MiB announced as 15 MiB: OSError
#     parts still being uploaded when the abort was answered: 2, 2, 2
#     threads of type Worker left behind: 9
#
# The store here answers parts only after it has seen the abort. A fast store may have answered
# them before.
# Matters: a service that passes on uploads and whose clients hang up leaks three threads for
# each, until it can start no more; and S3 stores may keep parts that arrive during an abort
# (the S3 API reference asks to abort again until ListParts is empty).
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet minio==7.2.20 urllib3==2.8.0 certifi==2026.10.18 \
    argon2-cffi==25.1.0 argon2-cffi-bindings==26.2.0 cffi==2.1.1 pycparser==3.12 \
    pycryptodome==4.4.0 typing-extensions==4.16.0 2>"$work/pip.log" \
    || { cat "$work/pip.log" >&2; exit 2; }

timeout 40 "$work/env/bin/python" - <<'EOF'
import http.server
import io
import sys
import threading
import urllib.parse

import minio

MIB = 1 << 20
started = [0, 0, 0]
finished = [0, 0, 0]
at_abort = [0, 0, 0]
aborted = [threading.Event() for _ in range(3)]
all_parts = [threading.Event() for _ in range(3)]
lock = threading.Lock()


class Store(http.server.BaseHTTPRequestHandler):
    """A store whose parts take as long as it takes the client to abort, or 5 seconds."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upload = urllib.parse.urlsplit(self.path).path[-1]
        self.answer(
            "<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>key</Key>"
            f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        )

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        upload = self.upload()
        with lock:
            started[upload] += 1
        aborted[upload].wait(5)
        with lock:
            finished[upload] += 1
            if finished[upload] == 2:
                all_parts[upload].set()
        self.answer("")

    def do_DELETE(self) -> None:
        upload = self.upload()
        with lock:
            at_abort[upload] = 2 - finished[upload]
        aborted[upload].set()
        self.answer("")

    def upload(self) -> int:
        return int(urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["uploadId"][0])

    def answer(self, body: str) -> None:
        self.send_response(200)
        self.send_header("ETag", '"etag"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = minio.Minio(
    endpoint=f"127.0.0.1:{server.server_port}",
    access_key="access",
    secret_key="secret",
    secure=False,
    region="us-east-1",
)
for upload in range(3):
    try:
        client.put_object(
            bucket_name="bucket",
            object_name=f"key-{upload}",
            data=io.BytesIO(bytes(10 * MIB)),
            length=15 * MIB,
            part_size=5 * MIB,
        )
        sys.exit("changed: a short stream is accepted")
    except OSError:
        pass
    all_parts[upload].wait(10)
workers = [thread for thread in threading.enumerate() if type(thread).__name__ == "Worker"]
print("3 times put_object() of 10 MiB announced as 15 MiB: OSError")
print("parts still being uploaded when the abort was answered:", *at_abort)
print("threads of type Worker left behind:", len(workers))
if at_abort != [2, 2, 2]:
    sys.exit("changed: the abort waits for the parts")
if len(workers) != 9:
    sys.exit("changed: the threads end")
print("as described: it aborts before its parts end, and its threads stay")
EOF
