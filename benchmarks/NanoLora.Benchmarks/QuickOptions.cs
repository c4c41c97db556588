namespace NanoLora.Benchmarks;

/// <summary>The options of `quick`.</summary>
internal static class QuickOptions
{
    /// <summary>Reads --no-keep and --json FILE; false for anything else.</summary>
    public static bool Parse(ReadOnlySpan<string> words, out bool keep, out string? json)
    {
        (keep, json) = (true, null);
        while (words.Length > 0)
        {
            switch (words)
            {
                case ["--no-keep", ..]:
                    keep = false;
                    words = words[1..];
                    break;
                case ["--json", var file, ..]:
                    json = file;
                    words = words[2..];
                    break;
                default:
                    return false;
            }
        }
        return true;
    }
}
