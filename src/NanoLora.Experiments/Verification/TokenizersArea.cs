using System.Text.Json;
using NanoLora.Data;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// Tokenizers: what strings, pairs and streams of ids become, by Hugging Face's tokenizers library and by SentencePiece. Nothing has a tolerance. A line per
/// string.
/// </summary>
public sealed class TokenizersArea : IGoldenArea
{
    /// <inheritdoc/>
    public string Name => "tokenizers";

    /// <inheritdoc/>
    public bool Recognises(GoldenFolder folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return IsTokenizer(folder) || IsSentencePiece(folder);
    }

    /// <inheritdoc/>
    public void Run(GoldenFolder folder, Backend backend, VerifyOptions options, GoldenReport report)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(report);
        if (IsSentencePiece(folder)) RunSentencePiece(folder, options, report);
        else RunTokenizer(folder, options, report);
        report.Case("");
    }

    private static bool IsTokenizer(GoldenFolder folder) =>
        folder.Has("tokenizer", JsonValueKind.String) && folder.Has("with_special_tokens", JsonValueKind.Object)
        && folder.Has("files", JsonValueKind.Object);

    private static bool IsSentencePiece(GoldenFolder folder) => folder.Has("models", JsonValueKind.Object) && folder.Has("files", JsonValueKind.String)
        && folder.Root.GetProperty("files").GetString()!.StartsWith("NAME.jsonl", StringComparison.Ordinal);

    // "tokenizer.json, tokenizer.model", or "DATA/tokenizer-gpt2/tokenizer.json (the same as …)": the first file counts, and vocab.json and vocab.txt
    // beside it.
    private static void RunTokenizer(GoldenFolder folder, VerifyOptions options, GoldenReport report)
    {
        var name = folder.Root.GetProperty("tokenizer").GetString()!.Split(' ')[0].TrimEnd(',');
        if (Find(folder, name, options, report) is not { } path) return;
        if (Load(path, report) is not { } tokenizer) return;
        var size = folder.Field(folder.Root, "vocab_size_with_added", JsonValueKind.Number).GetInt32();
        report.Case("vocabulary");
        if (tokenizer.VocabularySize == size) report.Pass($"{size} tokens");
        else report.Fail($"{tokenizer.VocabularySize} tokens where {size} are expected");
        var cases = new TokenizerCases(folder, report, tokenizer);
        foreach (var file in folder.Root.GetProperty("files").EnumerateObject())
        {
            if (file.Name == "cases.jsonl") cases.Each(file.Name, cases.String);
            else if (file.Name == "special_as_text.jsonl") cases.Each(file.Name, cases.SpecialAsText);
            else if (file.Name == "pairs.jsonl") cases.Each(file.Name, cases.Pair);
            else if (file.Name == "stream.jsonl") cases.Each(file.Name, cases.Stream);
            else report.Missing($"a reader for {file.Name}");
        }
        RunVocabulary(folder, report);
    }

    // vocab.json and vocab.txt do not say how the text was prepared; tokenizer.json beside them does.
    private static void RunVocabulary(GoldenFolder folder, GoldenReport report)
    {
        foreach (var name in new[] { "vocab.json", "vocab.txt" })
        {
            var path = Path.Combine(folder.Path, name);
            if (!File.Exists(path)) continue;
            report.Case(name);
            try
            {
                var json = JsonTree.Read(Path.Combine(folder.Path, "tokenizer.json"));
                var tokenizer = name == "vocab.json" ? VocabularyFiles.ByteLevel(path, json["pre_tokenizer"].Bool("add_prefix_space", false))
                    : VocabularyFiles.WordPiece(path, (BertNormalizer)TokenizerJsonParts.Normalizer(json["normalizer"]),
                        json["model"]["max_input_chars_per_word"].Int());
                var again = new TokenizerCases(folder, report, tokenizer) { Prefix = name };
                again.Each("cases.jsonl", again.Ids);
            }
            catch (Exception e) when (e is InvalidDataException or IOException or InvalidCastException) { report.Fail(e.Message); }
        }
    }

    private static void RunSentencePiece(GoldenFolder folder, VerifyOptions options, GoldenReport report)
    {
        foreach (var model in folder.Root.GetProperty("models").EnumerateObject())
        {
            var name = folder.Field(model.Value, "model", JsonValueKind.String).GetString()!;
            if (Find(folder, name, options, report) is not { } path || Load(path, report) is not { } tokenizer) continue;
            var cases = new TokenizerCases(folder, report, tokenizer) { Prefix = model.Name };
            cases.Each($"{model.Name}.jsonl", cases.Pieces);
        }
    }

    private static string? Find(GoldenFolder folder, string name, VerifyOptions options, GoldenReport report)
    {
        if (!name.StartsWith("DATA/", StringComparison.Ordinal)) return Path.Combine(folder.Path, name);
        var path = options.DataFolder is { } data ? Path.Combine(data, name[5..]) : "";
        if (File.Exists(path)) return path;
        report.Case(name);
        report.Skip(name.Split('/')[1]);
        return null;
    }

    private static Tokenizer? Load(string path, GoldenReport report)
    {
        report.Case(Path.GetFileName(path));
        try { return Tokenizer.Load(path); }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            report.Fail(e.Message);
            return null;
        }
    }
}
