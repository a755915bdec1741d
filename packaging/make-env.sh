#!/bin/sh
# Makes .env with a new secret for each variable that docker-compose.yml asks for, and with the
# addresses by which a process on this machine (`make run`) reaches the same servers. An .env
# that is there is never touched. The passwords are hexadecimal: they stand in URLs.
set -eu
cd "$(dirname "$0")/.."
if [ -e .env ]; then
  echo ".env is there already and was left as it is; move it away to have a new one made" >&2
  exit 1
fi
umask 077
hex() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
key() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }
postgres=$(hex 24) redis=$(hex 24) clickhouse=$(hex 24)
# Written whole or not at all.
cat > .env.new <<FILE
# Made by packaging/make-env.sh. Keep a copy apart from the data: without
# MEDIACONVERT_MASTER_KEY the S3 secrets in the database are lost.
POSTGRES_PASSWORD=$postgres
REDIS_PASSWORD=$redis
CLICKHOUSE_PASSWORD=$clickhouse
S3_ACCESS_KEY=$(hex 10)
S3_SECRET_KEY=$(hex 24)
S3_CONSOLE_PASSWORD=$(hex 12)
JWT_SECRET=$(key)
MEDIACONVERT_MASTER_KEY=$(key)

# What makes \`make run\` use the servers of docker-compose.yml. Without these four lines (and the
# two keys above) it is the embedded service again, with its data in ./data.
DATABASE_URL=postgresql://mediaconvert:$postgres@127.0.0.1:5432/mediaconvert
REDIS_URL=redis://:$redis@127.0.0.1:6379
S3_ENDPOINT=http://127.0.0.1:9000
CLICKHOUSE_DSN=http://mediaconvert:$clickhouse@127.0.0.1:8123/mediaconvert
FILE
mv .env.new .env
echo "made .env; keep a copy of it apart from the data" >&2
