#!/usr/bin/env bash
# frontend/examples/sunspots/run.sh RECURVE FOLDER [SEEDS]: sunspots up to eleven years ahead, by trainings that differ in
# their seeds alone.
#
# The last fifth of the years takes no part in training; which epoch is kept is decided by the last fifth of those before.
set -euo pipefail
recurve=$(realpath "$1") seeds=${3:-8}
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
mkdir -p "$2"
cd "$2"
rows=$(grep -c '^[0-9]' "$here/sunspots.csv")
awk -v most="$((rows - rows / 5))" '!/^[0-9]/ || ++count <= most' "$here/sunspots.csv" >before.csv
weights=
for seed in $(seq "$seeds"); do
  "$recurve" train "$here/sunspots.cell" sunspots -D H=32 --data=before.csv --held-out=0.2 --length=20 --batch=16 \
    --epochs=60 --rate=0.01 --clip=1 --seed="$seed" --save="$seed.safetensors"
  weights=$weights${weights:+,}$seed.safetensors
done
"$recurve" forecast "$here/sunspots.cell" sunspots --weights="$weights" --data="$here/sunspots.csv" --ahead=11 --steps=22 \
  --output=forecast.csv --svg=forecast.svg
