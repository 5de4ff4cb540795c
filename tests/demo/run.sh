#!/usr/bin/env bash
# The main job, from equations to exported kernels: tests/demo/run.sh BUILD-FOLDER OUTPUT-FOLDER
#
# Forecasts the yearly sunspot numbers beside two baselines, lets a character model learn a text that every Debian has,
# exports both, and runs the exported objects from C programs whose outputs must be those of the programs in memory.
set -euo pipefail

recurve=$(realpath "$1")/recurve
mkdir -p "$2"
out=$(realpath "$2")
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
examples=$(realpath "$here/../../frontend/examples")
c_compiler=$(command -v clang-22 || command -v cc)
text=/usr/share/common-licenses/GPL-3

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# The C program of a model against its exported object.
build_c() {
  "$recurve" compile "$@" -o "$out"
  "$c_compiler" -std=c11 -O2 -Wall -Wextra -I"$out" -I"$here" "$here/$2.c" "$out/$2.o" -o "$out/$2"
}

# The last fifth, 1948-2008, takes no part in training. The epoch that is kept, and the settings below, were chosen by the
# loss on the last fifth of the years before.
say "sunspots: an LSTM of 32 units learns 1700-1947, and is asked about 1948-2008"
sunspots=$examples/sunspots units=32 length=20
rows=$(grep -c '^[0-9]' "$sunspots/sunspots.csv")
first=$((rows - rows / 5))
awk -v most="$first" '!/^[0-9]/ || ++count <= most' "$sunspots/sunspots.csv" >"$out/sunspots-before.csv"
"$recurve" train "$sunspots/sunspots.cell" sunspots -D H=$units --data="$out/sunspots-before.csv" --held-out=0.2 \
  --length=$length --batch=16 --epochs=60 --rate=0.01 --clip=1 --seed=1 --save="$out/sunspots.safetensors" 2>"$out/sunspots.log" ||
  { cat "$out/sunspots.log"; die "training failed"; }
tail -n 3 "$out/sunspots.log"
"$recurve" forecast "$sunspots/sunspots.cell" sunspots --weights="$out/sunspots.safetensors" \
  --data="$sunspots/sunspots.csv" --steps=22 --output="$out/sunspots-forecast.csv" --svg="$out/sunspots.svg" |
  tee "$out/sunspots-scores.txt"
awk '$1 == "model" { model = $2 } $1 == "persistence" { persistence = $2 } $1 ~ /^AR/ { linear = $2 }
  END {
    printf "the model %s persistence and %s the linear model\n", model < persistence ? "beats" : "does not beat",
      model < linear ? "beats" : "does not beat"
    exit !(model < persistence)
  }' "$out/sunspots-scores.txt" || die "the model should beat persistence"

say "characters: an LSTM of 256 units learns $text"
characters=$examples/characters
"$recurve" train "$characters/characters.cell" characters -D E=64 -D H=256 --data="$text" --held-out=0.1 \
  --length=32 --batch=4 --epochs=16 --rate=0.002 --clip=1 --seed=1 --save="$out/characters.safetensors" \
  2>"$out/characters.log" || { cat "$out/characters.log"; die "training failed"; }
# The weights that are kept are those of the last epoch marked as best. What is held out is the licence's appendix, a
# text of another kind; epoch and settings were chosen by its loss, so that it flatters a little.
grep 'best$' "$out/characters.log" | tail -n 1
awk '/best$/ { for (i = 1; i < NF; ++i) if ($i == "out") loss = $(i + 1) } END { exit !(loss > 0 && loss < 2.6) }' \
  "$out/characters.log" || die "the loss should fall below 2.6 bits a character"
"$recurve" sample "$characters/characters.cell" characters --weights="$out/characters.safetensors" \
  --prompt='The ' --length=300 --temperature=0.6 --seed=1 | tee "$out/characters-sample.txt"

say "both as objects, run from C"
build_c "$sunspots/sunspots.cell" sunspots -D H=$units
"$out/sunspots" "$out/sunspots.safetensors" "$sunspots/sunspots.csv" "$first" $length >"$out/sunspots-from-c.txt"
# Column 3 of the forecast is the model's; rows without an observation look beyond the data.
awk -F, 'FNR == NR { from_c[NR] = $1; count = NR; next }
  FNR > 1 && $2 != "" { difference = $3 - from_c[++row]; if (difference < 0) difference = -difference
    if (difference > largest) largest = difference }
  END { printf "sunspots: %d forecasts, largest difference %g\n", row, largest; exit !(row == count && row > 0 && largest < 1e-3) }' \
  "$out/sunspots-from-c.txt" "$out/sunspots-forecast.csv" || die "the exported object forecasts something else"

symbols=$(grep -ao '"extents":"[^"]*"' "$out/characters.safetensors" | grep -o 'V=[0-9]*')
build_c "$characters/characters.cell" characters -D E=64 -D H=256 -D "$symbols"
"$out/characters" "$out/characters.safetensors" "$text" 'The ' 200 >"$out/characters-from-c.txt"
"$recurve" sample "$characters/characters.cell" characters --weights="$out/characters.safetensors" \
  --prompt='The ' --length=200 --temperature=0 >"$out/characters-greedy.txt"
cmp "$out/characters-from-c.txt" "$out/characters-greedy.txt" || die "the exported object writes something else"
printf 'characters: 200 characters, the same: %.60s...\n' "$(tr '\n' ' ' <"$out/characters-from-c.txt")"

say "done; see $out (sunspots.svg is the picture)"
