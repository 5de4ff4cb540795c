#!/usr/bin/env bash
# frontend/examples/language/run.sh RECURVE FOLDER [EPOCHS [SEEDS]]: which of seven languages a word is of, beside naive
# Bayes. Trains a network from each seed, side by side; together they have the mean of their probabilities.
#
# The words are those of Debian's word lists; where they are not installed their packages are unpacked into FOLDER.
set -euo pipefail
recurve=$(realpath "$1") epochs=${3:-12} seeds=${4:-"1 2 3 4"}
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
mkdir -p "$2"
cd "$2"
if [ ! -e lists/usr/share/dict/swedish ]; then
  apt-get download wamerican wngerman wfrench wspanish witalian wdutch wswedish >/dev/null
  for package in *.deb; do dpkg -x "$package" lists; done
fi
python3 "$here/prepare.py" lists/usr/share/dict .
read -ra all <<<"$seeds"
threads=$(($(nproc) / ${#all[@]}))
logs=() weights= training=()
for seed in "${all[@]}"; do
  "$recurve" train "$here/language.cell" language -D E=48 -D H=256 --data=training.tsv --held-out=0.02 \
    --epochs="$epochs" --batch=64 --rate=0.002 --clip=1 --schedule=cosine --warmup=400 \
    --threads=$((threads > 0 ? threads : 1)) --seed="$seed" --save="seed$seed.safetensors" >"seed$seed.log" 2>&1 &
  training+=($!) logs+=("seed$seed.log")
  weights=$weights${weights:+,}seed$seed.safetensors
done
trap 'kill "${training[@]}" "$progress" 2>/dev/null || true' EXIT
tail --lines=+1 --follow "${logs[@]}" &
progress=$!
for process in "${training[@]}"; do wait "$process"; done
kill "$progress"
for seed in "${all[@]}"; do
  "$recurve" decode "$here/language.cell" language --weights="seed$seed.safetensors" --data=test.tsv
done
"$recurve" decode "$here/language.cell" language --weights="$weights" --data=test.tsv
"$recurve" decode "$here/language.cell" language --weights="$weights" --data=more.tsv
"$recurve" decode "$here/language.cell" language --weights="$weights" --best=3 --text=wanderlust --text=fjord \
  --text=ristorante
