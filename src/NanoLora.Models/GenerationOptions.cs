namespace NanoLora.Models;

/// <summary>
/// How texts are continued. Tokens are chosen as transformers' generate() chooses them, by the same steps in the same order; of the logits x of the next token:
/// <list type="number">
/// <item><see cref="RepetitionPenalty"/> r: x becomes x r where x is below 0, x / r otherwise, for each token that the text has, prompt included.</item>
/// <item><see cref="NoRepeatNgram"/> n: a token that would repeat n tokens in a row of the text is out (x = -∞).</item>
/// <item><see cref="MinTokens"/>: before so many tokens are there, those that end a text are out.</item>
/// <item><see cref="Temperature"/> t: x becomes x / t. At 0 the largest x is taken, and the steps from here on are not.</item>
/// <item><see cref="TopK"/> k: what is below the k-th largest is out; its equals stay.</item>
/// <item><see cref="TopP"/> p: of softmax(x), a token is out if it and all less likely ones have 1 - p together or less; of equals, higher ids first.</item>
/// <item><see cref="MinP"/> m: a token is out if its probability is below m times that of the likeliest.</item>
/// <item>A token is drawn from softmax(x) of those that are left, by one random number that is a function of seed, row and step alone.</item>
/// </list>
/// In an encoder-decoder "the text" is what is written, with the token that it begins with.
/// </summary>
public sealed record GenerationOptions
{
    /// <summary>The most tokens to add to each text. It also ends where the model's context does.</summary>
    public int MaxTokens { get; init; } = 256;

    /// <summary>What logits are divided by before drawing; 0, as it is unless set, takes the likeliest token each time.</summary>
    public double Temperature { get; init; }

    /// <summary>Draw from so many of the likeliest tokens; 0 for all.</summary>
    public int TopK { get; init; }

    /// <summary>Draw from the likeliest tokens that together have this probability; 1 for all.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Draw from tokens with at least this share of the likeliest one's probability; 0 for all.</summary>
    public double MinP { get; init; }

    /// <summary>Makes tokens that the text has already less likely, above 1, or likelier, below; 1 for neither.</summary>
    public double RepetitionPenalty { get; init; } = 1;

    /// <summary>No so many tokens in a row come twice; 0 for no such rule.</summary>
    public int NoRepeatNgram { get; init; }

    /// <summary>The tokens to add before one that ends a text may come.</summary>
    public int MinTokens { get; init; }

    /// <summary>Names the random numbers: the same seed gives the same text.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>
    /// The first text's row among the random numbers, the next one's being one more: a list of prompts may be split into several calls, each told where it
    /// begins.
    /// </summary>
    public ulong FirstRow { get; init; }

    /// <summary>Tokens that end a text, beside those that the model's files name.</summary>
    public IReadOnlyList<int> Stop { get; init; } = [];

    /// <summary>Strings that end a text: it stops before the first of them that is complete, and no part of one is shown.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>Go on where the model would end: only <see cref="Stop"/> and <see cref="StopStrings"/> end a text early.</summary>
    public bool IgnoreEnd { get; init; }

    /// <summary>The longest text in tokens, prompt included; null for what the model is made for.</summary>
    public int? Context { get; init; }

    /// <summary>Whether the likeliest token is taken as the model says, so that logits need not leave the device.</summary>
    internal bool IsPlain => Temperature == 0 && RepetitionPenalty == 1 && NoRepeatNgram == 0 && MinTokens == 0;

    /// <summary>The options, if they make sense for a model of so many tokens.</summary>
    /// <exception cref="ArgumentException">One of them does not; it is named.</exception>
    internal GenerationOptions Checked(int vocabulary)
    {
        Require(MaxTokens >= 1, nameof(MaxTokens), MaxTokens, "1 at least");
        Require(float.IsFinite((float)Temperature) && (Temperature == 0 || (float)Temperature > 0), nameof(Temperature), Temperature, "0 or above");
        Require(TopK >= 0, nameof(TopK), TopK, "0 for all, or above");
        Require(TopP is > 0 and <= 1, nameof(TopP), TopP, "above 0, and 1 at most");
        Require(MinP is >= 0 and <= 1, nameof(MinP), MinP, "from 0 to 1");
        Require((float)RepetitionPenalty > 0 && float.IsFinite((float)RepetitionPenalty), nameof(RepetitionPenalty), RepetitionPenalty, "above 0");
        Require(NoRepeatNgram >= 0, nameof(NoRepeatNgram), NoRepeatNgram, "0 for no rule, or above");
        Require(MinTokens >= 0, nameof(MinTokens), MinTokens, "0 or above");
        Require(Context is null or >= 1, nameof(Context), Context ?? 0, "1 at least");
        ArgumentNullException.ThrowIfNull(Stop);
        ArgumentNullException.ThrowIfNull(StopStrings);
        foreach (var token in Stop)
        {
            if (token < 0 || token >= vocabulary)
                throw new ArgumentException($"GenerationOptions: Stop has {token}, which is none of the {vocabulary} tokens.");
        }
        foreach (var text in StopStrings)
            if (string.IsNullOrEmpty(text) || !IsWhole(text))
                throw new ArgumentException("GenerationOptions: StopStrings has a text that is empty or half a character; leave it out.");
        return this;

        static void Require(bool holds, string name, object value, string expected)
        {
            if (!holds) throw new ArgumentException(FormattableString.Invariant($"GenerationOptions: {name} is {value}; {expected} is expected."));
        }
    }

    // Whether every surrogate has its other half.
    private static bool IsWhole(string text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i])) continue;
            if (i + 1 == text.Length || !char.IsSurrogatePair(text[i], text[i + 1])) return false;
            i++;
        }
        return true;
    }
}

/// <summary>Why a text ended.</summary>
public enum Finish
{
    /// <summary>A token came that ends texts; it is the last of the tokens, and not shown.</summary>
    EndToken,
    /// <summary>A stop string came; the text ends before it.</summary>
    StopString,
    /// <summary>It has as many tokens as were asked for.</summary>
    Length,
    /// <summary>It has as many tokens as the model's context holds.</summary>
    Context,
}
