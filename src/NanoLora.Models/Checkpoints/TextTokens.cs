using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>Which tokens a model's files say begin and end texts.</summary>
/// <param name="Begin">What begins a text, or null.</param>
/// <param name="Ends">What ends one.</param>
internal sealed record TextTokens(int? Begin, int[] Ends)
{
    private const string GenerationConfig = "generation_config.json";

    /// <summary>None known.</summary>
    public static TextTokens None { get; } = new(null, []);

    /// <summary>Those of generation_config.json, where there is one and it says, otherwise those of config.json beside it.</summary>
    /// <exception cref="CheckpointException">A field that is no token.</exception>
    public static TextTokens Of(ConfigNode config, int vocabulary)
    {
        var path = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(config.Path))!, GenerationConfig);
        var generation = File.Exists(path) ? ConfigNode.Read(path) : config;
        var (begins, ends) = (Ids("bos_token_id"), Ids("eos_token_id"));
        return new(begins.Length > 0 ? begins[0] : null, ends);

        // A number or several. Configs of small models may keep the numbers of a large vocabulary, or -1 for none.
        int[] Ids(string field)
        {
            var node = generation.Has(field) ? generation : config;
            if (!node.Json.TryGetProperty(field, out var value) || value.ValueKind == JsonValueKind.Null) return [];
            var all = new List<int>();
            foreach (var one in value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray()] : (JsonElement[])[value])
            {
                if (one.ValueKind != JsonValueKind.Number || !one.TryGetInt32(out var id)) throw node.Error(field, "a token's number is expected, or several.");
                if (id >= 0 && id < vocabulary) all.Add(id);
            }
            return [.. all];
        }
    }
}
