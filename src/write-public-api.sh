#!/usr/bin/env bash
# Writes src/*/PublicAPI.Unshipped.txt anew from the code: after a merge, or many changes at once. For one, add or delete the line that the build names.
# What is listed as shipped stays; what is public and not shipped is written down. Look at the difference before you commit it.
set -euo pipefail
cd "$(dirname "$0")"
for file in ${*:-*/PublicAPI.Unshipped.txt}; do
  project=$(dirname "$file")
  echo '#nullable enable' > "$file"
  dotnet format analyzers "$project/$project.csproj" --diagnostics RS0016 --severity info 2> /dev/null
  echo "$file: $(($(wc -l < "$file") - 1)) lines"
done
