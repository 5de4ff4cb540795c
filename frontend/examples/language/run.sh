#!/usr/bin/env bash
# frontend/examples/language/run.sh RECURVE FOLDER [EPOCHS]: which of seven languages a word is of, beside naive Bayes.
#
# The words are those of Debian's word lists; where they are not installed their packages are unpacked into FOLDER.
set -euo pipefail
recurve=$(realpath "$1") epochs=${3:-5}
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
mkdir -p "$2"
cd "$2"
if [ ! -e lists/usr/share/dict/swedish ]; then
  apt-get download wamerican wngerman wfrench wspanish witalian wdutch wswedish >/dev/null
  for package in *.deb; do dpkg -x "$package" lists; done
fi
python3 "$here/prepare.py" lists/usr/share/dict .
"$recurve" train "$here/language.cell" language -D E=32 -D H=256 --data=training.tsv --held-out=0.05 --epochs="$epochs" \
  --batch=64 --rate=0.002 --clip=1 --schedule=cosine --warmup=400 --threads="$(nproc)" --seed=1 --save=language.safetensors
"$recurve" decode "$here/language.cell" language --weights=language.safetensors --data=test.tsv
"$recurve" decode "$here/language.cell" language --weights=language.safetensors --best=3 --text=wanderlust --text=fjord \
  --text=ristorante
