using System.Text;
using System.Text.Json;
using NanoLora.Data;

namespace NanoLora.Tests.Data.Text;

/// <summary>
/// Vocabularies in GGUF files: the golden tokenizers, written as such, must cut the golden strings as before. llama.cpp's own vectors are tried where they
/// lie beside the project.
/// </summary>
public sealed class GgufVocabularyTests
{
    private const int Bool = 7, U32 = 4, I32 = 5, F32 = 6, Text = 8, Array = 9;

    private static string Folder(string name) => Path.Combine(AppContext.BaseDirectory, "Golden", "tokenizers", name);

    [Fact]
    public void Byte_level()
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder("starcoder"), "tokenizer.json")));
        var model = json.RootElement.GetProperty("model");
        string[] tokens = [.. model.GetProperty("vocab").EnumerateObject().OrderBy(static p => p.Value.GetInt32()).Select(static p => p.Name)];
        string[] merges = [.. model.GetProperty("merges").EnumerateArray().Select(static m => $"{m[0].GetString()} {m[1].GetString()}")];
        var gguf = Gguf(
            ("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.pre", "starcoder"), ("tokenizer.ggml.tokens", tokens), ("tokenizer.ggml.merges", merges),
            ("tokenizer.ggml.token_type", tokens.Select(static (_, id) => id < 2 ? 3 : 1).ToArray()), ("tokenizer.ggml.bos_token_id", 0u));
        Compare(gguf, Path.Combine(Folder("starcoder"), "cases.jsonl"), 190, tokens[..2]);
        Assert.Equal(0, Read([.. Gguf(
            ("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.pre", "gpt-2"), ("tokenizer.ggml.tokens", tokens), ("tokenizer.ggml.merges", merges),
            ("tokenizer.ggml.bos_token_id", 0u), ("tokenizer.ggml.add_bos_token", true))]).Encode("a").Ids[0]);
    }

    [Fact]
    public void SentencePiece()
    {
        var pieces = SentencePieceFile.Read(Path.Combine(Folder("llama2"), "tokenizer.model")).Pieces;
        var gguf = Gguf(
            ("tokenizer.ggml.model", "llama"), ("tokenizer.ggml.tokens", pieces.Select(static p => p.Text).ToArray()),
            ("tokenizer.ggml.scores", pieces.Select(static p =>
                p.Score).ToArray()), ("tokenizer.ggml.token_type", pieces.Select(static p => (int)p.Kind).ToArray()),
            ("tokenizer.ggml.bos_token_id", 1u), ("tokenizer.ggml.unknown_token_id", 0u));
        Compare(gguf, Path.Combine(Folder("sentencepiece"), "llama2-small.jsonl"), 270, []);
        var tokenizer = Read(gguf);
        Assert.Equal(1, tokenizer.Encode("Hello").Ids[0]);
        Assert.Equal("Hello wörld", tokenizer.Decode(tokenizer.Encode("Hello wörld").Ids));
    }

    [Fact]
    public void Bert()
    {
        string[] tokens = [.. File.ReadLines(Path.Combine(Folder("bert-uncased"), "vocab.txt")).Select(static t =>
            t is ['[', .., ']'] ? t : t.StartsWith("##", StringComparison.Ordinal) ? t[2..] : "▁" + t)];
        var gguf = Gguf(
            ("tokenizer.ggml.model", "bert"), ("tokenizer.ggml.tokens", tokens), ("tokenizer.ggml.unknown_token_id", 1u), ("tokenizer.ggml.cls_token_id", 2u),
            ("tokenizer.ggml.seperator_token_id", 3u));
        Compare(gguf, Path.Combine(Folder("bert-uncased"), "cases.jsonl"), 460, tokens[..5]);
        Assert.Equal([2, 3], Read(gguf).Encode("").Ids);
    }

    [Theory]
    [InlineData("tokenizer.ggml.model", "rwkv"), InlineData("tokenizer.ggml.pre", "viking")]
    public void What_is_not_supported_is_refused_by_name(string field, string value)
    {
        (string, object)[] fields = [("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.pre", "gpt-2"), ("tokenizer.ggml.tokens", new[] { "a" }),
            ("tokenizer.ggml.merges", System.Array.Empty<string>())];
        var message = Assert.Throws<InvalidDataException>(() => Read(Gguf([.. fields.Select(f => f.Item1 == field ? (field, value) : f)]))).Message;
        Assert.StartsWith($"t.gguf: {field}", message);
        Assert.Contains(value, message);
    }

    [Fact]
    public void A_damaged_file_is_read_or_refused_by_name()
    {
        var whole = Gguf(("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.pre", "gpt-2"), ("tokenizer.ggml.tokens", new[] { "a", "b", "ab" }),
            ("tokenizer.ggml.merges", new[] { "a b" }));
        for (var length = 0; length < whole.Length; length++) Assert.StartsWith("t.gguf: ", Assert.Throws<InvalidDataException>(() =>
            Read(whole[..length])).Message);
        var random = new Philox(3, 4);
        ulong draw = 0;
        for (var round = 0; round < 3000; round++)
        {
            byte[] damaged = [.. whole];
            for (var i = 0; i <= round % 3; i++) damaged[random.Below(draw++, damaged.Length)] = (byte)random.Bits(draw++);
            try { Read(damaged).Encode("ab"); }
            catch (InvalidDataException e) { Assert.StartsWith("t.gguf: ", e.Message); }
        }
    }

    [LlamaVectorsTheory]
    [InlineData("bert-bge"), InlineData("gpt-2"), InlineData("llama-spm"), InlineData("phi-3")]
    public void Agrees_with_llama_cpp(string name)
    {
        var path = Path.Combine(LlamaVectorsTheoryAttribute.Data!, "gguf-vocabs", $"ggml-vocab-{name}.gguf");
        var tokenizer = Tokenizer.Load(path);
        var texts = File.ReadAllText(path + ".inp").Split("\n__ggml_vocab_test__\n");
        var ids = File.ReadAllLines(path + ".out");
        Assert.InRange(ids.Length, 40, texts.Length);
        for (var i = 0; i < ids.Length; i++) Assert.Equal(ids[i].Trim(), string.Join(' ', tokenizer.Encode(texts[i], addSpecialTokens: false).Ids));
    }

    private static Tokenizer Read(byte[] gguf) => GgufVocabulary.Build(GgufMetadata.Parse("t.gguf", gguf), "t.gguf");

    // Control tokens in a text are text to llama.cpp, and tokens to tokenizer.json: the strings that have some are left out.
    private static void Compare(byte[] gguf, string cases, int atLeast, string[] control)
    {
        var tokenizer = Read(gguf);
        var compared = 0;
        foreach (var line in File.ReadLines(cases))
        {
            using var json = JsonDocument.Parse(line);
            var text = json.RootElement.GetProperty("text").GetString()!;
            if (control.Any(text.Contains) || text.Split(' ').Any(static word =>
                word.Length > 100)) continue;      // longer words are unknown to BERT, not to llama.cpp
            Assert.Equal(json.RootElement.GetProperty("ids").EnumerateArray().Select(static i =>
                i.GetInt32()), tokenizer.Encode(text, addSpecialTokens: false).Ids);
            compared++;
        }
        Assert.InRange(compared, atLeast, int.MaxValue);
    }

    private static byte[] Gguf(params (string Name, object Value)[] fields)
    {
        using var stream = new MemoryStream();
        using var y = new BinaryWriter(stream);
        y.Write("GGUF"u8);
        y.Write(3u);
        y.Write(0ul);
        y.Write((ulong)fields.Length);
        foreach (var (name, value) in fields)
        {
            String(name);
            switch (value)
            {
                case bool flag: y.Write(Bool); y.Write(flag); break;
                case uint number: y.Write(U32); y.Write(number); break;
                case string text: y.Write(Text); String(text); break;
                case string[] texts: List(Text, texts, String); break;
                case int[] numbers: List(I32, numbers, y.Write); break;
                case float[] numbers: List(F32, numbers, y.Write); break;
                default: throw new ArgumentException(name);
            }
        }
        return stream.ToArray();

        void String(string text)
        {
            y.Write((ulong)Encoding.UTF8.GetByteCount(text));
            y.Write(Encoding.UTF8.GetBytes(text));
        }

        void List<T>(int type, T[] values, Action<T> write)
        {
            y.Write(Array);
            y.Write(type);
            y.Write((ulong)values.Length);
            foreach (var value in values) write(value);
        }
    }
}

/// <summary>A test that needs llama.cpp's vocabularies and vectors: from NANOLORA_DATA.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class LlamaVectorsTheoryAttribute : TheoryAttribute
{
    /// <summary>Leaves the test out where they are not there.</summary>
    public LlamaVectorsTheoryAttribute()
    {
        if (Data is null || !Directory.Exists(Path.Combine(Data, "gguf-vocabs"))) Skip = "gguf-vocabs is not here; name its folder in NANOLORA_DATA.";
    }

    /// <summary>The folder of data sets.</summary>
    public static string? Data { get; } = Environment.GetEnvironmentVariable("NANOLORA_DATA");
}
