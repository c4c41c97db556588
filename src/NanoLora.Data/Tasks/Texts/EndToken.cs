using System.Text.Json;

namespace NanoLora.Data;

/// <summary>The token that ends a text, by the files of a model's folder.</summary>
internal static class EndToken
{
    /// <summary>The tokenizer's, by its name in tokenizer_config.json; otherwise the first that the model's own files give by id; null if none does.</summary>
    /// <exception cref="InvalidDataException">A file is damaged, or names a token that the tokenizer does not have.</exception>
    public static int? Of(string folder, Tokenizer tokenizer)
    {
        var config = Path.Combine(folder, "tokenizer_config.json");
        if (File.Exists(config) && JsonTree.Read(config).Find("eos_token") is { } token)
        {
            var name = (token.Kind == JsonValueKind.Object ? token["content"] : token).Text();
            return tokenizer.Id(name) ?? throw token.Error("a token of the tokenizer beside it is expected");
        }
        foreach (var file in (ReadOnlySpan<string>)["generation_config.json", "config.json"])
        {
            var path = Path.Combine(folder, file);
            if (!File.Exists(path) || JsonTree.Read(path).Find("eos_token_id") is not { } id) continue;
            return id.Kind == JsonValueKind.Array ? id.Items().Select(static i => (int?)i.Int()).FirstOrDefault() : id.Int();
        }
        return null;
    }
}
