using System.CommandLine;
using NanoLora.Models;

namespace NanoLora.Cli;

/// <summary>How tokens are chosen and what ends a text: the options of generate and chat.</summary>
internal sealed class SamplingOptions
{
    private readonly Option<int> _maxTokens = Inputs.Whole("--max-tokens", "The most tokens to write.", new GenerationOptions().MaxTokens);
    private readonly Option<double?> _temperature = Inputs.Number("--temperature",
        "What logits are divided by before a token is drawn; 0, as it is if not given, takes the likeliest each time.", 0);
    private readonly Option<int> _topK = Inputs.Whole("--top-k", "Draw from so many of the likeliest tokens; 0 for all.", 0, 0);
    private readonly Option<double?> _topP = Inputs.Number("--top-p", "Draw from the likeliest tokens that have this probability together; 1 for all.");
    private readonly Option<double?> _minP = Inputs.Number("--min-p", "Draw from tokens with this share of the likeliest one's probability at least.", 0);
    private readonly Option<double?> _penalty = Inputs.Number("--repetition-penalty", "Above 1: makes tokens that the text has already less likely.");
    private readonly Option<int> _noRepeat = Inputs.Whole("--no-repeat-ngram", "No so many tokens in a row come twice; 0 for no such rule.", 0, 0);
    private readonly Option<ulong> _seed = Inputs.Seed("Of the random numbers: the same seed gives the same text.");
    private readonly Option<string[]> _stop = Inputs.Texts("--stop", "TEXT",
        @"End before this text comes; may be given several times. \n stands for a line break, \t for a tab, \\ for a backslash.");

    /// <summary>Makes them options of a command.</summary>
    public void AddTo(Command command)
    {
        foreach (var option in (ReadOnlySpan<Option>)[_maxTokens, _temperature, _topK, _topP, _minP, _penalty, _noRepeat, _seed, _stop]) command.Add(option);
    }

    /// <summary>What was given.</summary>
    /// <exception cref="UsageException">A share that is none.</exception>
    public GenerationOptions Of(ParseResult parsed)
    {
        var (topP, minP) = (parsed.GetValue(_topP) ?? 1, parsed.GetValue(_minP) ?? 0);
        if (topP > 1) throw new UsageException(FormattableString.Invariant($"--top-p: \"{topP}\" is more than 1, all that there is."));
        if (minP > 1) throw new UsageException(FormattableString.Invariant($"--min-p: \"{minP}\" is more than 1, the likeliest token's own share."));
        return new()
        {
            MaxTokens = parsed.GetValue(_maxTokens), Temperature = parsed.GetValue(_temperature) ?? 0, TopK = parsed.GetValue(_topK), TopP = topP, MinP = minP,
            RepetitionPenalty = parsed.GetValue(_penalty) ?? 1, NoRepeatNgram = parsed.GetValue(_noRepeat), Seed = parsed.GetValue(_seed),
            StopStrings = [.. (parsed.GetValue(_stop) ?? []).Select(Unescaped)],
        };
    }

    // Another letter after a backslash stands as it is, backslash and all.
    private static string Unescaped(string text)
    {
        var y = new System.Text.StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            var special = text[i] == '\\' && i + 1 < text.Length ? @"nt\".IndexOf(text[i + 1], StringComparison.Ordinal) : -1;
            if (special < 0) y.Append(text[i]);
            else
            {
                y.Append("\n\t\\"[special]);
                i++;
            }
        }
        return y.ToString();
    }
}
