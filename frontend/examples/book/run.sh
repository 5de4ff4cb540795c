#!/usr/bin/env bash
# frontend/examples/book/run.sh RECURVE FOLDER [EPOCHS]: a character model of a book beside `xz -9`, both on the book's
# last twentieth, which the model has not seen and xz has not compressed before.
#
# The book is the King James Bible of Debian's package bible-kjv, 4.4 million characters.
set -euo pipefail
recurve=$(realpath "$1") epochs=${3:-2}
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
command -v bible >/dev/null || { echo "the book is in Debian's package bible-kjv: apt-get install bible-kjv" >&2; exit 2; }
mkdir -p "$2"
cd "$2"
echo "Gen1:1-Rev22:21" | bible -f >book.txt
"$recurve" train "$here/book.cell" book -D H=512 --data=book.txt --held-out=0.05 --epochs="$epochs" --batch=32 --length=100 \
  --rate=0.002 --clip=1 --schedule=cosine --warmup=200 --threads="$(nproc)" --seed=1 --save=book.safetensors
bytes=$(wc -c <book.txt)
before=$((bytes - bytes / 20))
whole=$(xz -9 --stdout book.txt | wc -c)
first=$(head -c "$before" book.txt | xz -9 --stdout | wc -c)
awk -v whole="$whole" -v first="$first" -v tail="$((bytes - before))" -v bytes="$bytes" 'BEGIN {
  printf "xz -9: %.3f bits a character on the last twentieth, %.3f on all\n", 8 * (whole - first) / tail, 8 * whole / bytes }'
"$recurve" sample "$here/book.cell" book --weights=book.safetensors --prompt="Ge1:1 In the beginning" --length=300
