using System.Buffers;
using System.Globalization;
using System.Text;

namespace NanoLora.Data;

/// <summary>Names that come from users and servers, before any of them becomes a path or an address.</summary>
internal static class HubNames
{
    private const int MostRepository = 96, MostSegment = 255, MostPath = 1024, MostShown = 200;

    private static readonly SearchValues<char> Special = SearchValues.Create("<>:\"|?*");
    private static readonly string[] Devices = ["CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$"];

    /// <summary>Whether it is <c>name</c> or <c>org/name</c>, as the hub allows them.</summary>
    public static bool IsRepository(string text)
    {
        var parts = text.Split('/');
        return parts.Length <= 2 && parts.All(IsPart) && !text.EndsWith(".git", StringComparison.Ordinal);

        static bool IsPart(string part) => part.Length is > 0 and <= MostRepository && part[0] is not ('-' or '.') && part[^1] is not ('-' or '.')
            && !part.Contains("--", StringComparison.Ordinal) && !part.Contains("..", StringComparison.Ordinal)
            && part.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');
    }

    /// <summary>Whether it is a branch, a tag, a commit or a reference such as <c>refs/pr/1</c>.</summary>
    public static bool IsRevision(string text) => Forged(text) is null && Unportable(text) is null && text.Length <= MostSegment;

    /// <summary>Whether it is the hash of a commit, in full.</summary>
    public static bool IsCommit(string text) => IsHash(text, 40);

    /// <summary>Whether it is a hash of so many digits.</summary>
    public static bool IsHash(string text, int digits) => text.Length == digits && text.All(char.IsAsciiHexDigitLower);

    /// <summary>Why no repository can have a file of this name, or null: such a listing is refused as a whole.</summary>
    public static string? Forged(string name)
    {
        if (name.Length == 0) return "it is empty";
        if (name[0] == '/' || (name.Length > 1 && char.IsAsciiLetter(name[0]) && name[1] == ':')) return "it is absolute";
        if (name.Any(char.IsControl)) return "it has control characters";
        if (name.Contains('\\')) return "it has a backslash";
        foreach (var segment in name.Split('/'))
        {
            if (segment.Length == 0) return "a folder in it has no name";
            if (segment is "." or "..") return "it leads out of its folder";
        }
        return null;
    }

    /// <summary>Why a file of this name is not written, as some system would take it for something else, or null.</summary>
    public static string? Unportable(string name)
    {
        if (Encoding.UTF8.GetByteCount(name) > MostPath) return "it is too long";
        for (var i = 0; i < name.Length; i++)
        {
            if (char.IsSurrogate(name[i]) && (!char.IsSurrogatePair(name, i++))) return "it has half a surrogate pair";
        }
        if (name.EnumerateRunes().Any(static r => Rune.GetUnicodeCategory(r) is UnicodeCategory.Format or UnicodeCategory.LineSeparator
            or UnicodeCategory.ParagraphSeparator)) return "it has characters that do not show";
        foreach (var segment in name.Split('/'))
        {
            if (Encoding.UTF8.GetByteCount(segment) > MostSegment) return "it is too long";
            if (segment.AsSpan().ContainsAny(Special)) return "it has one of < > : \" | ? *";
            if (segment[^1] is '.' or ' ' || segment[0] == ' ') return "it begins or ends with a blank, or ends with a dot";
            if (IsDevice(segment.Split('.')[0].TrimEnd())) return "it is a device to Windows";
        }
        return null;
    }

    /// <summary>A name as it is told: not too long, and without what a terminal would obey.</summary>
    public static string Shown(string name)
    {
        var shown = name.Length > MostShown ? name[..MostShown] + "…" : name;
        return string.Concat(shown.Select(static c => char.IsControl(c) || char.IsSurrogate(c) ? $"\\u{(int)c:x4}" : $"{c}"));
    }

    private static bool IsDevice(string word) => Devices.Contains(word, StringComparer.OrdinalIgnoreCase)
        || (word.Length == 4 && (char.IsAsciiDigit(word[3]) || word[3] is '¹' or '²' or '³')
            && (word.StartsWith("COM", StringComparison.OrdinalIgnoreCase) || word.StartsWith("LPT", StringComparison.OrdinalIgnoreCase)));
}
