#!/bin/sh
# Resolves the pinned requirement files anew from pyproject.toml; run by `make pins`.
# No index address is written: the hashes alone say what may be installed.
set -eu
cd "$(dirname "$0")/.."
compile() {
  .venv/bin/python -m piptools compile --quiet --strip-extras --allow-unsafe --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate "$@"
}
compile --output-file packaging/requirements.txt pyproject.toml packaging/build.in
compile --output-file packaging/requirements-dev.txt --extra dev \
  --constraint packaging/requirements.txt pyproject.toml packaging/dev.in
compile --output-file packaging/requirements-clients.txt packaging/clients.in
compile --output-file packaging/requirements-bench.txt packaging/bench.in
compile --output-file packaging/requirements-javascript.txt packaging/javascript.in
rm -f packaging/javascript/package-lock.json
sh packaging/node.sh packaging/javascript install --package-lock-only
