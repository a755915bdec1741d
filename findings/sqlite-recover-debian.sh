#!/usr/bin/env bash
# Tool: Debian 12's sqlite3 shell, package sqlite3 3.40.1-2+deb12u2.
#
# Expected: ".recover", which the shell's help offers for damaged databases, prints the
# content of a sound database as SQL.
# Seen: it fails on every database, also on a sound one of one row, and prints no data:
#
#     BEGIN;
#     PRAGMA writable_schema = on;
#     ...
#     sql error: SQL logic error (1)
#
# Cause: .recover reads pages through the virtual table sqlite_dbpage. Debian builds the shell
# with .recover and links it to its shared libsqlite3, which lacks SQLITE_ENABLE_DBPAGE_VTAB:
#
#     Error: in prepare, no such table: sqlite_dbpage
#
# Matters: in a recovery procedure. It is found out on the day when the database is damaged;
# a shell built from SQLite's own sources is needed. ".dump" works, on readable pages only.
set -euo pipefail

version=3.40.1-2+deb12u2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
changed() { echo "changed: $*" >&2; exit 1; }

# The folder is private to this user, so apt's own unprivileged downloader cannot write to it.
apt-get -q -o APT::Sandbox::User=root download "sqlite3=$version" "libsqlite3-0=$version" > apt.log 2>&1 \
    || { cat apt.log >&2; echo "these packages are for Debian 12; 'apt-get update' may help" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$(find root -name libsqlite3.so.0)")
export LD_LIBRARY_PATH
shell() { root/usr/bin/sqlite3 -init /dev/null "$@"; }

shell sound.db "create table notes(body); insert into notes values('kept');"
[[ $(shell sound.db "pragma integrity_check") == ok ]] || changed "the database is not sound"
shell sound.db .dump | grep -q kept || changed ".dump does not print the row"
shell :memory: ".help .recover" | grep -q "Recover as much data as possible" \
    || changed "the shell no longer offers .recover"

status=0
shell sound.db .recover > recovered.sql 2> errors || status=$?
cat recovered.sql errors
[[ $status -eq 1 ]] || changed ".recover exits with $status"
grep -q "SQL logic error" errors || changed ".recover gives another error"
! grep -q kept recovered.sql || changed ".recover prints the row"
! shell sound.db "select count(*) from sqlite_dbpage" 2> errors || changed "sqlite_dbpage exists"
cat errors
grep -q "no such table: sqlite_dbpage" errors || changed "sqlite_dbpage gives another error"
echo "as described: .recover fails on a sound database"
