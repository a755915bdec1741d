#!/usr/bin/env bash
# Tool: libvips 8.18.7 (pyvips 3.2.0, wheel pyvips-binary 8.18.7).
#
# Expected: a picture of linear light (scRGB floats, what a mean, a resize or a blend in linear
# light gives) is converted to sRGB by each saver in the same way: 0.5 becomes 188.
# Seen: jpegsave writes an Ultra HDR JPEG instead, with a gain map. Every reader that does not
# know gain maps shows another, darker picture, and the file is larger:
#
#     png   188  393 bytes
#     webp  188  256 bytes
#     jpeg  156  2747 bytes, with a gain map
#     jpeg after colourspace("srgb")  188  862 bytes
#
# Matters: thumbnails made in linear light turn dark in browsers, in JPEG only. Call
# colourspace("srgb") before saving.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet pyvips==3.2.0 pyvips-binary==8.18.7 cffi==2.1.1 \
    pycparser==3.12 2>"$work/pip.log" || { cat "$work/pip.log" >&2; exit 2; }

timeout 30 "$work/env/bin/python" - <<'EOF'
import sys

import pyvips

linear = (pyvips.Image.black(64, 64, bands=3) + 0.5).cast("float").copy(interpretation="scrgb")
cases = {
    "png ": (linear.pngsave_buffer(), 188, False),
    "webp": (linear.webpsave_buffer(lossless=True), 188, False),
    "jpeg": (linear.jpegsave_buffer(), 156, True),
    'jpeg after colourspace("srgb")': (linear.colourspace("srgb").jpegsave_buffer(), 188, False),
}
failed = False
for name, (data, level, has_gain_map) in cases.items():
    picture = pyvips.Image.new_from_buffer(data, "")
    found = "gainmap-data" in picture.get_fields()
    seen = round(picture.avg())
    print(f"{name}  {seen}  {len(data)} bytes{', with a gain map' if found else ''}")
    failed |= abs(seen - level) > 2 or found != has_gain_map
if failed:
    sys.exit("changed: the levels or gain maps are no longer as described")
print("as described: jpegsave of linear light writes Ultra HDR")
EOF
