using System.Text;

namespace NanoLora.Data;

/// <summary>Reads the older files, which have the vocabulary alone; what is around it is what the models of that time have.</summary>
internal static class VocabularyFiles
{
    private static readonly string[] ByteLevelSpecial = ["<|endoftext|>", "<s>", "<pad>", "</s>", "<unk>", "<mask>"];

    private static readonly string[] BertSpecial = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

    /// <summary>vocab.json with merges.txt or vocab.bpe beside it: GPT-2's byte-level BPE. add_prefix_space is read from tokenizer_config.json.</summary>
    public static Tokenizer ByteLevel(string path)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        var merges = new[] { "merges.txt", "vocab.bpe" }.Select(name => Path.Combine(folder, name)).FirstOrDefault(File.Exists)
            ?? throw new InvalidDataException($"{path}: merges.txt is not beside it; copy it there.");
        var vocabulary = TokenizerJson.Vocabulary(JsonTree.Read(path));
        var model = new BpeModel(vocabulary, Merges(merges), new BpeOptions(), merges);
        var config = Path.Combine(folder, "tokenizer_config.json");
        var prefix = File.Exists(config) && JsonTree.Read(config).Bool("add_prefix_space", false);
        return new Tokenizer(model, Special(vocabulary, ByteLevelSpecial))
        {
            PreTokenizer = new ByteLevelPreTokenizer(prefix, useRegex: true), Decoder = new ByteLevelDecoder(),
        };
    }

    /// <summary>vocab.txt, a token a line: BERT's WordPiece, which lowers case unless tokenizer_config.json says otherwise or the tokens have upper case.</summary>
    public static Tokenizer WordPiece(string path)
    {
        string[] tokens = [.. Lines(path)];
        if (tokens.Length > 0 && tokens[^1].Length == 0) tokens = tokens[..^1];
        var vocabulary = new Vocabulary(tokens);
        var config = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, "tokenizer_config.json");
        var settings = File.Exists(config) ? JsonTree.Read(config) : (JsonTree?)null;
        var lower = settings?.Bool("do_lower_case", !HasUpperCase(tokens)) ?? !HasUpperCase(tokens);
        return Bert(vocabulary, lower, settings?.Bool("strip_accents", lower) ?? lower, settings?.Bool("tokenize_chinese_chars", true) ?? true, path);
    }

    private static Tokenizer Bert(Vocabulary vocabulary, bool lower, bool strip, bool chinese, string source)
    {
        int first = vocabulary.Id("[CLS]"), last = vocabulary.Id("[SEP]");
        TemplatePart begin = new(-1, [(first, "[CLS]")], 0), end = new(-1, [(last, "[SEP]")], 0), a = new(0, [], 0), b = new(1, [], 1);
        return new Tokenizer(new WordPieceModel(vocabulary, "[UNK]", "##", 100, source), Special(vocabulary, BertSpecial), new BertNormalizer(true, chinese, strip, lower))
        {
            PreTokenizer = new BertPreTokenizer(), Decoder = new WordPieceDecoder("##", cleanup: true),
            PostProcessor = first < 0 || last < 0 ? null : new TemplateProcessor([begin, a, end], [begin, a, end, b, end with { Type = 1 }]),
        };
    }

    private static bool HasUpperCase(string[] tokens) => tokens.Any(static t => !(t.StartsWith('[') && t.EndsWith(']')) && t.Any(char.IsUpper));

    private static IEnumerable<AddedToken> Special(Vocabulary vocabulary, string[] tokens) =>
        tokens.Where(t => vocabulary.Id(t) >= 0).Select(t => new AddedToken(vocabulary.Id(t), t) { Special = true });

    private static List<(string, string)> Merges(string path)
    {
        var y = new List<(string, string)>();
        foreach (var line in Lines(path))
        {
            if (line.Length == 0 || (y.Count == 0 && line.StartsWith("#version", StringComparison.Ordinal))) continue;
            y.Add(line.Split(' ') is [var left, var right] ? (left, right) : throw new InvalidDataException($"{path}: the line \"{line}\" is not two tokens; copy the file again."));
        }
        return y;
    }

    // Only \n ends a line: tokens may be other characters that some call line ends.
    private static IEnumerable<string> Lines(string path) => File.ReadAllText(path, Encoding.UTF8).Split('\n').Select(static line => line.TrimEnd('\r'));
}
