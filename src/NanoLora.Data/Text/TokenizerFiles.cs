namespace NanoLora.Data;

/// <summary>Finds out what kind of tokenizer a file or a folder has, and reads it.</summary>
internal static class TokenizerFiles
{
    private static readonly string[] Names = ["tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt"];

    public static Tokenizer Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (Directory.Exists(path))
        {
            string[] models =
            [
                .. Names.Select(name => Path.Combine(path, name)).Where(File.Exists), .. Directory.GetFiles(path, "*.gguf").Order(StringComparer.Ordinal),
                .. Directory.GetFiles(path, "*.bin").Where(Llama2cVocabulary.IsName).Order(StringComparer.Ordinal),
            ];
            if (models.Length == 0)
            {
                throw new InvalidDataException($"{path}: there is no tokenizer in this folder; {string.Join(", ", Names)}, .gguf and llama2.c's "
                    + "tokenizer.bin are read.");
            }
            path = models[0];
        }
        if (!File.Exists(path)) throw new InvalidDataException($"{path}: there is no such file or folder; give that of a tokenizer.");
        return Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".json" when IsVocabulary(path) => VocabularyFiles.ByteLevel(path),
            ".json" => TokenizerJson.Read(path),
            ".model" => SentencePiece.Read(path),
            ".gguf" => GgufVocabulary.Read(path),
            ".txt" => VocabularyFiles.WordPiece(path),
            ".bin" => Llama2cVocabulary.Read(path),
            _ => throw new InvalidDataException($"{path}: no tokenizer is told by this name; .json, .model, .gguf, .txt and llama2.c's .bin are read."),
        };
    }

    private static bool IsVocabulary(string path) => Path.GetFileName(path).EndsWith("vocab.json", StringComparison.OrdinalIgnoreCase);
}
