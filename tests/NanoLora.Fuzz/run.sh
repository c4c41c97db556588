#!/usr/bin/env bash
# Fuzzes readers for a while, guided by coverage: run.sh READER[,READER...] SECONDS [FOLDER]
# READER: safetensors, pytorch, peft, arrays, pictures, tables, texts, plans or templates. Several are built once and fuzzed side by side, one a core, each for that long.
# FOLDER keeps the state of the fuzzer between runs, of several readers in a folder each; without it a temporary one is used, which stays if there is a finding.
# Exit code 0: no finding. 1: a finding, shown and kept. 3: the fuzzer is not here and could not be installed.
set -uo pipefail

missing() { echo "fuzz: NOT RUN: $1" >&2; exit 3; }

fuzz() (   # READER SECONDS FOLDER: one reader, in a process of its own
  reader=$1 seconds=$2 work=$3
  mkdir -p "$work"
  # The first inputs: the project's corpus, or what an earlier run in this folder has reached.
  input=$here/corpus/$reader
  [ -d "$work/out/default/queue" ] && input=-
  export AFL_SKIP_BIN_CHECK=1 AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 AFL_NO_UI=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_FORKSRV_INIT_TMOUT=60000 AFL_HANG_TMOUT=60000
  TMPDIR=$(mktemp -d -p "$([ -d /dev/shm ] && echo /dev/shm || echo "$work")"); export TMPDIR; trap 'rm -rf "$TMPDIR"' EXIT   # in memory where there is such a place
  export DOTNET_gcConcurrent=0 DOTNET_GCHeapHardLimit=0x20000000   # 512 MiB: more is a finding
  # 60 s of the clock are a hang for good, even on a busy machine; the target itself looks for more than 2 s of work.
  afl-fuzz -i "$input" -o "$work/out" -t 60000 -m none -G 8192 -x "$here/dictionaries/$reader.dict" -V "$seconds" \
    -- dotnet "$instrumented/NanoLora.Fuzz.dll" fuzz "$reader" > "$work/afl.log" 2>&1
  code=$?
  unset DOTNET_GCHeapHardLimit
  stats=$work/out/default/fuzzer_stats
  [ -s "$stats" ] || { tail -20 "$work/afl.log" >&2; missing "afl-fuzz stopped with code $code."; }
  value() { awk -F' *: *' -v k="$1" '$1 == k { print $2 }' "$stats"; }
  echo "fuzz $reader: $(value execs_done) executions in $(value run_time) s ($(value execs_per_sec)/s), $(value edges_found) edges, $(value corpus_count) inputs," \
    "$(value saved_crashes) crashes, $(value saved_hangs) hangs"
  [ "$(value execs_done)" -gt 100 ] || { tail -20 "$work/afl.log" >&2; missing "only $(value execs_done) executions."; }

  findings=$(find "$work/out/default/crashes" "$work/out/default/hangs" -type f -name 'id*' 2> /dev/null)
  [ -z "$findings" ] && exit 0
  # Each again without the fuzzer, which shows what went wrong.
  mapfile -t files <<< "$findings"
  dotnet "$plain/NanoLora.Fuzz.dll" replay "$reader" "${files[@]}" && { echo "fuzz $reader: none of them repeats"; exit 0; }
  echo "fuzz $reader: FINDINGS in $work/out/default" >&2
  exit 1
)

main() {   # whole before it starts: the file may change while it runs for hours
  here=$(cd "$(dirname "$0")" && pwd)
  [ $# -ge 2 ] || { sed -n '2,5p' "$0" >&2; exit 2; }
  IFS=, read -ra readers <<< "$1"
  seconds=$2
  for reader in "${readers[@]}"; do
    [ -d "$here/corpus/$reader" ] || { echo "fuzz: there is no reader \"$reader\"; known are $(ls "$here/corpus" | paste -sd ' ')" >&2; exit 2; }
  done
  export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

  if ! command -v afl-fuzz > /dev/null; then
    [ "$(id -u)" -eq 0 ] && command -v apt-get > /dev/null || missing "afl-fuzz is not installed; install the package afl++."
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends afl++; } > /dev/null 2>&1 || missing "the package afl++ could not be installed."
  fi
  tools=${XDG_CACHE_HOME:-$HOME/.cache}/nanolora-fuzz/sharpfuzz-2.3.0
  if [ ! -x "$tools/sharpfuzz" ]; then
    dotnet tool install SharpFuzz.CommandLine --version 2.3.0 --tool-path "$tools" > /dev/null 2>&1 || missing "the tool SharpFuzz.CommandLine could not be installed."
  fi

  if [ $# -ge 3 ]; then work=$3; mkdir -p "$work"; else work=$(mktemp -d); fi
  work=$(cd "$work" && pwd)
  dotnet build -c Release "$here" -v quiet -p:RunAnalyzers=false > "$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 1; }
  plain=$here/bin/Release/net10.0 instrumented=$work/bin
  rm -rf "$instrumented"; cp -r "$plain" "$instrumented"
  for library in NanoLora.Nn NanoLora.Data NanoLora.Experiments; do
    "$tools/sharpfuzz" "$instrumented/$library.dll" || exit 1
  done

  result=0
  if [ ${#readers[@]} -eq 1 ]; then
    fuzz "$1" "$seconds" "$work"; result=$?
  else
    cores=$(getconf _NPROCESSORS_ONLN)
    for reader in "${readers[@]}"; do
      while [ "$(jobs -rp | wc -l)" -ge "$cores" ]; do wait -n; done
      { fuzz "$reader" "$seconds" "$work/$reader"; echo $? > "$work/$reader.code"; } > "$work/$reader.log" 2>&1 &
    done
    wait
    for reader in "${readers[@]}"; do
      cat "$work/$reader.log"
      code=$(cat "$work/$reader.code")
      if [ "$code" -ne 0 ] && [ "$result" -ne 1 ]; then result=$code; fi                # a finding counts more than what was not tried
    done
  fi
  if [ $# -lt 3 ] && [ "$result" -eq 0 ]; then rm -rf "$work"; fi
  exit "$result"
}

main "$@"
