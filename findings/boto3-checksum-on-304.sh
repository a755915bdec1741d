#!/usr/bin/env bash
# Tool: boto3 and botocore 1.44.8.
#
# Expected: GetObject answered with 304 or 412 raises ClientError with that status, whatever
# other headers the answer has. A 304 may carry what the 200 would (RFC 9110 section 15.4.5).
# Seen: an x-amz-checksum-* header in the answer turns it into a TypeError, since botocore wraps
# the body for checking before it parses it as an error:
#
#     304 without checksum   ClientError: An error occurred (304) when calling the GetObject operation: Not Modified
#     304 with checksum      TypeError: a bytes-like object is required, not 'StreamingChecksumBody'
#     412 without checksum   ClientError: An error occurred (PreconditionFailed) when calling the GetObject operation: changed
#     412 with checksum      TypeError: a bytes-like object is required, not 'StreamingChecksumBody'
#
# Matters: S3-compatible servers must leave checksum headers out of all answers but 200 and 206.
# With one that does not ("rclone serve s3" on 304), "except ClientError" misses the answer.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet boto3==1.44.8 botocore==1.44.8 s3transfer==0.19.3 \
    jmespath==1.1.0 urllib3==2.8.0 python-dateutil==2.9.0.post0 six==1.17.0 2>"$work/pip.log" \
    || { cat "$work/pip.log" >&2; exit 2; }
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_DEFAULT_REGION=us-east-1
export AWS_ACCESS_KEY_ID=access AWS_SECRET_ACCESS_KEY=secret
unset AWS_PROFILE AWS_RESPONSE_CHECKSUM_VALIDATION

timeout 40 "$work/env/bin/python" - <<'EOF'
import http.server
import sys
import threading

import boto3

ERROR = b"<Error><Code>PreconditionFailed</Code><Message>changed</Message></Error>"


class Server(http.server.BaseHTTPRequestHandler):
    """Answers /bucket/STATUS/with or /bucket/STATUS/without accordingly."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status, checksum = self.path.split("/")[-2:]
        self.send_response(int(status))
        self.send_header("ETag", '"etag"')
        if checksum == "with":
            self.send_header("x-amz-checksum-crc32", "sfxLvA==")
        if status != "304":
            self.send_header("Content-Length", str(len(ERROR)))
        self.end_headers()
        if status != "304":
            self.wfile.write(ERROR)

    def log_message(self, *_: object) -> None:
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{server.server_port}")
for status in (304, 412):
    for checksum, expected in (("without", "ClientError"), ("with", "TypeError")):
        try:
            client.get_object(Bucket="bucket", Key=f"{status}/{checksum}")
            raised, text = "nothing", ""
        except Exception as error:
            raised, text = type(error).__name__, str(error)
        print(f"{f'{status} {checksum} checksum':22} {raised}: {text}")
        if raised != expected:
            sys.exit(f"changed: {raised} was raised, not {expected}")
print("as described: a checksum header hides the error")
EOF
