#!/usr/bin/env bash
# tests/package/package_test.sh BUILD-FOLDER SOURCE-FOLDER: installs the build into a prefix of its own, builds a project
# that knows nothing but this prefix, and runs what it made; then again after its cell has changed.
set -euo pipefail
build=$1 source=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cmake --install "$build" --prefix "$folder/prefix" >"$folder/log"
cp -r "$source/tests/package/consumer" "$folder/consumer"
cd "$folder/consumer"
cmake -G Ninja -S . -B build -DCMAKE_PREFIX_PATH="$folder/prefix" \
  -DCMAKE_C_COMPILER=clang-22 -DCMAKE_CXX_COMPILER=clang++-22 >"$folder/log" || { cat "$folder/log"; exit 1; }
cmake --build build >"$folder/log" || { cat "$folder/log"; exit 1; }

expect() { # WHAT COMMAND...
  local what=$1 seen
  shift
  seen=$("$@")
  [ "$seen" = "$what" ] || { printf '%s printed\n%s\nand not\n%s\n' "$*" "$seen" "$what"; exit 1; }
}
first=$(build/smooth)
expect "loss falls" build/fit smoother.cell
expect "4 steps" build/run_object
expect "0" sh -c 'build/smooth | head -1'
if [ -e build/smooth_everywhere ]; then expect "0" sh -c 'build/smooth_everywhere | head -1'; fi

# A state that forgets: the object is made anew, and the step after the first one differs.
sed -i 's/P @ h$/2 * (P @ h)/' smoother.cell
cmake --build build >"$folder/log" || { cat "$folder/log"; exit 1; }
second=$(build/smooth)
[ "$first" != "$second" ] || { echo "the object did not change with its cell"; exit 1; }

# The runtime alone, by pkg-config.
flags=$(PKG_CONFIG_PATH="$folder/prefix/lib/pkgconfig:$folder/prefix/lib/$(uname -m)-linux-gnu/pkgconfig" \
  pkg-config --cflags --libs recurve-runtime)
clang++-22 -std=c++23 run_object.cpp build/libsmoother.a $flags -o by_pkg_config
expect "4 steps" ./by_pkg_config
echo "the installed package is of use"
