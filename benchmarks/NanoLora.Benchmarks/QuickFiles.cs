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

    /// <summary>Writes a vision transformer of random numbers with modules on its queries and values, and a batch.</summary>
    public static void Write(string folder, VitConfig config, int modules, int batch)
    {
        using var backend = new CpuBackend(1);
        using var vit = Vit.Create(config, backend, seed: 1);
        vit.Save(folder);
        WriteModules(folder, vit, "*.attn.(q|v)", modules);
        var images = QuickProtocol.Fill(batch * config.Channels * config.ImageRows * config.ImageColumns, 3);
        for (var i = 0; i < images.Length; i++) images[i] *= 3.4641f;                           // variance 1, as pixels have that are normalised
        WriteBatch(folder, new("inputs", [batch, config.Channels, config.ImageRows, config.ImageColumns], images),
            Integers("targets", [batch], n => n % config.Labels.Count));
    }

    /// <summary>Writes a GPT-2 of random numbers, its head not tied, with a module on its fused queries, keys and values, and a batch of texts.</summary>
    public static void WriteGpt2(string folder, QuickGpt2 size)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), $$"""
            { "model_type": "gpt2", "vocab_size": {{size.Vocabulary}}, "n_embd": {{size.Width}}, "n_layer": {{size.Layers}}, "n_head": {{size.Heads}},
              "n_positions": {{size.Tokens}}, "layer_norm_epsilon": 1e-05, "activation_function": "gelu_new", "tie_word_embeddings": false }
            """);
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), [.. Gpt2Tensors(size)]);
        using (var backend = new CpuBackend(1))
        using (var model = LanguageModel.Load(folder, backend)) WriteModules(folder, model, "*.attn.qkv", 1);
        // Targets are the tokens that follow: of a text of T + 1 tokens the last T.
        WriteBatch(folder, Integers("inputs", [size.Batch, size.Tokens], n => Token(n / size.Tokens, n % size.Tokens)),
            Integers("targets", [size.Batch, size.Tokens], n => Token(n / size.Tokens, n % size.Tokens + 1)));

        int Token(int row, int at) => (int)((uint)(row * 1009 + at) * 2654435761u % (uint)size.Vocabulary);
    }

    // Weights of deviation 1/√in, embeddings of 0.02; the linears of blocks lie as [in, out], as in GPT-2's files.
    private static IEnumerable<TensorSource> Gpt2Tensors(QuickGpt2 size)
    {
        var seed = 100u;
        var d = size.Width;
        yield return Matrix("transformer.wte.weight", size.Vocabulary, d, 0.02f);
        yield return Matrix("transformer.wpe.weight", size.Tokens, d, 0.02f);
        for (var n = 0; n < size.Layers; n++)
        {
            foreach (var part in Norm($"transformer.h.{n}.ln_1").Concat(Linear($"transformer.h.{n}.attn.c_attn", d, 3 * d))
                .Concat(Linear($"transformer.h.{n}.attn.c_proj", d, d)).Concat(Norm($"transformer.h.{n}.ln_2"))
                .Concat(Linear($"transformer.h.{n}.mlp.c_fc", d, 4 * d)).Concat(Linear($"transformer.h.{n}.mlp.c_proj", 4 * d, d))) yield return part;
        }
        foreach (var part in Norm("transformer.ln_f")) yield return part;
        yield return Matrix("lm_head.weight", size.Vocabulary, d, 1 / MathF.Sqrt(d));

        IEnumerable<TensorSource> Norm(string name) => [new(name + ".weight", [d], Constant(1)), new(name + ".bias", [d], Constant(0))];

        float[] Constant(float value)
        {
            var values = new float[d];
            Array.Fill(values, value);
            return values;
        }

        IEnumerable<TensorSource> Linear(string name, int inputs, int outputs) =>
            [Matrix(name + ".weight", inputs, outputs, 1 / MathF.Sqrt(inputs)), new(name + ".bias", [outputs], Scaled(outputs, seed++, 0.02f))];

        TensorSource Matrix(string name, int rows, int cols, float deviation)
        {
            var its = seed++;
            return new(name, FileDType.F32, [rows, cols], stream => stream.Write(MemoryMarshal.AsBytes(Scaled(rows * cols, its, deviation).AsSpan())));
        }
    }

    // Every B is other than 0, so a module that is left out changes the loss.
    private static void WriteModules(string folder, Model model, string pattern, int count)
    {
        for (var n = 0; n < count; n++)
        {
            using var module = Attach.Lora(model, pattern, QuickProtocol.Rank, alpha: QuickProtocol.Scale * QuickProtocol.Rank, seed: (ulong)n + 2, name: $"{n}");
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

    // Uniform, of the given deviation.
    private static float[] Scaled(int count, uint seed, float deviation)
    {
        var (values, factor) = (QuickProtocol.Fill(count, seed), MathF.Sqrt(12) * deviation);
        for (var i = 0; i < count; i++) values[i] *= factor;
        return values;
    }
}

/// <summary>The size of the language model, and of its batch.</summary>
internal sealed record QuickGpt2(int Vocabulary, int Width, int Layers, int Heads, int Tokens, int Batch)
{
    /// <summary>The number of parameters.</summary>
    public long Parameters => 2L * Vocabulary * Width + (long)Tokens * Width + Layers * (12L * Width * Width + 13L * Width) + 2L * Width;
}
