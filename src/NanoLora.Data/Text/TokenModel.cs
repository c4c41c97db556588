namespace NanoLora.Data;

/// <summary>Tokens in the making: ids, what they are called, and where they lie in the original.</summary>
internal sealed class TokenList
{
    public List<int> Ids { get; } = [];

    public List<string> Tokens { get; } = [];

    public List<(int Start, int End)> Offsets { get; } = [];

    /// <summary>Adds a token that stands for [start, end) of a text.</summary>
    public void Add(int id, string token, AlignedText x, int start, int end)
    {
        Ids.Add(id);
        Tokens.Add(token);
        Offsets.Add((x.From(start), x.To(end - 1)));
    }

    /// <summary>Adds others.</summary>
    public void Add(TokenList tokens)
    {
        Ids.AddRange(tokens.Ids);
        Tokens.AddRange(tokens.Tokens);
        Offsets.AddRange(tokens.Offsets);
    }

    /// <summary>Takes back all but so many.</summary>
    public void Keep(int count)
    {
        Ids.RemoveRange(count, Ids.Count - count);
        Tokens.RemoveRange(count, Tokens.Count - count);
        Offsets.RemoveRange(count, Offsets.Count - count);
    }
}

/// <summary>What makes tokens of a word: byte-pair encoding, unigram or WordPiece.</summary>
internal abstract class TokenModel(Vocabulary vocabulary)
{
    public Vocabulary Vocabulary { get; } = vocabulary;

    /// <summary>Adds the tokens of [start, end) of a text, which is not empty.</summary>
    public abstract void Encode(AlignedText x, int start, int end, TokenList y);

    /// <summary>Adds the bytes of a character as tokens, all of which lie where it lies.</summary>
    protected void AddBytes(int[] byteTokens, AlignedText x, int start, int end, int point, TokenList y)
    {
        Span<byte> bytes = stackalloc byte[4];
        foreach (var value in bytes[..CodePoints.Utf8(point, bytes)]) y.Add(byteTokens[value], Vocabulary.Token(byteTokens[value])!, x, start, end);
    }
}
