namespace NanoLora.Nn;

/// <summary>Makes token ids of text, and text of token ids. Several threads may use one at once.</summary>
public interface ITokenizer
{
    /// <summary>The number of tokens.</summary>
    int VocabularySize { get; }

    /// <summary>The id of a token as the vocabulary writes it; null if it has none.</summary>
    int? Id(string token);

    /// <summary>The token of an id as the vocabulary writes it; null if there is none.</summary>
    string? Token(int id);

    /// <summary>The ids of a text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="addSpecialTokens">Whether the tokens that the model expects around a text are added.</param>
    int[] Encode(string text, bool addSpecialTokens = true);

    /// <summary>The text of ids; one that has no token counts for nothing.</summary>
    /// <param name="ids">The ids.</param>
    /// <param name="skipSpecialTokens">Whether tokens that are meant for machines are left out.</param>
    string Decode(IEnumerable<int> ids, bool skipSpecialTokens = true);

    /// <summary>Decodes ids that come one by one.</summary>
    /// <param name="skipSpecialTokens">Whether tokens that are meant for machines are left out.</param>
    ITokenStream Stream(bool skipSpecialTokens = true);
}

/// <summary>Decodes ids one by one, and never shows half a character. For one thread.</summary>
public interface ITokenStream
{
    /// <summary>What the next id adds to the text; null if that is not known before more ids come, or it adds nothing.</summary>
    string? Next(int id);

    /// <summary>What is left when no more ids come: bytes that never became a character show as U+FFFD. Null if there is nothing.</summary>
    string? Finish();
}
