namespace NanoLora.Fuzz;

/// <summary>Inputs once each, without a fuzzer.</summary>
internal static class Replay
{
    /// <summary>More than this is a finding.</summary>
    public static readonly TimeSpan MostTime = TimeSpan.FromSeconds(2);

    public static int Run(string reader, string[] paths)
    {
        using var target = FuzzTarget.Create(reader, MostTime);
        var (count, findings) = (0, 0);
        foreach (var file in paths.SelectMany(Below))
        {
            count++;
            try
            {
                target.Run(File.ReadAllBytes(file));
                if (paths.Length == 1 && !Directory.Exists(paths[0])) Console.WriteLine(target.Outcome);
            }
            catch (FindingException e)
            {
                findings++;
                Console.WriteLine($"{file}: {e.Message}");
                if (e.InnerException is { } inner) Console.WriteLine(inner.StackTrace);
            }
        }
        Console.WriteLine($"{reader}: {count} inputs, {findings} findings");
        return findings == 0 && count > 0 ? 0 : 1;
    }

    private static IEnumerable<string> Below(string path) =>
        Directory.Exists(path) ? Directory.GetFiles(path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal) : [path];
}
