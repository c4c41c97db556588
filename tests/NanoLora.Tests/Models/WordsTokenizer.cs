using System.Globalization;
using NanoLora.Nn;

namespace NanoLora.Tests.Models;

/// <summary>A tokenizer for models that have none: the text of token 17 is "17 ".</summary>
internal sealed class WordsTokenizer(int size) : ITokenizer
{
    public int VocabularySize => size;

    public int? Id(string token) => int.TryParse(token, CultureInfo.InvariantCulture, out var id) && id < size ? id : null;

    public string? Token(int id) => id >= 0 && id < size ? $"{id}" : null;

    public int[] Encode(string text, bool addSpecialTokens = true) =>
        [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(static word => int.Parse(word, CultureInfo.InvariantCulture))];

    public string Decode(IEnumerable<int> ids, bool skipSpecialTokens = true) => string.Concat(ids.Select(static id => $"{id} "));

    public ITokenStream Stream(bool skipSpecialTokens = true) => new Words();

    private sealed class Words : ITokenStream
    {
        public string? Next(int id) => $"{id} ";

        public string? Finish() => null;
    }
}
