using System.Text;

namespace NanoLora.Data;

/// <summary>Reads the older files, which have the vocabulary alone; what is around it is what the models of that time have.</summary>
internal static class VocabularyFiles
{
    private static readonly string[] ByteLevelSpecial = ["<|endoftext|>", "<s>", "<pad>", "</s>", "<unk>", "<mask>"];

    private static readonly string[] BertSpecial = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

    /// <summary>vocab.json with merges.txt or vocab.bpe beside it: GPT-2's byte-level BPE. add_prefix_space is read from tokenizer_config.json.</summary>
    public static Tokenizer ByteLevel(string path) => ByteLevel(path, Config(path)?.Bool("add_prefix_space", false) ?? false);

    public static Tokenizer ByteLevel(string path, bool addPrefixSpace)
    {
        var merges = new[] { "merges.txt", "vocab.bpe" }.Select(name => Beside(path, name)).FirstOrDefault(File.Exists)
            ?? throw new InvalidDataException($"{path}: merges.txt is not beside it; copy it there.");
        var vocabulary = TokenizerJson.Vocabulary(JsonTree.Read(path));
        return new Tokenizer(new BpeModel(vocabulary, Merges(merges), new BpeOptions(), merges), Special(vocabulary, ByteLevelSpecial))
        {
            PreTokenizer = new ByteLevelPreTokenizer(addPrefixSpace, useRegex: true), Decoder = new ByteLevelDecoder(),
        };
    }

    /// <summary>
    /// vocab.txt, a token a line: BERT's WordPiece. do_lower_case, strip_accents and tokenize_chinese_chars are read from tokenizer_config.json; without
    /// it, case is lowered unless a token has upper case.
    /// </summary>
    public static Tokenizer WordPiece(string path)
    {
        var tokens = Tokens(path);
        var config = Config(path);
        var lower = config?.Find("do_lower_case")?.Bool() ?? !HasUpperCase(tokens);
        bool chinese = config?.Bool("tokenize_chinese_chars", true) ?? true, strip = config?.Bool("strip_accents", lower) ?? lower;
        return WordPiece(path, tokens, new BertNormalizer(clean: true, chinese, strip, lower), 100);
    }

    public static Tokenizer WordPiece(string path, BertNormalizer normalizer, int longest) => WordPiece(path, Tokens(path), normalizer, longest);

    private static Tokenizer WordPiece(string path, string[] tokens, BertNormalizer normalizer, int longest)
    {
        var vocabulary = new Vocabulary(tokens);
        int first = vocabulary.Id("[CLS]"), last = vocabulary.Id("[SEP]");
        TemplatePart begin = new(-1, [(first, "[CLS]")], 0), end = new(-1, [(last, "[SEP]")], 0), a = new(0, [], 0), b = new(1, [], 1);
        return new Tokenizer(new WordPieceModel(vocabulary, "[UNK]", "##", longest, path), Special(vocabulary, BertSpecial), normalizer)
        {
            PreTokenizer = new BertPreTokenizer(), Decoder = new WordPieceDecoder("##", cleanup: true),
            PostProcessor = first < 0 || last < 0 ? null : new TemplateProcessor([begin, a, end], [begin, a, end, b, end with { Type = 1 }]),
        };
    }

    private static string[] Tokens(string path)
    {
        string[] lines = [.. Lines(path)];
        return lines.Length > 0 && lines[^1].Length == 0 ? lines[..^1] : lines;
    }

    private static string Beside(string path, string name) => Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, name);

    private static JsonTree? Config(string path) => Beside(path, "tokenizer_config.json") is var config && File.Exists(config) ? JsonTree.Read(config) : null;

    private static bool HasUpperCase(string[] tokens) => tokens.Any(static t => !(t.StartsWith('[') && t.EndsWith(']')) && t.Any(char.IsUpper));

    private static IEnumerable<AddedToken> Special(Vocabulary vocabulary, string[] tokens) =>
        tokens.Where(t => vocabulary.Id(t) >= 0).Select(t => new AddedToken(vocabulary.Id(t), t) { Special = true });

    private static List<(string, string)> Merges(string path)
    {
        var y = new List<(string, string)>();
        foreach (var line in Lines(path))
        {
            if (line.Length == 0 || (y.Count == 0 && line.StartsWith("#version", StringComparison.Ordinal))) continue;
            y.Add(line.Split(' ') is [var left, var right] ? (left, right)
                : throw new InvalidDataException($"{path}: the line \"{line}\" is not two tokens; copy the file again."));
        }
        return y;
    }

    // Only \n ends a line: tokens may be other characters that some call line ends.
    private static IEnumerable<string> Lines(string path) => File.ReadAllText(path, Encoding.UTF8).Split('\n').Select(static line => line.TrimEnd('\r'));
}
