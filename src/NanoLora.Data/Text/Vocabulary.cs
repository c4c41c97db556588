namespace NanoLora.Data;

/// <summary>Tokens and their ids.</summary>
internal sealed class Vocabulary
{
    private readonly Dictionary<string, int> _ids;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private readonly string?[] _tokens;

    /// <summary>Takes tokens with their ids; where two tokens have one id, the later is its token.</summary>
    /// <exception cref="InvalidDataException">An id is negative, or far beyond the number of tokens.</exception>
    public Vocabulary(Dictionary<string, int> ids, string source)
    {
        (_ids, _lookup) = (ids, ids.GetAlternateLookup<ReadOnlySpan<char>>());
        var top = -1;
        foreach (var (token, id) in ids)
        {
            if (id < 0 || id > 4L * ids.Count + 65536)
                throw new InvalidDataException($"{source}: the token \"{token}\" has the id {id} in a vocabulary of {ids.Count}; copy the file again.");
            top = Math.Max(top, id);
        }
        _tokens = new string?[top + 1];
        foreach (var (token, id) in ids) _tokens[id] = token;
    }

    /// <summary>Takes tokens in the order of their ids; of equal ones, the first is found.</summary>
    public Vocabulary(IReadOnlyList<string> tokens)
    {
        _ids = new(tokens.Count, StringComparer.Ordinal);
        _lookup = _ids.GetAlternateLookup<ReadOnlySpan<char>>();
        _tokens = [.. tokens];
        for (var id = 0; id < tokens.Count; id++) _ids.TryAdd(tokens[id], id);
    }

    /// <summary>The number of tokens.</summary>
    public int Count => _ids.Count;

    /// <summary>One more than the highest id.</summary>
    public int Size => _tokens.Length;

    /// <summary>The id of a token, or -1.</summary>
    public int Id(string token) => _ids.GetValueOrDefault(token, -1);

    /// <summary>The id of a token, or -1.</summary>
    public int Id(ReadOnlySpan<char> token) => _lookup.TryGetValue(token, out var id) ? id : -1;

    /// <summary>The id of a token of code points, or -1.</summary>
    public int Id(ReadOnlySpan<int> token)
    {
        if (token.Length > 256) return Id(CodePoints.Text(token));
        Span<char> units = stackalloc char[2 * token.Length];
        return Id(units[..CodePoints.Write(token, units)]);
    }

    /// <summary>The token of an id, or null.</summary>
    public string? Token(int id) => (uint)id < (uint)_tokens.Length ? _tokens[id] : null;

    /// <summary>The ids of &lt;0x00&gt; to &lt;0xFF&gt;, or null if one of them is missing.</summary>
    public int[]? ByteTokens()
    {
        var y = new int[256];
        for (var i = 0; i < 256; i++) if ((y[i] = Id($"<0x{i:X2}>")) < 0) return null;
        return y;
    }
}
