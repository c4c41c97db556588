namespace NanoLora.Benchmarks;

/// <summary>The options of `quick`.</summary>
internal static class QuickOptions
{
    /// <summary>Reads --no-keep, --json FILE and --only WORDS, which keeps nothing; false for anything else.</summary>
    public static bool Parse(ReadOnlySpan<string> words, out bool keep, out string? json, out string only)
    {
        (keep, json, only) = (true, null, "");
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
                case ["--only", var title, ..]:
                    (keep, only) = (false, title);
                    words = words[2..];
                    break;
                default:
                    return false;
            }
        }
        return true;
    }
}
