#!/usr/bin/env bash
# Tool: @aws-sdk/client-s3 3.1175.0 with @smithy/core 3.41.1 (npm), Node.js 20.
#
# Expected: as with boto3 of the same months, only one of Retry-After (seconds) and
# x-amz-retry-after (milliseconds) counts; or, if both do, one of them has precedence.
# Seen: both are obeyed, each cut to the client's own backoff plus 5 seconds. If an answer has
# both, the one that comes first in it wins, whichever that is:
#
#     no header                                       retried after 34 ms
#     Retry-After: 2                                  retried after 2005 ms
#     x-amz-retry-after: 2000                         retried after 2001 ms
#     Retry-After: 1, x-amz-retry-after: 3000         retried after 1003 ms
#     x-amz-retry-after: 3000, Retry-After: 1         retried after 3002 ms
#     Retry-After: 60                                 retried after 5033 ms
#
# Matters: for S3-compatible servers behind a proxy, which may reorder headers or add a
# Retry-After of its own; and no client waits out a restart of more than about 10 s.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$work" \
    @aws-sdk/client-s3@3.1175.0 @smithy/core@3.41.1 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
unset AWS_RETRY_MODE AWS_MAX_ATTEMPTS AWS_PROFILE

cat > "$work/retries.mjs" <<'EOF'
import http from "node:http";
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";

const error = "<Error><Code>ServiceUnavailable</Code><Message>try later</Message></Error>";
const seconds = (value) => ["Retry-After", value];
const milliseconds = (value) => ["x-amz-retry-after", value];
const cases = [ // headers of the first answer, shortest and longest wait expected (ms)
  [[], 0, 900],
  [[seconds("2")], 1900, 4000],
  [[milliseconds("2000")], 1900, 4000],
  [[seconds("1"), milliseconds("3000")], 900, 2500],
  [[milliseconds("3000"), seconds("1")], 2900, 4900],
  [[seconds("60")], 4900, 20000],
];
const times = cases.map(() => []);

const server = http.createServer((request, response) => {
  const index = Number(new URL(request.url, "http://localhost").pathname.split("/").pop());
  times[index].push(performance.now());
  if (times[index].length > 1) return response.end("content");
  response.writeHead(503, [...cases[index][0], ["Content-Length", String(error.length)]].flat());
  response.end(error);
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));

const client = new S3Client({
  endpoint: `http://127.0.0.1:${server.address().port}`,
  region: "us-east-1",
  forcePathStyle: true,
  credentials: { accessKeyId: "access", secretAccessKey: "secret" },
});
let failed = false;
for (const [index, [headers, shortest, longest]] of cases.entries()) {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: "bucket", Key: String(index) }));
  await Body.transformToString();
  const wait = Math.round(times[index][1] - times[index][0]);
  const name = headers.map((header) => header.join(": ")).join(", ") || "no header";
  console.log(`${name.padEnd(47)} retried after ${wait} ms`);
  failed ||= wait < shortest || wait > longest;
}
console.log(failed ? "changed: the waits are no longer as described"
  : "as described: both headers are obeyed up to 5 s, the first one wins");
process.exit(failed ? 1 : 0);
EOF
timeout 45 node --no-warnings "$work/retries.mjs"
