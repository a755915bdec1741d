#!/usr/bin/env bash
# Tool: boto3 and botocore 1.44.8 (default "standard" retry mode).
#
# Expected: a client that retries a 503 waits as long as its Retry-After header (RFC 9110
# section 10.2.3, in seconds) asks.
# Seen: Retry-After is ignored: the retry follows within 0.05 s. Only x-amz-retry-after counts,
# in milliseconds, and it is cut to the client's own backoff plus 5 seconds:
#
#     no header                  retried after 0.05 s
#     Retry-After: 2             retried after 0.04 s
#     x-amz-retry-after: 2000    retried after 2.00 s
#     x-amz-retry-after: 60000   retried after 5.04 s
#
# Matters: for S3-compatible servers that shed load. With Retry-After alone, all three
# attempts of a request are used up within 0.15 s, shorter than any restart. With the other
# header an outage of up to about 10 s can be bridged, and no longer one.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet boto3==1.44.8 botocore==1.44.8 s3transfer==0.19.3 \
    jmespath==1.1.0 urllib3==2.8.0 python-dateutil==2.9.0.post0 six==1.17.0 2>"$work/pip.log" \
    || { cat "$work/pip.log" >&2; exit 2; }
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_DEFAULT_REGION=us-east-1
export AWS_ACCESS_KEY_ID=access AWS_SECRET_ACCESS_KEY=secret
unset AWS_RETRY_MODE AWS_MAX_ATTEMPTS AWS_PROFILE

timeout 40 "$work/env/bin/python" - <<'EOF'
import http.server
import sys
import threading
import time

import boto3

ERROR = b"<Error><Code>ServiceUnavailable</Code><Message>try later</Message></Error>"
CASES = {  # key: the header of the first answer, the shortest and the longest wait expected
    "none": (None, 0, 1),
    "seconds": (("Retry-After", "2"), 0, 1),
    "milliseconds": (("x-amz-retry-after", "2000"), 1.9, 4),
    "long": (("x-amz-retry-after", "60000"), 4.9, 20),
}
times: dict[str, list[float]] = {key: [] for key in CASES}


class FailsOnce(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        key = self.path.rsplit("/", 1)[-1]
        times[key].append(time.monotonic())
        is_first = len(times[key]) == 1
        body = ERROR if is_first else b"content"
        self.send_response(503 if is_first else 200)
        if is_first and (header := CASES[key][0]):
            self.send_header(*header)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FailsOnce)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{server.server_port}")
failed = False
for key, (header, shortest, longest) in CASES.items():
    client.get_object(Bucket="bucket", Key=key)["Body"].read()
    wait = times[key][1] - times[key][0]
    print(f"{': '.join(header or ['no header']):26} retried after {wait:.2f} s")
    failed |= not shortest <= wait <= longest
if failed:
    sys.exit("changed: the waits are no longer as described")
print("as described: Retry-After is ignored, x-amz-retry-after is obeyed up to 5 s")
EOF
