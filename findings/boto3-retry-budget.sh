#!/usr/bin/env bash
# Tool: boto3 and botocore 1.44.8 (default "standard" retry mode: 3 attempts).
#
# Expected: each request that fails with a retryable error is tried three times, and a server
# that answers SlowDown gets fewer retries than one that answers ServiceUnavailable.
# Seen: all requests of a client share a budget of 500 tokens. A retry costs 14 of them after
# ServiceUnavailable and 5 after SlowDown, and tokens come back with successes only: one per
# request that succeeds at once. 60 requests during an outage make 120 retries in no case:
#
#     60 requests answered ServiceUnavailable: 35 retries
#     60 requests answered SlowDown: 100 retries
#     next request after the outage, one 503: failed after 1 attempts
#     after 10 successes, one 503: succeeded after 2 attempts
#
# SlowDown thus brings nearly three times the retries. After an outage, a client that lived
# through it fails on the first 503 until enough requests have succeeded; its error message
# lacks the "(reached max retries: 2)" that would hint at retries.
# Matters: for uploads with many threads (one client, 20 threads: the budget is gone in the
# first second), for the choice of the error code of an overloaded S3 server, and for tests
# that provoke errors again and again with one client: later ones see no retries.
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
import concurrent.futures
import http.server
import sys
import threading

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

lock = threading.Lock()
requests: list[str] = []


class Server(http.server.BaseHTTPRequestHandler):
    """Fails for /outage/CODE always, for /once/... the first time, else never."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with lock:
            fails = "/outage/" in self.path or "/once/" in self.path and self.path not in requests
            requests.append(self.path)
        code = "SlowDown" if "SlowDown" in self.path else "ServiceUnavailable"
        body = f"<Error><Code>{code}</Code><Message>busy</Message></Error>".encode()
        self.send_response(503 if fails else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def check(is_as_described: bool) -> None:
    if not is_as_described:
        sys.exit("changed: the retries are no longer as described")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()


def make_client():
    config = Config(max_pool_connections=60)
    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{server.server_port}", config=config)


def get(client, key: str) -> str:
    try:
        client.get_object(Bucket="bucket", Key=key)["Body"].read()
    except ClientError as error:
        return str(error)
    return ""


def outage(client, code: str) -> int:
    requests.clear()
    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        list(pool.map(lambda n: get(client, f"outage/{code}/{n}"), range(60)))
    retries = len(requests) - 60
    print(f"60 requests answered {code}: {retries} retries")
    return retries


def once(client, key: str, when: str) -> tuple[bool, int]:
    requests.clear()
    error = get(client, f"once/{key}")
    print(f"{when}, one 503: {'failed' if error else 'succeeded'} after {len(requests)} attempts")
    check("reached max retries" not in error)
    return not error, len(requests)


client = make_client()
check(outage(client, "ServiceUnavailable") == 35)
check(outage(make_client(), "SlowDown") == 100)
check(once(client, "a", "next request after the outage") == (False, 1))
check(not any(get(client, "always there") for _ in range(10)))
check(once(client, "b", "after 10 successes") == (True, 2))
print("as described: 500 tokens per client, 14 for a retry of ServiceUnavailable, 5 of SlowDown")
EOF
