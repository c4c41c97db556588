using System.Text;
using NanoLora.Nn;

namespace NanoLora.Benchmarks;

/// <summary>benchmarks/README.md, where tables and charts are kept.</summary>
internal static class Page
{
    /// <summary>The folder of benchmarks, above the program.</summary>
    public static string Folder => field ??= Find();

    /// <summary>
    /// Puts charts and tables between the lines of an area, <c>&lt;!-- name --&gt;</c> and <c>&lt;!-- /name --&gt;</c>, in the place of the last ones, the
    /// charts as files beside the page.
    /// </summary>
    /// <param name="name">The area's name.</param>
    /// <param name="text">Markdown.</param>
    /// <param name="charts">What each shows, the name of its file, and it.</param>
    /// <returns>The page's path.</returns>
    public static string Keep(string name, string text, params ReadOnlySpan<(string Caption, string File, string Svg)> charts)
    {
        var path = Path.Combine(Folder, "README.md");
        var page = File.ReadAllText(path);
        string begin = $"<!-- {name} -->", end = $"<!-- /{name} -->";
        var (from, to) = (page.IndexOf(begin, StringComparison.Ordinal), page.IndexOf(end, StringComparison.Ordinal));
        if (from < 0 || to < from) throw new QuickException($"{path}: the lines {begin} and {end}, between which the tables are kept, are not there.");
        var pictures = "";
        foreach (var (caption, file, svg) in charts)
        {
            Write(Path.Combine(Folder, file), svg);
            pictures += $"![{caption}]({file})\n\n";
        }
        Write(path, $"{page[..(from + begin.Length)]}\n{pictures}{text.ReplaceLineEndings("\n")}\n{page[to..]}");
        return path;
    }

    private static void Write(string path, string text) => AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));

    private static string Find()
    {
        for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (File.Exists(Path.Combine(at.FullName, "NanoLora.sln"))) return Path.Combine(at.FullName, "benchmarks");
        throw new QuickException($"no NanoLora.sln above {AppContext.BaseDirectory}; run the benchmarks from their repository.");
    }
}
