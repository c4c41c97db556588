using System.Runtime.InteropServices;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Benchmarks;

/// <summary>The files that both halves load: a model under Hugging Face's names, LoRA modules as PEFT writes them, and a batch.</summary>
internal static class QuickFiles
{
    /// <summary>The batch within a model's folder: inputs F32 [B, C, Y, X] with targets I64 [B], or inputs and targets I64 [B, T].</summary>
    public const string Batch = "batch.safetensors";

    private const string ModulesFolder = "modules";

    /// <summary>The folders of the modules that take part.</summary>
    public static IEnumerable<string> ModuleFolders(QuickModel model) =>
        Directory.GetDirectories(Path.Combine(model.Folder, ModulesFolder)).Order(StringComparer.Ordinal).Take(model.Modules);

    /// <summary>Writes a vision transformer with modules on its queries and values, and a batch of images.</summary>
    public static void Write(string folder, VitConfig config, int modules, int batch, int rank = QuickProtocol.Rank)
    {
        QuickWeights.Write(folder, config);
        using (var backend = new CpuBackend(1))
        using (var vit = Vit.Load(folder, backend)) WriteModules(folder, vit, "*.attn.(q|v)", modules, rank);
        var images = QuickProtocol.Fill(batch * config.Channels * config.ImageRows * config.ImageColumns, 3);
        for (var i = 0; i < images.Length; i++) images[i] *= 3.4641f;                           // variance 1, as pixels have that are normalised
        WriteBatch(folder, new("inputs", [batch, config.Channels, config.ImageRows, config.ImageColumns], images),
            Integers("targets", [batch], n => n % config.Labels.Count));
    }

    /// <summary>Writes a GPT-2 with a module on its fused queries, keys and values, and a batch of texts.</summary>
    public static void Write(string folder, QuickGpt2 size)
    {
        QuickWeights.Write(folder, size);
        using (var backend = new CpuBackend(1))
        using (var model = LanguageModel.Load(folder, backend)) WriteModules(folder, model, "*.attn.qkv", 1, QuickProtocol.Rank);
        // Targets are the tokens that follow: of a text of T + 1 tokens the last T.
        WriteBatch(folder, Integers("inputs", [size.Batch, size.Tokens], n => Token(n / size.Tokens, n % size.Tokens)),
            Integers("targets", [size.Batch, size.Tokens], n => Token(n / size.Tokens, n % size.Tokens + 1)));

        int Token(int row, int at) => (int)((uint)(row * 1009 + at) * 2654435761u % (uint)size.Vocabulary);
    }

    // Every B is other than 0, so a module that is left out changes the loss.
    private static void WriteModules(string folder, Model model, string pattern, int count, int rank)
    {
        for (var n = 0; n < count; n++)
        {
            using var module = Attach.Lora(model, pattern, rank, alpha: QuickProtocol.Scale * rank, seed: (ulong)n + 2, name: $"{n}");
            foreach (var (path, lora) in module.Updates)
            {
                var b = QuickProtocol.Fill(lora.B.Value.Count, (uint)Philox.StreamOf($"{n}.{path}"));
                for (var i = 0; i < b.Length; i++) b[i] *= 0.05f;
                model.Backend.Upload<float>(b, lora.B.Value);
            }
            var at = Path.Combine(folder, ModulesFolder, $"{n:00}");
            Directory.CreateDirectory(at);
            PeftFolder.Save(at, module, model);
            Attach.Detach(model, dispose: false);
        }
    }

    private static void WriteBatch(string folder, params TensorSource[] tensors) => SafetensorsWriter.Write(Path.Combine(folder, Batch), tensors);

    private static TensorSource Integers(string name, long[] shape, Func<int, int> value)
    {
        var values = new long[shape.Aggregate(1L, (product, size) => product * size)];
        for (var i = 0; i < values.Length; i++) values[i] = value(i);
        return new(name, FileDType.I64, shape, MemoryMarshal.AsBytes<long>(values).ToArray());
    }
}
