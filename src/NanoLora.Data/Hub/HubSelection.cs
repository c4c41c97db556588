using System.IO.Enumeration;

namespace NanoLora.Data;

/// <summary>Which files of a repository are downloaded.</summary>
internal static class HubSelection
{
    private static readonly string[] Small =
    [
        "config.json", "generation_config.json", "preprocessor_config.json", "adapter_config.json", "tokenizer.json", "tokenizer_config.json",
        "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt", "vocab.bpe", "merges.txt", "special_tokens_map.json",
        "added_tokens.json", "chat_template.jinja", "additional_chat_templates/*.jinja", "README.md", "LICENSE*", "LICENCE*", "NOTICE*",
    ];

    // Of each kind of weights the first form that is there; some repositories have the same weights again under other names.
    private static readonly string[][][] Weights =
    [
        [
            ["model.safetensors"], ["model.safetensors.index.json", "model-?????-of-?????.safetensors"], ["pytorch_model.bin"],
            ["pytorch_model.bin.index.json", "pytorch_model-?????-of-?????.bin"],
        ],
        [["adapter_model.safetensors"], ["adapter_model.bin"]],
    ];

    /// <summary>The names that match a pattern and none of the others; without patterns, those of the files that are read here.</summary>
    /// <param name="names">All names.</param>
    /// <param name="include">Patterns with * and ?; * also stands for folders. What ends with / is all that is in the folder.</param>
    /// <param name="exclude">The same, for what to leave out.</param>
    public static IReadOnlyList<string> Of(IReadOnlyList<string> names, IReadOnlyList<string> include, IReadOnlyList<string> exclude)
    {
        IEnumerable<string> chosen = include.Count > 0 ? names.Where(name => Matches(include, name)) : Default(names);
        return [.. chosen.Where(name => !Matches(exclude, name)).Order(StringComparer.Ordinal)];
    }

    private static HashSet<string> Default(IReadOnlyList<string> names)
    {
        var small = names.Where(static name => Small.Any(pattern => Depth(pattern) == Depth(name) && Matches(pattern, name)));
        var chosen = small.ToHashSet(StringComparer.Ordinal);
        foreach (var forms in Weights)
        {
            var found = forms.Select(patterns => names.Where(name => Matches(patterns, name) && Depth(name) == 0).ToList()).FirstOrDefault(f => f.Count > 0);
            if (found is not null) chosen.UnionWith(found);
        }
        if (!chosen.Any(IsWeights)) chosen.UnionWith(names.Where(static name => Depth(name) == 0 && name.EndsWith(".safetensors", StringComparison.Ordinal)));
        return chosen;
    }

    private static bool IsWeights(string name) => name.EndsWith(".safetensors", StringComparison.Ordinal) || name.EndsWith(".bin", StringComparison.Ordinal);

    private static bool Matches(IReadOnlyList<string> patterns, string name) => patterns.Any(pattern => Matches(pattern, name));

    private static bool Matches(string pattern, string name) =>
        FileSystemName.MatchesSimpleExpression(pattern.EndsWith('/') ? pattern + "*" : pattern, name, ignoreCase: false);

    private static int Depth(string name) => name.AsSpan().Count('/');
}
