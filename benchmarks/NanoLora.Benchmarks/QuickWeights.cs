using System.Runtime.InteropServices;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Benchmarks;

/// <summary>
/// Models of made-up weights under Hugging Face's names, written without being built: matrices are uniform and of deviation 1/√in, embeddings of 0.02,
/// norms 1 and 0.
/// </summary>
internal sealed class QuickWeights
{
    private const float Small = 0.02f;

    private readonly List<TensorSource> _tensors = [];
    private uint _seed = 100;

    /// <summary>Writes config.json and model.safetensors of a vision transformer.</summary>
    public static void Write(string folder, VitConfig c)
    {
        var labels = string.Join(", ", c.Labels.Select((label, n) => $"\"{n}\": \"{label}\""));
        var w = new QuickWeights();
        int d = c.HiddenSize, p = c.PatchSize, patches = c.ImageRows / p * (c.ImageColumns / p);
        w.Uniform("vit.embeddings.cls_token", [1, 1, d], Small);
        w.Uniform("vit.embeddings.position_embeddings", [1, patches + 1, d], Small);
        w.Uniform("vit.embeddings.patch_embeddings.projection.weight", [d, c.Channels, p, p], 1 / MathF.Sqrt(c.Channels * p * p));
        w.Uniform("vit.embeddings.patch_embeddings.projection.bias", [d], Small);
        for (var n = 0; n < c.Layers; n++)
        {
            var at = $"vit.encoder.layer.{n}.";
            w.Norm(at + "layernorm_before", d);
            foreach (var part in (ReadOnlySpan<string>)["attention.query", "attention.key", "attention.value", "output.dense"])
                w.Linear($"{at}attention.{part}", d, d);
            w.Norm(at + "layernorm_after", d);
            w.Linear(at + "intermediate.dense", d, c.IntermediateSize);
            w.Linear(at + "output.dense", c.IntermediateSize, d);
        }
        w.Norm("vit.layernorm", d);
        w.Linear("classifier", d, c.Labels.Count);
        w.Write(folder, $$"""
            { "model_type": "nano_vit", "image_size": {{c.ImageRows}}, "patch_size": {{p}}, "num_channels": {{c.Channels}}, "hidden_size": {{d}},
              "num_hidden_layers": {{c.Layers}}, "num_attention_heads": {{c.Heads}}, "intermediate_size": {{c.IntermediateSize}}, "hidden_act": "gelu",
              "layer_norm_eps": 1e-06, "pooling": "{{(c.Pooling == Pooling.Cls ? "cls" : "mean")}}", "id2label": { {{labels}} } }
            """);
    }

    /// <summary>Writes config.json and model.safetensors of a GPT-2 whose head is not tied.</summary>
    public static void Write(string folder, QuickGpt2 c)
    {
        var (w, d) = (new QuickWeights(), c.Width);
        w.Uniform("transformer.wte.weight", [c.Vocabulary, d], Small);
        w.Uniform("transformer.wpe.weight", [c.Tokens, d], Small);
        for (var n = 0; n < c.Layers; n++)
        {
            var at = $"transformer.h.{n}.";
            w.Norm(at + "ln_1", d);
            w.Linear(at + "attn.c_attn", d, 3 * d, turned: true);
            w.Linear(at + "attn.c_proj", d, d, turned: true);
            w.Norm(at + "ln_2", d);
            w.Linear(at + "mlp.c_fc", d, 4 * d, turned: true);
            w.Linear(at + "mlp.c_proj", 4 * d, d, turned: true);
        }
        w.Norm("transformer.ln_f", d);
        w.Uniform("lm_head.weight", [c.Vocabulary, d], 1 / MathF.Sqrt(d));
        w.Write(folder, $$"""
            { "model_type": "gpt2", "vocab_size": {{c.Vocabulary}}, "n_embd": {{d}}, "n_layer": {{c.Layers}}, "n_head": {{c.Heads}},
              "n_positions": {{c.Tokens}}, "layer_norm_epsilon": 1e-05, "activation_function": "gelu_new", "tie_word_embeddings": false }
            """);
    }

    private void Write(string folder, string config)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), config);
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), _tensors);
    }

    // [out, in], or turned as in GPT-2's files.
    private void Linear(string name, int inputs, int outputs, bool turned = false)
    {
        Uniform(name + ".weight", turned ? [inputs, outputs] : [outputs, inputs], 1 / MathF.Sqrt(inputs));
        Uniform(name + ".bias", [outputs], Small);
    }

    private void Norm(string name, int width)
    {
        var ones = new float[width];
        Array.Fill(ones, 1);
        _tensors.Add(new(name + ".weight", [width], ones));
        _tensors.Add(new(name + ".bias", [width], new float[width]));
    }

    private void Uniform(string name, long[] shape, float deviation)
    {
        var (seed, factor) = (_seed++, MathF.Sqrt(12) * deviation);
        _tensors.Add(new(name, FileDType.F32, shape, stream =>
        {
            var values = QuickProtocol.Fill((int)shape.Aggregate(1L, (product, size) => product * size), seed);
            for (var i = 0; i < values.Length; i++) values[i] *= factor;
            stream.Write(MemoryMarshal.AsBytes(values.AsSpan()));
        }));
    }
}

/// <summary>The size of the language model, and of its batch.</summary>
internal sealed record QuickGpt2(int Vocabulary, int Width, int Layers, int Heads, int Tokens, int Batch)
{
    /// <summary>The number of parameters.</summary>
    public long Parameters => 2L * Vocabulary * Width + (long)Tokens * Width + Layers * (12L * Width * Width + 13L * Width) + 2L * Width;
}
