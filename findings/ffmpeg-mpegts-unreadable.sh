#!/usr/bin/env bash
# Tool: ffmpeg 9.0.2 (wheel imageio-ffmpeg 0.8.1).
#
# Expected: a container that cannot carry a codec is refused when the file is written, as WebM
# refuses H.264 ("Only VP8 or VP9 or AV1 video ... are supported for WebM", exit 234).
# Seen: MPEG-TS takes AV1, VP9 and FLAC and stores them as private data. The file is written
# with exit 0 and without an error, and ffmpeg itself does not find the codec in it again:
#
#     libsvtav1 to MPEG-TS: exit 0; read back: Data: bin_data ([6][0][0][0] / 0x0006), start 1.400000
#     libvpx-vp9 to MPEG-TS: exit 0; read back: Data: bin_data ([6][0][0][0] / 0x0006), start 1.400000
#     flac to MPEG-TS: exit 0; read back: Data: bin_data ([6][0][0][0] / 0x0006), start 1.400000
#
# Matters: HLS with .ts segments and any "-c copy out.ts". A check of the exit status, of the
# size or of the number of streams passes; the picture or the sound is lost.
set -euo pipefail
unset IMAGEIO_FFMPEG_EXE

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
changed() { echo "changed: $*" >&2; exit 1; }
python3 -m venv env
env/bin/pip install --quiet --no-deps imageio-ffmpeg==0.8.1 2>pip.log || { cat pip.log >&2; exit 2; }
program=$(env/bin/python -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())")
ffmpeg() { timeout 20 "$program" -hide_banner -nostdin -y "$@"; }

ffmpeg -loglevel error -f lavfi -i testsrc2=s=320x180:r=25:d=0.5 -c:v libx264 no.webm 2> errors \
    && changed "WebM takes H.264"
for codec in libsvtav1 libvpx-vp9 flac; do
    source=(-f lavfi -i testsrc2=s=320x180:r=25:d=0.5 -c:v "$codec")
    [[ $codec != flac ]] || source=(-f lavfi -i sine=d=1 -c:a flac)
    ffmpeg -loglevel error "${source[@]}" out.mkv > /dev/null 2>&1 || changed "$codec to Matroska: exit $?"
    ffmpeg -loglevel error -i out.mkv -c copy out.ts 2> errors || changed "$codec to MPEG-TS: exit $?"
    [[ ! -s errors ]] || changed "$codec to MPEG-TS: $(< errors)"
    ffmpeg -i out.ts 2> report || true  # no output is asked for, which is an error
    stream=$(grep -o "Data: .*\|Video: .*\|Audio: .*" report | head -n 1)
    echo "$codec to MPEG-TS: exit 0; read back: $stream"
    [[ $stream == "Data: bin_data"* ]] || changed "$codec can be read back"
done
echo "as described: MPEG-TS takes what it cannot give back"
