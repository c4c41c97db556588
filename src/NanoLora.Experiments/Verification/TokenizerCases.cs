using System.Text.Json;
using NanoLora.Data;

namespace NanoLora.Experiments.Verification;

/// <summary>Lines of JSON, each a string or two and what they become.</summary>
internal sealed class TokenizerCases(GoldenFolder folder, GoldenReport report, Tokenizer tokenizer)
{
    private readonly int[] _before = Ints(folder, "before"), _after = Ints(folder, "after");

    /// <summary>What a case is called before the name of its file.</summary>
    public string Prefix { get; init; } = "";

    /// <summary>Runs each line of a file.</summary>
    public void Each(string file, Action<JsonElement> run)
    {
        var path = Path.Combine(folder.Path, file);
        if (!File.Exists(path)) throw new GoldenException(path, "file", "is missing; copy it to its golden.json.");
        var line = 0;
        foreach (var text in File.ReadLines(path))
        {
            line++;
            if (text.Length == 0) continue;
            report.Case($"{(Prefix.Length > 0 ? Prefix + " " : "")}{file}:{line}");
            try
            {
                using var @case = JsonDocument.Parse(text);
                run(@case.RootElement);
            }
            catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException or InvalidDataException)
            {
                report.Fail(e.Message);
            }
        }
    }

    /// <summary>A string: ids, tokens, offsets and decoded text; the ids with special tokens.</summary>
    public void String(JsonElement @case)
    {
        var text = @case.GetProperty("text").GetString()!;
        var got = tokenizer.Encode(text, addSpecialTokens: false);
        int[] ids = Ints(@case.GetProperty("ids"));
        var decoded = @case.GetProperty("decoded").GetString()!;
        var skipping = @case.TryGetProperty("decoded_skipping_special", out var other) ? other.GetString()! : decoded;
        Report(
            Same("ids", got.Ids, ids),
            Same("tokens", got.Tokens, [.. @case.GetProperty("tokens").EnumerateArray().Select(static t => t.GetString()!)]),
            Same("offsets", Flat(got.Offsets), Ints(@case.GetProperty("offsets"))),
            Same("decoded", [tokenizer.Decode(ids, skipSpecialTokens: false)], [decoded]),
            Same("decoded, skipping special", [tokenizer.Decode(ids)], [skipping]),
            Same("with special tokens", tokenizer.Encode(text).Ids, [.. _before, .. ids, .. _after]));
    }

    /// <summary>The ids alone.</summary>
    public void Ids(JsonElement @case) =>
        Report(Same("ids", tokenizer.Encode(@case.GetProperty("text").GetString()!, addSpecialTokens: false).Ids, Ints(@case.GetProperty("ids"))));

    /// <summary>A string whose special tokens are ordinary text.</summary>
    public void SpecialAsText(JsonElement @case) => Report(Same(
        "ids", tokenizer.Encode(@case.GetProperty("text").GetString()!, null, new EncodeOptions { AddSpecialTokens = false, SpecialTokensAsText = true }).Ids,
        Ints(@case.GetProperty("ids"))));

    /// <summary>A string as SentencePiece reads it.</summary>
    public void Pieces(JsonElement @case)
    {
        var got = tokenizer.Encode(@case.GetProperty("text").GetString()!, addSpecialTokens: false);
        int[] ids = Ints(@case.GetProperty("ids"));
        Report(
            Same("ids", got.Ids, ids),
            Same("pieces", got.Tokens, [.. @case.GetProperty("pieces").EnumerateArray().Select(static t => t.GetString()!)]),
            Same("decoded", [tokenizer.Decode(ids, skipSpecialTokens: false)], [@case.GetProperty("decoded").GetString()!]));
    }

    /// <summary>Two strings with special tokens, cut and filled up where that is asked for.</summary>
    public void Pair(JsonElement @case)
    {
        var options = new EncodeOptions
        {
            Truncation = @case.TryGetProperty("truncation", out var t) ? Truncation(t) : null,
            Padding = @case.TryGetProperty("padding", out var p) ? Padding(p) : null,
        };
        var got = tokenizer.Encode(@case.GetProperty("a").GetString()!, @case.GetProperty("b").GetString(), options);
        int?[][] overflow = @case.TryGetProperty("overflowing_ids", out var o) ? [.. o.EnumerateArray().Select(Nullable)] : [];
        Report(
            Same("ids", got.Ids, Ints(@case.GetProperty("ids"))),
            Same("type_ids", got.TypeIds, Ints(@case.GetProperty("type_ids"))),
            Same("special_tokens_mask", got.SpecialTokensMask, Ints(@case.GetProperty("special_tokens_mask"))),
            Same("attention_mask", got.AttentionMask, Ints(@case.GetProperty("attention_mask"))),
            Same("sequence_ids", got.SequenceIds, Nullable(@case.GetProperty("sequence_ids"))),
            Same("offsets", Flat(got.Offsets), Ints(@case.GetProperty("offsets"))),
            Same("overflowing_ids", [.. got.Overflowing.Select(static e => string.Join(' ', e.Ids))], [.. overflow.Select(static e => string.Join(' ', e))]));
    }

    /// <summary>Ids one by one, and what may be shown after each.</summary>
    public void Stream(JsonElement @case)
    {
        var stream = tokenizer.Stream();
        int[] ids = Ints(@case.GetProperty("ids"));
        Report(
            Same("ids", tokenizer.Encode(@case.GetProperty("text").GetString()!).Ids, ids),
            Same("chunks", [.. ids.Select(stream.Next)], [.. @case.GetProperty("chunks").EnumerateArray().Select(static c => c.GetString())]));
    }

    private static Truncation Truncation(JsonElement x) => new(x.GetProperty("max_length").GetInt32())
    {
        Stride = x.GetProperty("stride").GetInt32(), FromLeft = x.GetProperty("direction").GetString() == "left", KeepOverflow = true,
        Strategy = x.GetProperty("strategy").GetString() switch
        {
            "longest_first" => TruncationStrategy.LongestFirst,
            "only_first" => TruncationStrategy.OnlyFirst,
            "only_second" => TruncationStrategy.OnlySecond,
            var other => throw new InvalidOperationException($"truncation.strategy is {other}"),
        },
    };

    private static Padding Padding(JsonElement x) => new(x.GetProperty("pad_id").GetInt32(), x.GetProperty("pad_token").GetString()!)
    {
        TypeId = x.GetProperty("pad_type_id").GetInt32(), Left = x.GetProperty("direction").GetString() == "left",
        Length = x.TryGetProperty("length", out var length) && length.ValueKind == JsonValueKind.Number ? length.GetInt32() : 0,
        MultipleOf = x.TryGetProperty("pad_to_multiple_of", out var multiple) && multiple.ValueKind == JsonValueKind.Number ? multiple.GetInt32() : 0,
    };

    private void Report(params ReadOnlySpan<string?> differences)
    {
        foreach (var difference in differences)
        {
            if (difference is null) continue;
            report.Fail(difference);
            return;
        }
        report.Pass("exact");
    }

    // Null, or where two lists differ first.
    private static string? Same<T>(string what, IReadOnlyList<T> got, IReadOnlyList<T> want)
    {
        for (var i = 0; i < Math.Min(got.Count, want.Count); i++)
        {
            if (!EqualityComparer<T>.Default.Equals(got[i], want[i])) return $"{what} [{i}]: got {Shown(got[i])}, want {Shown(want[i])}";
        }
        return got.Count == want.Count ? null : $"{what}: got {got.Count} where {want.Count} are expected";
    }

    private static string Shown<T>(T value) => value is null ? "null" : $"\"{JsonEncodedText.Encode(value.ToString()!)}\"";

    private static List<int> Flat(IReadOnlyList<(int Start, int End)> offsets)
    {
        var y = new List<int>(2 * offsets.Count);
        foreach (var (start, end) in offsets) y.AddRange(start, end);
        return y;
    }

    private static int[] Ints(JsonElement list) => [.. list.EnumerateArray().Select(static i => i.GetInt32())];

    private static int?[] Nullable(JsonElement list) =>
        [.. list.EnumerateArray().Select(static i => i.ValueKind == JsonValueKind.Null ? (int?)null : i.GetInt32())];

    private static int[] Ints(GoldenFolder folder, string name) => folder.Has("with_special_tokens", JsonValueKind.Object)
        ? Ints(folder.Field(folder.Root.GetProperty("with_special_tokens"), name, JsonValueKind.Array, "with_special_tokens.")) : [];
}
