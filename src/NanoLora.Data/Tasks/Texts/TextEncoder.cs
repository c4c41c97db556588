namespace NanoLora.Data;

/// <summary>A sample as token ids, and which of them are to be learned.</summary>
/// <param name="Ids">The ids.</param>
/// <param name="Learned">Which of them a training asks the model for.</param>
/// <param name="IsCut">Whether something did not fit.</param>
internal readonly record struct EncodedSample(int[] Ids, bool[] Learned, bool IsCut)
{
    /// <summary>Whether there is anything to learn; nothing stands before the first token, so it cannot be asked for.</summary>
    public bool Teaches => Learned.AsSpan(Math.Min(1, Ids.Length)).Contains(true);
}

/// <summary>
/// Makes the token ids of samples: what stands before a text, what ends one, which tokens are learned, and what is cut off. Several threads may use one at
/// once.
/// </summary>
/// <remarks>
/// A text to go on with is all learned, with the token that ends it. Of a prompt with a completion the completion and the end token are: their ids are those
/// of both together if those of the prompt alone are their beginning, and otherwise each is encoded alone, so that generation from the prompt can give what
/// was learned. Where both are too long, the beginning of the prompt goes first, then the end of the completion. A conversation is written by the model's
/// template; what the template marks as generated is learned, and where it marks nothing, each answer up to the mark of its end.
/// </remarks>
public sealed class TextEncoder
{
    private static readonly EncodeOptions Bare = new() { AddSpecialTokens = false };

    private readonly int[] _begin;
    private readonly ChatTemplate? _template;

    /// <summary>An encoder over the model's tokenizer.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="maxLength">The most tokens of a sample, 2 at least; longer ones are cut.</param>
    /// <param name="end">The token that ends a text; null if the model has none.</param>
    /// <param name="template">How conversations are written; null if the model does not say.</param>
    /// <exception cref="ArgumentException">The length is too small.</exception>
    public TextEncoder(Tokenizer tokenizer, int maxLength, int? end = null, ChatTemplate? template = null)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        if (maxLength < 2) throw new ArgumentException($"TextEncoder: samples of {maxLength} tokens; a text that is learned from has two at least.");
        (Tokenizer, MaxLength, End, _template) = (tokenizer, maxLength, end, template);
        // What the tokenizer puts before a text; what it puts behind one is the end token, or none of a text that goes on.
        var probe = tokenizer.Encode("a");
        _begin = [.. probe.Ids.Zip(probe.SpecialTokensMask).TakeWhile(static p => p.Second == 1).Select(static p => p.First)];
    }

    /// <summary>The encoder of a model's folder: its tokenizer, and the end token that its files name.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="maxLength">The most tokens of a sample.</param>
    /// <param name="chat">Whether conversations are to be written, which needs the folder's chat template.</param>
    /// <param name="end">The end token where the files name none.</param>
    /// <exception cref="InvalidDataException">There is no tokenizer, or a file is damaged; the message names file and field.</exception>
    /// <exception cref="ChatTemplateException">The template is asked for and there is none, or it cannot be read.</exception>
    public static TextEncoder Load(string folder, int maxLength, bool chat = false, int? end = null)
    {
        var tokenizer = Tokenizer.Load(folder);
        return new(tokenizer, maxLength, EndToken.Of(folder, tokenizer) ?? end, chat ? ChatTemplate.Load(folder) : null);
    }

    /// <summary>The tokenizer.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>The most tokens of a sample.</summary>
    public int MaxLength { get; }

    /// <summary>The token that ends a text, or null.</summary>
    public int? End { get; }

    /// <summary>The ids that generation goes on from: a prompt with what stands before a text.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="most">The most ids; the beginning of a longer prompt is cut off.</param>
    public int[] Prompt(string prompt, int most = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        var own = Ids(prompt);
        int[] ids = [.. _begin, .. own[Math.Clamp(own.Length - Math.Max(0, most - _begin.Length), 0, own.Length)..]];
        return ids.Length > 0 || End is null ? ids : [End.Value];                     // families without a first token begin with the one that ends
    }

    /// <summary>A prompt and a text that may follow it, neither cut, without an end token.</summary>
    /// <returns>The ids of the prompt, as <see cref="Prompt"/> gives them, and those of the answer.</returns>
    public (int[] Prompt, int[] Answer) Pair(string prompt, string answer)
    {
        ArgumentNullException.ThrowIfNull(answer);
        var (before, both) = (Prompt(prompt), Ids(prompt + answer));
        var alone = Ids(prompt);
        return (before, both.Length > alone.Length && both.AsSpan().StartsWith(alone) ? both[alone.Length..] : Ids(answer));
    }

    /// <summary>A whole text for a model that reads it at once, with all that the model expects around it.</summary>
    public int[] Whole(string text) => Whole(text, out _);

    /// <summary>As above, telling whether it was cut.</summary>
    internal int[] Whole(string text, out bool isCut)
    {
        ArgumentNullException.ThrowIfNull(text);
        var encoded = Tokenizer.Encode(text, null, new EncodeOptions { Truncation = new(MaxLength) { KeepOverflow = true } });
        isCut = encoded.Overflowing.Count > 0;
        return encoded.Ids.Count > 0 || End is null ? [.. encoded.Ids] : [End.Value];
    }

    /// <summary>What a model writes that has read the prompt: the ids of the answer and the end token, cut to the length.</summary>
    internal int[] Written(string answer, out bool isCut)
    {
        int[] ids = End is { } end ? [.. Ids(answer), end] : Ids(answer);
        isCut = ids.Length > MaxLength;
        return isCut ? ids[..MaxLength] : ids;
    }

    /// <summary>A sample to go on with.</summary>
    /// <exception cref="InvalidDataException">The template refuses the conversation, or the model has none.</exception>
    internal EncodedSample Continued(TextSample sample)
    {
        if (sample.Messages.Count > 0) return Chat(sample);
        if (sample.Answer.Length == 0) return Row([], Ids(sample.Text));
        var (prompt, answer) = Pair(sample.Text, sample.Answer);
        return Row(prompt.AsSpan(_begin.Length), answer);
    }

    // begin | prompt | answer | end: the last two are learned.
    private EncodedSample Row(ReadOnlySpan<int> prompt, int[] answer)
    {
        int[] tail = End is { } end ? [.. answer, end] : answer;
        var room = Math.Clamp(MaxLength - _begin.Length - tail.Length, 0, prompt.Length);
        int[] ids = [.. _begin, .. prompt[^room..], .. tail];
        var learned = new bool[ids.Length];
        learned.AsSpan(_begin.Length + room).Fill(true);
        var length = Math.Min(ids.Length, MaxLength);
        return new(ids[..length], learned[..length], room < prompt.Length || length < ids.Length);
    }

    private EncodedSample Chat(TextSample sample)
    {
        if (_template is null)
            throw new InvalidDataException($"{sample.Place}: the model's folder has no chat template, so it is not known how a conversation is written; "
                + "give prompts and completions, or a model for conversations.");
        try
        {
            var (text, spans) = Answers(sample);
            var encoded = Tokenizer.Encode(text, null, Bare);                             // the template writes the special tokens itself
            var learned = new bool[encoded.Ids.Count];
            var span = 0;
            for (var i = 0; i < learned.Length; i++)
            {
                var (start, end) = encoded.Offsets[i];
                while (span < spans.Count && spans[span].End <= start) span++;
                learned[i] = span < spans.Count && end > spans[span].Start;
            }
            var length = Math.Min(learned.Length, MaxLength);
            return new([.. encoded.Ids.Take(length)], learned[..length], length < learned.Length);
        }
        catch (ChatTemplateException e) { throw new InvalidDataException($"{sample.Place}: messages: {e.Message}", e); }
    }

    // The conversation, and where the assistant's words stand in it, in code points as offsets are.
    private (string Text, List<(int Start, int End)> Spans) Answers(TextSample sample)
    {
        var rendered = _template!.RenderText(sample.Messages);
        var text = rendered.Text;
        List<(int Start, int End)> spans = rendered.Generated.Count > 0
            ? [.. rendered.Generated.Select(r => (r.Start.Value, r.End.Value))]
            : [.. Enumerable.Range(0, sample.Messages.Count).Where(i => sample.Messages[i].IsAnswer).Select(i => Answer(sample, i, text))];
        var (at, points) = (0, 0);
        for (var i = 0; i < spans.Count; i++) spans[i] = (Points(spans[i].Start), Points(spans[i].End));
        return (text, spans);

        int Points(int index)
        {
            foreach (var _ in text.AsSpan(at, index - at).EnumerateRunes()) points++;
            at = index;
            return points;
        }
    }

    // From where an answer is asked for to where the template has ended it.
    private (int Start, int End) Answer(TextSample sample, int index, string text)
    {
        ChatMessage[] before = [.. sample.Messages.Take(index)], with = [.. before, sample.Messages[index]];
        var asked = _template!.Render(before, new ChatOptions { AddGenerationPrompt = true });
        var answered = index == sample.Messages.Count - 1 ? text : _template.Render(with);
        if (!answered.StartsWith(asked, StringComparison.Ordinal) || !text.StartsWith(answered, StringComparison.Ordinal))
        {
            throw new InvalidDataException($"{sample.Place}: messages[{index}]: the template writes this answer otherwise once the conversation goes on, "
                + "and does not mark it with {% generation %}; give a line for each answer, or mark the answers in the template.");
        }
        return (asked.Length, Math.Max(asked.Length, answered.TrimEnd().Length));
    }

    private int[] Ids(string text) => [.. Tokenizer.Encode(text, null, Bare).Ids];
}
