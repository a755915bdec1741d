#!/usr/bin/env bash
# Tool: PDFium 8149 (pypdfium2 5.15.2).
#
# Expected: get_text_range() (FPDFText_GetText) and get_text_bounded() without bounds
# (FPDFText_GetBoundedText, the whole page) give the same text.
# Seen: they differ. The second glues words of two columns together, and a hyphen at a line's
# end is no hyphen in either, but the noncharacter U+FFFE in one and U+0002 in the other:
#
#     page                     get_text_range()                get_text_bounded()
#     two rows, two columns    'Apples\r\n1\r\nPears\r\n2'     'Apples\r\n1\r\nPears2'
#     inter-/national          'inter\ufffenational'           'inter\x02national'
#     text outside CropBox     'inside\r\noutside'             'inside'
#
# Matters: search indexes ("Pears2" is found by neither word), XML and JSON outputs (U+0002 is
# not allowed in XML), and redaction by CropBox: one call returns the text that is not shown.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet pypdfium2==5.15.2 2>"$work/pip.log" \
    || { cat "$work/pip.log" >&2; exit 2; }

timeout 30 "$work/env/bin/python" - <<'EOF'
import sys

import pypdfium2


def make_pdf(texts: list[tuple[int, int, str]], page: str) -> bytes:
    content = "\n".join(f"BT /F 12 Tf {x} {y} Td ({text}) Tj ET" for x, y, text in texts)
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 400]/Contents 4 0 R"
        f"/Resources<</Font<</F 5 0 R>>>>{page}>>",
        f"<</Length {len(content)}>>stream\n{content}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    pdf, offsets = "%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(pdf))
        pdf += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    table = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    trailer = f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{len(pdf)}\n%%EOF\n"
    return (pdf + table + trailer).encode()


columns = [(50, 350, "Apples"), (200, 350, "1"), (50, 330, "Pears"), (200, 330, "2")]
cases = {
    "two rows, two columns": (columns, "", "Apples\r\n1\r\nPears\r\n2", "Apples\r\n1\r\nPears2"),
    "inter-/national": (
        [(50, 350, "inter-"), (50, 335, "national")],
        "",
        "inter\ufffenational",
        "inter\x02national",
    ),
    "text outside CropBox": (
        [(50, 350, "inside"), (50, 20, "outside")],
        "/CropBox[0 100 400 400]",
        "inside\r\noutside",
        "inside",
    ),
}
print(f"{'page':24} {'get_text_range()':31} get_text_bounded()")
failed = False
for name, (texts, page, *expected) in cases.items():
    text = pypdfium2.PdfDocument(make_pdf(texts, page))[0].get_textpage()
    seen = [text.get_text_range(), text.get_text_bounded()]
    print(f"{name:24} {seen[0]!r:31} {seen[1]!r}")
    failed |= seen != expected
if failed:
    sys.exit("changed: the texts are no longer as described")
print("as described: the two calls give different texts")
EOF
