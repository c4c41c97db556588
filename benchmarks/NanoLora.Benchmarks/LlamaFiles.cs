using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using NanoLora.Models;

namespace NanoLora.Benchmarks;

/// <summary>
/// The same made-up Llama twice: as a folder of Hugging Face for NanoLora, as a GGUF file for llama.cpp. Weights are uniform, of deviation 1/√in; norms
/// are 1. llama.cpp wants the rows of q and k in another order, which changes what comes out and not how long it takes: they are left as they are.
/// </summary>
internal static class LlamaFiles
{
    private const int Alignment = 32;

    /// <summary>134 million parameters.</summary>
    public static readonly LlamaConfig Shape = new()
    {
        Vocabulary = 32000, HiddenSize = 768, Layers = 12, Heads = 12, KeyHeads = 12, HeadSize = 64, IntermediateSize = 2048, MaxPositions = 1024,
    };

    private sealed record Matrix(string Theirs, string Gguf, int Rows, int Cols)
    {
        public bool IsNorm => Rows == 0;

        public long Count => (long)Math.Max(1, Rows) * Cols;

        public int ElementBytes(DType type) => IsNorm ? sizeof(float) : type.Bytes();
    }

    /// <summary>The number of parameters.</summary>
    public static long Parameters => All().Sum(static m => m.Count);

    /// <summary>Writes config.json and model.safetensors.</summary>
    public static void WriteFolder(string folder, DType type)
    {
        Directory.CreateDirectory(folder);
        var c = Shape;
        File.WriteAllText(Path.Combine(folder, "config.json"), $$"""
            { "model_type": "llama", "vocab_size": {{c.Vocabulary}}, "hidden_size": {{c.HiddenSize}}, "num_hidden_layers": {{c.Layers}},
              "num_attention_heads": {{c.Heads}}, "num_key_value_heads": {{c.KeyHeads}}, "head_dim": {{c.HeadSize}},
              "intermediate_size": {{c.IntermediateSize}},
              "max_position_embeddings": {{c.MaxPositions}}, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": false }
            """);
        using var header = new MemoryStream();
        using (var json = new Utf8JsonWriter(header))
        {
            json.WriteStartObject();
            var at = 0L;
            foreach (var matrix in All())
            {
                json.WriteStartObject(matrix.Theirs);
                json.WriteString("dtype", matrix.IsNorm ? "F32" : type.ToString());
                json.WriteStartArray("shape");
                if (!matrix.IsNorm) json.WriteNumberValue(matrix.Rows);
                json.WriteNumberValue(matrix.Cols);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(at);
                json.WriteNumberValue(at += matrix.Count * matrix.ElementBytes(type));
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        while (header.Length % 8 != 0) header.WriteByte((byte)' ');
        using var file = File.Create(Path.Combine(folder, "model.safetensors"));
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        file.Write(length);
        file.Write(header.ToArray());
        WriteValues(file, type, alignment: 1);
    }

    /// <summary>Writes a file that llama.cpp loads: architecture llama, without a vocabulary.</summary>
    public static void WriteGguf(string path, DType type)
    {
        const int u32 = 4, f32 = 6, text = 8;
        var c = Shape;
        using var file = new FileStream(path, FileMode.Create);
        using var writer = new BinaryWriter(file, Encoding.UTF8, leaveOpen: true);
        (string Key, object Value)[] fields =
        [
            ("general.architecture", "llama"), ("general.name", "made up"), ("general.file_type", type == DType.F32 ? 0u : type == DType.F16 ? 1u : 32u),
            ("llama.vocab_size", (uint)c.Vocabulary), ("llama.context_length", (uint)c.MaxPositions), ("llama.embedding_length", (uint)c.HiddenSize),
            ("llama.block_count", (uint)c.Layers), ("llama.feed_forward_length", (uint)c.IntermediateSize), ("llama.rope.dimension_count", (uint)c.HeadSize),
            ("llama.attention.head_count", (uint)c.Heads), ("llama.attention.head_count_kv", (uint)c.KeyHeads),
            ("llama.attention.layer_norm_rms_epsilon", 1e-5f), ("tokenizer.ggml.model", "no_vocab"),
        ];
        var all = All().ToList();
        writer.Write("GGUF"u8);
        writer.Write(3u);
        writer.Write((ulong)all.Count);
        writer.Write((ulong)fields.Length);
        foreach (var (key, value) in fields)
        {
            Text(key);
            writer.Write(value switch { uint => u32, float => f32, _ => text });
            if (value is uint number) writer.Write(number);
            else if (value is float real) writer.Write(real);
            else Text((string)value);
        }
        var at = 0UL;
        foreach (var matrix in all)
        {
            Text(matrix.Gguf);
            writer.Write(matrix.IsNorm ? 1u : 2u);                                       // axes, the last one first
            writer.Write((ulong)matrix.Cols);
            if (!matrix.IsNorm) writer.Write((ulong)matrix.Rows);
            writer.Write(matrix.IsNorm || type == DType.F32 ? 0u : type == DType.F16 ? 1u : 30u);
            writer.Write(at);
            at += (ulong)matrix.Count * (ulong)matrix.ElementBytes(type);
            at += (Alignment - at % Alignment) % Alignment;
        }
        writer.Flush();
        Pad(file, Alignment);
        WriteValues(file, type, Alignment);

        void Text(string value)
        {
            var bytes = Encoding.UTF8.GetBytes(value);
            writer.Write((ulong)bytes.Length);
            writer.Write(bytes);
        }
    }

    private static IEnumerable<Matrix> All()
    {
        var c = Shape;
        yield return new("model.embed_tokens.weight", "token_embd.weight", c.Vocabulary, c.HiddenSize);
        for (var n = 0; n < c.Layers; n++)
        {
            var (theirs, gguf) = ($"model.layers.{n}.", $"blk.{n}.");
            yield return new(theirs + "input_layernorm.weight", gguf + "attn_norm.weight", 0, c.HiddenSize);
            yield return new(theirs + "self_attn.q_proj.weight", gguf + "attn_q.weight", c.HiddenSize, c.HiddenSize);
            yield return new(theirs + "self_attn.k_proj.weight", gguf + "attn_k.weight", c.HiddenSize, c.HiddenSize);
            yield return new(theirs + "self_attn.v_proj.weight", gguf + "attn_v.weight", c.HiddenSize, c.HiddenSize);
            yield return new(theirs + "self_attn.o_proj.weight", gguf + "attn_output.weight", c.HiddenSize, c.HiddenSize);
            yield return new(theirs + "post_attention_layernorm.weight", gguf + "ffn_norm.weight", 0, c.HiddenSize);
            yield return new(theirs + "mlp.gate_proj.weight", gguf + "ffn_gate.weight", c.IntermediateSize, c.HiddenSize);
            yield return new(theirs + "mlp.up_proj.weight", gguf + "ffn_up.weight", c.IntermediateSize, c.HiddenSize);
            yield return new(theirs + "mlp.down_proj.weight", gguf + "ffn_down.weight", c.HiddenSize, c.IntermediateSize);
        }
        yield return new("model.norm.weight", "output_norm.weight", 0, c.HiddenSize);
        yield return new("lm_head.weight", "output.weight", c.Vocabulary, c.HiddenSize);
    }

    private static void WriteValues(Stream file, DType type, int alignment)
    {
        var seed = 0u;
        foreach (var matrix in All())
        {
            seed++;
            if (matrix.IsNorm)
            {
                var ones = new float[matrix.Cols];
                Array.Fill(ones, 1f);
                file.Write(MemoryMarshal.AsBytes(ones.AsSpan()));
            }
            else file.Write(Bytes(QuickProtocol.Fill((int)matrix.Count, seed), MathF.Sqrt(12f / matrix.Cols), type));
            Pad(file, alignment);
        }
    }

    private static ReadOnlySpan<byte> Bytes(float[] values, float scale, DType type)
    {
        for (var i = 0; i < values.Length; i++) values[i] *= scale;
        if (type == DType.F32) return MemoryMarshal.AsBytes(values.AsSpan());
        var halves = new ushort[values.Length];
        for (var i = 0; i < values.Length; i++)
        {
            halves[i] = type == DType.F16 ? BitConverter.HalfToUInt16Bits((Half)values[i])
                : (ushort)((BitConverter.SingleToUInt32Bits(values[i]) + 0x8000) >> 16);
        }
        return MemoryMarshal.AsBytes(halves.AsSpan());
    }

    private static void Pad(Stream file, int alignment)
    {
        while (file.Position % alignment != 0) file.WriteByte(0);
    }
}
