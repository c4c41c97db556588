using System.Runtime.InteropServices;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Benchmarks;

/// <summary>The files that both halves load: a model under Hugging Face's names, LoRA modules as PEFT writes them, and a batch.</summary>
internal static class QuickFiles
{
    /// <summary>The batch within a model's folder: images F32 [B, C, Y, X] and labels I64 [B].</summary>
    public const string Batch = "batch.safetensors";

    /// <summary>The folder of modules within a model's folder.</summary>
    public const string Modules = "modules";

    /// <summary>The rank of every module; its alpha is twice that, so that the scale is 2.</summary>
    public const int Rank = 8;

    /// <summary>
    /// Writes a model of random numbers with modules on its queries and values, and a batch. Every B is other than 0, so a module that is left out
    /// changes the loss.
    /// </summary>
    public static void Write(string folder, VitConfig config, int modules, int batch)
    {
        using var backend = new CpuBackend(1);
        using var vit = Vit.Create(config, backend, seed: 1);
        vit.Save(folder);
        Directory.CreateDirectory(Path.Combine(folder, Modules));
        for (var n = 0; n < modules; n++)
        {
            using var module = Attach.Lora(vit, "*.attn.(q|v)", Rank, alpha: 2 * Rank, seed: (ulong)n + 2, name: $"{n}");
            foreach (var (path, lora) in module.Updates)
            {
                var b = QuickProtocol.Fill(lora.B.Value.Count, (uint)Philox.StreamOf($"{n}.{path}"));
                for (var i = 0; i < b.Length; i++) b[i] *= 0.05f;
                backend.Upload<float>(b, lora.B.Value);
            }
            PeftFolder.Save(Path.Combine(folder, Modules, $"{n:00}"), module, vit);
            Attach.Detach(vit, dispose: false);
        }
        var images = QuickProtocol.Fill(batch * config.Channels * config.ImageRows * config.ImageColumns, 3);
        for (var i = 0; i < images.Length; i++) images[i] *= 3.4641f;                           // variance 1, as pixels have that are normalised
        var labels = new long[batch];
        for (var i = 0; i < batch; i++) labels[i] = i % config.Labels.Count;
        SafetensorsWriter.Write(Path.Combine(folder, Batch),
        [
            new("images", [batch, config.Channels, config.ImageRows, config.ImageColumns], images),
            new("labels", FileDType.I64, [batch], MemoryMarshal.AsBytes<long>(labels).ToArray()),
        ]);
    }
}
