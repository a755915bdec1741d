#!/usr/bin/env bash
# Tool: libvips 8.18.7 (pyvips 3.2.0, wheel pyvips-binary 8.18.7).
#
# Expected: new_from_file(access="sequential").autorot() either works or is refused. If it works
# for a test picture with an orientation tag, it works for all.
# Seen: it depends on the size. Small pictures turn well, presumably because the lines that are
# kept cover them; larger ones fail while they are saved, after the call itself succeeded:
#
#     300x200   saved as 200x300
#     1200x900  VipsJpeg: out of order read at line 900
#
# Matters: unit tests with small pictures pass and every phone photo fails. thumbnail() turns
# both, or open with access="random" if there is an orientation to apply.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet pyvips==3.2.0 pyvips-binary==8.18.7 cffi==2.1.1 \
    pycparser==3.12 2>"$work/pip.log" || { cat "$work/pip.log" >&2; exit 2; }

timeout 30 "$work/env/bin/python" - "$work" <<'EOF'
import sys

import pyvips

for width, height, fails in ((300, 200, False), (1200, 900, True)):
    path = f"{sys.argv[1]}/{width}.jpg"
    picture = (pyvips.Image.black(width, height, bands=3) + 99).cast("uchar")
    picture = picture.copy(interpretation="srgb")
    picture.set_type(pyvips.GValue.gint_type, "orientation", 6)
    picture.jpegsave(path)
    turned = pyvips.Image.new_from_file(path, access="sequential").autorot()
    try:
        saved = pyvips.Image.new_from_buffer(turned.pngsave_buffer(), "")
        outcome, failed = f"saved as {saved.width}x{saved.height}", False
    except pyvips.Error as error:
        lines = [line.strip() for line in str(error).splitlines() if "out of order" in line]
        outcome, failed = lines[0] if lines else str(error), True
    print(f"{f'{width}x{height}':9} {outcome}")
    if failed != fails:
        sys.exit(f"changed: {width}x{height} {'fails' if failed else 'works'}")
    if failed and "out of order" not in outcome:
        sys.exit("changed: it fails for another reason")
    small = pyvips.Image.thumbnail(path, 100, height=100)
    if small.width >= small.height:
        sys.exit("changed: thumbnail() does not turn the picture")
print("as described: only small pictures can be turned while they are read sequentially")
EOF
