#!/usr/bin/env bash
# Assembles every GPU kernel for two generations of NVIDIA's GPUs, and holds what they use: run.sh NANOLORA [--update]
# NANOLORA: the tool, which writes the kernels. --update writes resources.tsv anew instead of comparing with it.
# ptxas is taken from the path, or from Debian's package nvidia-cuda-toolkit (non-free), which is downloaded and unpacked, not installed.
# Exit code 0: all assemble and none uses more than it is allowed. 1: one does not, or does. 3: ptxas could not be had, so nothing was tried.
set -uo pipefail

missing() { echo "ptxas: NOT RUN: $1" >&2; exit 3; }

here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n '2,5p' "$0" >&2; exit 2; }
tool=$1 update=${2-}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nanolora-ptxas
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

# A list of sources of its own, so that the machine's stays as it is.
fetch() {
  command -v apt-get > /dev/null && command -v dpkg > /dev/null || missing "there is neither ptxas nor apt-get."
  local mirror release
  read -r mirror release < <(apt-get indextargets --format '$(LABEL) $(REPO_URI) $(RELEASE)' 2> /dev/null | awk '$1 == "Debian" && $3 !~ /-/ && !n++ { print $2, $3 }')
  [ -n "${mirror-}" ] || missing "this system's sources name no mirror of Debian."
  mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/apt/empty"
  local key=/usr/share/keyrings/debian-archive-keyring.gpg
  echo "deb [signed-by=$key] $mirror $release non-free" > "$work/apt/sources.list"
  local options=(-o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts="$work/apt/empty" -o Dir::State::Lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=root -o Acquire::Retries=3)
  (cd "$work" && apt-get "${options[@]}" update -qq && apt-get "${options[@]}" download -qq nvidia-cuda-toolkit) > "$work/apt.log" 2>&1 ||
    { tail -5 "$work/apt.log" >&2; missing "the package nvidia-cuda-toolkit could not be downloaded."; }
  mkdir -p "$cache"
  dpkg -x "$work"/nvidia-cuda-toolkit_*.deb "$work/unpacked" || missing "the package could not be unpacked."
  find "$work/unpacked" -type f -name ptxas -exec cp {} "$cache/ptxas" \; -quit
  [ -x "$cache/ptxas" ] || missing "the package has no ptxas."
}

ptxas=$(command -v ptxas || true)
if [ -z "$ptxas" ]; then
  [ -x "$cache/ptxas" ] || fetch
  ptxas=$cache/ptxas
fi
"$ptxas" --version | tail -1

"$tool" doctor --kernels "$work/kernels" || exit 1
failed=0
for architecture in sm_80 sm_90; do
  for file in "$work"/kernels/*.ptx; do
    name=$(basename "$file" .ptx)
    # Names of entries are long; what is wanted are the last registers and spills of each file.
    if ! "$ptxas" -v -arch=$architecture -o "$work/out.cubin" "$file" > "$work/log" 2>&1; then
      echo "$name does not assemble for $architecture:" >&2; tail -5 "$work/log" >&2; failed=1; continue
    fi
    awk -v name="$name" -v architecture="$architecture" '
      /bytes stack frame/ { stack = $1; spills = $5 + $9 }
      /Used [0-9]+ registers/ {
        for (i = 1; i < NF; i++) if ($(i + 1) == "bytes" && $(i + 2) ~ /^smem/) shared = $i
        sub(/.*Used /, ""); registers = $1
      }
      END { printf "%s\t%s\t%d\t%d\t%d\t%d\n", name, architecture, registers, spills, stack, shared }' "$work/log" >> "$work/resources.tsv"
  done
done
[ "$failed" -eq 0 ] || exit 1

header=$'kernel\tarchitecture\tregisters\tspilled bytes\tlocal bytes\tshared bytes'
sort "$work/resources.tsv" > "$work/sorted.tsv"
if [ "$update" = --update ]; then
  { echo "$header"; cat "$work/sorted.tsv"; } > "$here/resources.tsv"
fi
# Held: no spills and no local memory in products and attention, none more elsewhere, and at most 8 registers more than were measured: compilers differ.
awk -F '\t' '
  NR == FNR { if (FNR > 1) { registers[$1, $2] = $3; spills[$1, $2] = $4; stack[$1, $2] = $5 } next }
  {
    key = $1 SUBSEP $2
    if ($1 ~ /Tile|Skinny|Naive|Attention/ && $4 + $5 > 0) { print $1 " spills " $4 " bytes and has " $5 " of local memory on " $2; bad = 1 }
    if (!(key in registers)) { print $1 " on " $2 " is not in resources.tsv: run with --update"; bad = 1; next }
    if ($3 > registers[key] + 8) { print $1 " uses " $3 " registers on " $2 ", " registers[key] " were measured"; bad = 1 }
    if ($4 > spills[key]) { print $1 " spills " $4 " bytes on " $2 ", " spills[key] " were measured"; bad = 1 }
    if ($5 > stack[key]) { print $1 " has " $5 " bytes of local memory on " $2 ", " stack[key] " were measured"; bad = 1 }
  }
  END { exit bad }' "$here/resources.tsv" "$work/sorted.tsv" >&2 || exit 1
echo "$(wc -l < "$work/sorted.tsv") kernels assembled; the most registers: $(sort -t$'\t' -k3,3nr "$work/sorted.tsv" | head -1 | cut -f1-3 | tr '\t' ' ')"
