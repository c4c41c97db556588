using NanoLora.Nn;

namespace NanoLora.Data;

/// <summary>
/// Decodes the ids since the last text that was shown, twice: without the new one and with it. What is more is new, unless it ends in the middle of a
/// character.
/// </summary>
internal sealed class TokenStream(Tokenizer tokenizer, bool skipSpecialTokens) : ITokenStream
{
    // A character has four bytes at most, so bytes that are more tokens than that, and no text yet, never become one. (Some tokens are no text either.)
    private const int MostHeldBack = 32;

    private readonly List<int> _ids = [];
    private string _shown = "";
    private int _shownIds;

    public string? Next(int id)
    {
        if (skipSpecialTokens && tokenizer.IsSkipped(id)) return null;
        if (_shown.Length == 0 && _ids.Count > 0 && Decode() is var before && !EndsBroken(before)) (_shown, _shownIds) = (before, _ids.Count);
        _ids.Add(id);
        var text = Decode();
        if (text.Length <= _shown.Length || (EndsBroken(text) && _ids.Count - _shownIds < MostHeldBack)) return null;
        var y = Rest(text);
        var shownIds = _ids.Count - _shownIds;
        _ids.RemoveRange(0, _shownIds);
        (_shown, _shownIds) = (Decode(), shownIds);
        return y;
    }

    public string? Finish()
    {
        var y = Rest(Decode());
        _ids.Clear();
        (_shown, _shownIds) = ("", 0);
        return y.Length > 0 ? y : null;
    }

    private string Decode() => tokenizer.Decode(_ids, skipSpecialTokens);

    // Some decoders change what was shown when more comes; what is shown stays shown.
    private string Rest(string text) => text[text.AsSpan().CommonPrefixLength(_shown)..];

    private static bool EndsBroken(string text) => text.EndsWith('\uFFFD');
}
