#!/usr/bin/env bash
# Packs the libraries, builds programs with nothing but the packages, compiles them ahead of time, and compares with the JIT.
#
#     tests/NanoLora.Aot/run.sh [--install]
#
# Exit 0: all holds; 1: something does not; 3: it could not be tried, for want of a C compiler to link with. --install gets one by apt-get, as root.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd) root=$(cd "$(dirname "$0")/../.." && pwd)
limit=$((10 * 1000 * 1000))                                 # bytes of the program

fail() { echo "FAILED: $*" >&2; exit 1; }

# A linker: clang is NativeAOT's own choice, gcc does as well.
if [ "${1:-}" = --install ] && ! command -v clang > /dev/null && ! command -v gcc > /dev/null && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  echo "neither clang nor gcc is here; installing gcc"
  apt-get -o Acquire::Retries=3 update -qq && DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 install -qq -y --no-install-recommends gcc libc6-dev zlib1g-dev > /dev/null || true
fi
linker=()
if ! command -v clang > /dev/null; then
  if ! command -v gcc > /dev/null; then
    echo "NOT TRIED: NativeAOT links with clang or gcc, and neither is here. Install one (Debian, Ubuntu: apt-get install gcc libc6-dev zlib1g-dev) and run this again." >&2
    exit 3
  fi
  linker=(-p:CppCompilerAndLinker=gcc)
fi

# A place outside the repository, where nothing of it is inherited. The version is new each time and so is the packages folder: no earlier package is taken for this one.
# What comes from elsewhere, such as the compiler, is still found in the user's cache.
work=$(mktemp -d "${TMPDIR:-/tmp}/nanolora-aot.XXXXXX")
trap 'rm -rf "$work"' EXIT
version=0.0.0-aot.$(date +%s).$$
cache=${NUGET_PACKAGES:-$HOME/.nuget/packages}
if [ -d "$cache" ]; then export NUGET_FALLBACK_PACKAGES=$cache; fi

echo "--- pack $version"
# Analyzers see the sources in the solution's build.
dotnet pack -c Release "$here/libraries.slnf" -o "$work/feed" -p:Version="$version" -p:RunAnalyzers=false --artifacts-path "$work/pack" -v q --nologo || fail "pack"
for project in NanoLora NanoLora.Gpu NanoLora.Nn NanoLora.Models NanoLora.Data; do
  for kind in nupkg snupkg; do [ -s "$work/feed/$project.$version.$kind" ] || fail "$project.$version.$kind is not there"; done
done

export NUGET_PACKAGES=$work/packages
program() {                                                 # NAME SOURCE: a project of its own
  mkdir -p "$work/$1"
  cp "$here/NanoLora.Aot.csproj" "$work/$1/$1.csproj"
  cp "$2" "$work/$1/Program.cs"
  echo '<configuration><packageSources><add key="packed" value="../feed" /></packageSources></configuration>' > "$work/$1/nuget.config"
}
publish() {                                                 # NAME KIND OPTION...: into $work/NAME-KIND
  local name=$1 kind=$2; shift 2
  dotnet publish -c Release "$work/$name" -o "$work/$name-$kind" --artifacts-path "$work/build/$name-$kind" -p:NanoLoraVersion="$version" -v q --nologo "$@" || fail "publish of $name, $kind"
}

echo "--- publish"
program Check "$here/Program.cs"
awk '/^```/ { inside = /^```csharp/; next } inside' "$root/src/PACKAGE.md" > "$work/Readme.cs"
program Readme "$work/Readme.cs"                            # the code of the packages' page
publish Check aot ${linker[@]+"${linker[@]}"} & check=$!
publish Readme aot ${linker[@]+"${linker[@]}"} & page=$!
publish Check jit -p:PublishAot=false
wait "$check" && wait "$page" || exit 1                     # which have said why

ln -s "$root/models" "$work/models"
run() { (cd "$work" && "./$1/${1%-*}"); }
for kind in jit aot; do
  echo "--- run, $kind"
  run "Check-$kind" | tee "$work/$kind.txt" || fail "the program, $kind"
done
echo "--- run, the page's code"
run Readme-aot || fail "the code of src/PACKAGE.md"

echo "--- compare"
jit=$(grep '^correct' "$work/jit.txt") aot=$(grep '^correct' "$work/aot.txt")
[ "$jit" = "$aot" ] || fail "the JIT's program says \"$jit\", the other \"$aot\""
case $(uname -m) in x86_64) grep -q 'AVX2 and FMA' "$work/aot.txt" || fail "the package's default is x86-64-v3, but the program runs $(head -1 "$work/aot.txt")" ;; esac
size=$(stat -c %s "$work/Check-aot/Check" 2> /dev/null || stat -f %z "$work/Check-aot/Check")
[ "$size" -lt "$limit" ] || fail "the program has $size bytes; $limit are the limit"
echo "ok: $aot both ways; $size bytes; no trimming or AOT warning"
