#!/usr/bin/env bash
# frontend/examples/amp/run.sh RECURVE FOLDER: imports the model, compiles it with its weights inside, and sends a sound
# through it in blocks of several sizes. Fails if the results differ.
set -euo pipefail
recurve=$(realpath "$1")
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
python3 "$here/make_files.py" "$2"
cd "$2"
"$recurve" import amp.nam -o . >/dev/null
"$recurve" compile amp.cell amp --weights=amp.safetensors --entries=step --one --emit=object,header,report -o . >/dev/null
"$(command -v clang-22 || command -v cc)" -std=c99 -O2 -Wall -Wextra -Werror -I. "$here/process.c" amp.o -o process
sed -n '/^object/,$p' amp_report.txt
for frames in 1 64 480 1000; do
  ./process guitar.wav "out-$frames.wav" "$frames"
  cmp out-1.wav "out-$frames.wav"
done | tee log
[ "$(sed 's/.*checksum//' log | sort -u | wc -l)" = 1 ] || { echo "results depend on the size of a block" >&2; exit 1; }
