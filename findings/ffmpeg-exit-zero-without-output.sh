#!/usr/bin/env bash
# Tool: ffmpeg 9.0.2 (wheel imageio-ffmpeg 0.8.1).
#
# Expected: exit status 0 means that the output file was written, and -ss before -i starts at
# the time asked for, or at the keyframe before it.
# Seen: three ways to get 0 without an output. The second and third print no error at all:
#
#     output exists, no -y: exit 0, file untouched, "Error opening output file out.mp4."
#     -ss 3.97 of 4 s, the last frame begins at 3.96: exit 0, no file
#     MPEG-TS, -ss 7 of 8 s, last keyframe at 6: exit 0, no file
#     MPEG-TS, -ss 3, keyframes every 2 s: the frame of 4 s
#
# In MPEG-TS an input seek gives the next keyframe after the time asked for (in MP4: the very
# frame). After the last keyframe nothing is left.
# Matters: "ffmpeg ... && upload" uploads the file of the run before, or fails a step later.
# Always pass -y, check that the file exists, or pass -abort_on empty_output (exit 234).
set -euo pipefail
unset IMAGEIO_FFMPEG_EXE

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
changed() { echo "changed: $*" >&2; exit 1; }
python3 -m venv env
env/bin/pip install --quiet --no-deps imageio-ffmpeg==0.8.1 2>pip.log || { cat pip.log >&2; exit 2; }
program=$(env/bin/python -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())")
ffmpeg() { timeout 20 "$program" -hide_banner -nostdin -loglevel error -threads 1 "$@"; }

video=(-f lavfi -i "testsrc2=s=320x180:r=25" -c:v libx264 -preset ultrafast -g 50 -bf 0)
ffmpeg "${video[@]}" -t 4 in.mp4
ffmpeg "${video[@]}" -t 8 in.ts

echo "of the run before" > out.mp4
ffmpeg -i in.mp4 -c copy out.mp4 2> errors || changed "exit $? for an existing output"
grep -q "Error opening output file" errors || changed "no error for an existing output"
[[ $(< out.mp4) == "of the run before" ]] || changed "the existing output was overwritten"
echo "output exists, no -y: exit 0, file untouched, \"$(tail -n 1 errors)\""

ffmpeg -y -ss 3.97 -i in.mp4 -frames:v 1 end.png 2> errors || changed "exit $? past the last frame"
[[ ! -e end.png && ! -s errors ]] || changed "a file or an error past the last frame"
echo "-ss 3.97 of 4 s, the last frame begins at 3.96: exit 0, no file"

ffmpeg -y -ss 7 -i in.ts -frames:v 1 ts.png 2> errors || changed "exit $? in MPEG-TS"
[[ ! -e ts.png ]] || changed "a file from MPEG-TS behind the last keyframe"
echo "MPEG-TS, -ss 7 of 8 s, last keyframe at 6: exit 0, no file"

# Frames are compared by the checksums of their pixels. Frame 100 is the one of 4 s.
first() { ffmpeg "$@" -map 0:v -frames:v 1 -f framemd5 - | tail -n 1 | sed 's/.*, *//'; }
[[ $(first -ss 3 -i in.ts) == "$(first -i in.ts -vf "select=eq(n\,100)")" ]] \
    || changed "-ss 3 in MPEG-TS does not give the keyframe at 4 s"
[[ $(first -ss 3 -i in.mp4) == "$(first -i in.mp4 -vf "select=eq(n\,75)")" ]] \
    || changed "-ss 3 in MP4 does not give the frame of 3 s"
echo "MPEG-TS, -ss 3, keyframes every 2 s: the frame of 4 s"

status=0
ffmpeg -y -abort_on empty_output -ss 3.97 -i in.mp4 -frames:v 1 end.png 2> errors || status=$?
[[ $status -eq 234 ]] || changed "-abort_on empty_output gives exit $status"
echo "as described: exit 0 does not mean that there is an output"
