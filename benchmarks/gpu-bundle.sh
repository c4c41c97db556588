#!/usr/bin/env bash
# Makes a folder that runs on a Linux machine with nothing but a GPU's driver: gpu-bundle.sh [FOLDER]
# In it: nanolora-gpu (one file, the runtime in it), the bundled models, some reference vectors, and torch_bench.py for the comparison.
#   ./nanolora-gpu check    op table, reference models, 50 steps of training against the processor
#   ./nanolora-gpu bench    products, memory, attention, training steps; beside PyTorch where python3 has it
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-nanolora-gpu-bundle}
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
rm -rf "$folder"; mkdir -p "$folder/models/nano-vit" "$folder/golden"
dotnet publish "$here/NanoLora.GpuBundle" -c Release -r linux-x64 -v quiet -o "$folder"
rm -f "$folder"/*.pdb "$folder"/*.xml
cp "$here/NanoLora.GpuBundle/torch_bench.py" "$folder/"
cp -r "$here/../models/nano-vit/." "$folder/models/nano-vit/"
cp -r "$here/../models/tasks" "$folder/models/tasks"
for vectors in ops training models/vit models/timm_vit models/dinov2 models/llama models/gpt2 models/t5; do
  mkdir -p "$folder/golden/$(dirname "$vectors")"; cp -r "$here/../tests/NanoLora.Tests/Golden/$vectors" "$folder/golden/$vectors"
done
size=$(du -sb "$folder" | cut -f1)
echo "$folder: $((size / 1000000)) MB"
[ "$size" -lt 45000000 ] || { echo "gpu-bundle: more than 45 MB" >&2; exit 1; }
