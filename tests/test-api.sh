#!/usr/bin/env bash
# Walks the whole API of a running service with curl and the aws cli, as a user would.
#
#   make run                     # in one terminal
#   tests/test-api.sh            # in another; ENDPOINT and AWS may be set
#
# Registers a fresh user, so it can be run again and again. Stops at the first surprise, with
# what was asked and what came back, and exits 1; prints "all N checks passed" and exits 0.
set -euo pipefail
cd "$(dirname "$0")/.."

ENDPOINT=${ENDPOINT:-http://127.0.0.1:8080}
AWS=${AWS:-aws}
PYTHON=${PYTHON:-python3}
FILM=mediaconvert/samples/bigbuckbunny.mp4
PHOTO=tests/samples/rocket.jpg
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
checks=0
token=

command -v "$AWS" >/dev/null || { echo "the aws cli is needed: pip install awscli, or set AWS=/path/to/aws"; exit 1; }
curl -fsS "$ENDPOINT/health" >/dev/null || { echo "no service answers at $ENDPOINT; start it with 'make run'"; exit 1; }

field() { # field NAME: of the JSON on standard input; dots go deeper
  "$PYTHON" -c 'import json,sys
v=json.load(sys.stdin)
for k in sys.argv[1].split("."): v=v[int(k)] if isinstance(v,list) else v[k]
print(v if isinstance(v,str) else json.dumps(v))' "$1"
}

call() { # call STATUS METHOD PATH [JSON]: the answer is left in $body
  local want=$1 method=$2 path=$3 data=${4-}
  local arguments=(-sS -o "$work/body" -w '%{http_code}' -X "$method" "$ENDPOINT$path")
  [ -n "$token" ] && arguments+=(-H "Authorization: Bearer $token")
  [ -n "$data" ] && arguments+=(-H 'Content-Type: application/json' -d "$data")
  local got; got=$(curl "${arguments[@]}")
  body=$(cat "$work/body")
  if [ "$got" != "$want" ]; then
    echo "FAILED: $method $path answered $got, not $want: $body"; exit 1
  fi
  checks=$((checks + 1)); echo "ok  $method $path → $got"
}

same() { # same WHAT WANT GOT
  [ "$2" = "$3" ] || { echo "FAILED: $1 is '$3', not '$2'"; exit 1; }
  checks=$((checks + 1)); echo "ok  $1 = $3"
}

s3() { "$AWS" --endpoint-url "$ENDPOINT" --region us-east-1 "$@"; }

wait_for() { # wait_for JOB: until it has ended; its status is left in $status
  for _ in $(seq 1500); do
    status=$(curl -fsS -H "Authorization: Bearer $token" "$ENDPOINT/api/jobs/$1" | field status)
    case $status in pending | processing) sleep 0.2 ;; *) return ;; esac
  done
  echo "FAILED: job $1 did not end"; exit 1
}

echo "== health"
call 200 GET /health
# A dependency has two seconds for its answer, which a busy machine may miss once.
for _ in $(seq 50); do curl -fsS -o "$work/body" "$ENDPOINT/ready" 2>/dev/null && break; sleep 0.2; done
call 200 GET /ready
call 200 GET /openapi.json

echo "== accounts"
email="api-test-$RANDOM$RANDOM@example.com"
call 201 POST /auth/register "{\"email\": \"$email\", \"password\": \"correct horse\"}"
call 409 POST /auth/register "{\"email\": \"$email\", \"password\": \"correct horse\"}"
same error "User already exists" "$(echo "$body" | field error)"
call 400 POST /auth/register '{"email": "nobody", "password": "correct horse"}'
call 401 POST /auth/login "{\"email\": \"$email\", \"password\": \"wrong\"}"
call 401 GET /api/jobs
call 200 POST /auth/login "{\"email\": \"$email\", \"password\": \"correct horse\"}"
token=$(echo "$body" | field token)
call 200 GET /api/me
same email "$email" "$(echo "$body" | field email)"

echo "== S3 credentials"
call 201 POST /api/s3-credentials
AWS_ACCESS_KEY_ID=$(echo "$body" | field access_key)
AWS_SECRET_ACCESS_KEY=$(echo "$body" | field secret_key)
bucket=$(echo "$body" | field bucket_name)
credential=$(echo "$body" | field id)
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_PAGER=
call 200 GET /api/s3-credentials
call 200 GET "/api/s3-credentials/check-availability?name=$bucket"
same available false "$(echo "$body" | field available)"

echo "== pipelines"
for name in video-complete image-resize; do
  text=$("$PYTHON" -c 'import json,sys; print(json.dumps(open(sys.argv[1]).read()))' "pipelines/$name.yaml")
  call 201 POST /api/pipelines "{\"name\": \"$name\", \"format\": \"yaml\", \"content\": $text}"
  pipeline=$(echo "$body" | field id)
done
call 400 POST /api/pipelines '{"name": "bad", "format": "yaml", "content": "name: bad\nsteps: []"}'
call 200 GET /api/pipelines
call 200 GET "/api/pipelines/$pipeline"
call 404 GET /api/pipelines/999999999

echo "== upload, job, results"
if s3 s3 cp "$PHOTO" "s3://$bucket/photo.jpg" --metadata Pipeline=image-resiz >"$work/refusal" 2>&1; then
  echo "FAILED: an unknown pipeline was accepted"; exit 1
fi
grep -q "did you mean 'image-resize'" "$work/refusal" || { cat "$work/refusal"; exit 1; }
checks=$((checks + 1)); echo "ok  an unknown pipeline is refused with a suggestion"
s3 s3 cp "$FILM" "s3://$bucket/film.mp4" --metadata Pipeline=video-complete --only-show-errors
s3 s3 cp "$PHOTO" "s3://$bucket/photos/rocket.jpg" --metadata Pipeline=image-resize --only-show-errors
call 200 GET '/api/jobs?limit=2'
job=$(echo "$body" | field jobs.1.id)
other=$(echo "$body" | field jobs.0.id)
wait_for "$job"; same "status of job $job" completed "$status"
wait_for "$other"; same "status of job $other" completed "$status"
call 200 GET "/api/jobs/$job/history"
same "last transition" completed "$(echo "$body" | field history.-1.to_status)"
s3 s3 ls --recursive "s3://$bucket/results/job-$job/" | tee "$work/listing"
grep -q video.mp4 "$work/listing" && grep -q thumb.jpg "$work/listing" && grep -q manifest.json "$work/listing"
checks=$((checks + 1))
s3 s3 cp "s3://$bucket/results/job-$job/video.mp4" "$work/video.mp4" --only-show-errors
s3 s3 cp "s3://$bucket/film.mp4" "$work/film.mp4" --only-show-errors
cmp "$FILM" "$work/film.mp4"; checks=$((checks + 1)); echo "ok  the film comes back byte for byte"
call 400 POST "/api/jobs/$job/cancel"
call 201 POST "/api/jobs/$other/rerun"
again=$(echo "$body" | field new_job.id)
wait_for "$again"; same "status of the rerun" completed "$status"

echo "== more of S3"
s3 s3 sync pipelines "s3://$bucket/pipelines" --only-show-errors
s3 s3 mv "s3://$bucket/pipelines/image-resize.yaml" "s3://$bucket/moved.yaml" --only-show-errors
url=$(s3 s3 presign "s3://$bucket/moved.yaml")
curl -fsS "$url" | cmp - pipelines/image-resize.yaml
checks=$((checks + 1)); echo "ok  a presigned URL opens the file"
s3 s3 rm --recursive "s3://$bucket/pipelines" --only-show-errors
s3 s3 mb "s3://api-test-$RANDOM-$RANDOM" >"$work/made"
s3 s3 rb "s3://$(sed 's/.*: //' "$work/made")" >/dev/null
checks=$((checks + 1)); echo "ok  buckets are made and removed"

echo "== analytics"
for _ in $(seq 300); do
  call 200 GET '/api/analytics/jobs/stats?days=7'
  [ "$(echo "$body" | field completed_jobs)" = 3 ] && break
  sleep 0.2
done
same completed_jobs 3 "$(echo "$body" | field completed_jobs)"
call 200 GET '/api/analytics/jobs/percentiles?days=7'
call 200 GET '/api/analytics/jobs/timeline?days=7&interval=hour'
call 200 GET '/api/analytics/pipelines/stats?days=30'
call 200 GET '/api/analytics/operations/stats?days=30'
call 400 GET '/api/analytics/jobs/stats?days=0'

echo "== goodbye"
call 200 DELETE "/api/pipelines/$pipeline"
call 200 DELETE "/api/s3-credentials/$credential"
if s3 s3 ls "s3://$bucket/" >"$work/refusal" 2>&1; then
  echo "FAILED: a revoked key was accepted"; exit 1
fi
checks=$((checks + 1)); echo "ok  a revoked key is refused"
echo "all $checks checks passed"
