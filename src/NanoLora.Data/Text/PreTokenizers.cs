namespace NanoLora.Data;

/// <summary>Cuts a text into the words that the model looks at one by one. Named as in tokenizer.json.</summary>
internal abstract class PreTokenizer
{
    public abstract void Apply(Pieces x);
}

/// <summary>Several, one after the other.</summary>
internal sealed class PreTokenizerSequence(IReadOnlyList<PreTokenizer> preTokenizers) : PreTokenizer
{
    public override void Apply(Pieces x)
    {
        foreach (var preTokenizer in preTokenizers) preTokenizer.Apply(x);
    }
}

/// <summary>What becomes of what a split has found.</summary>
internal enum SplitBehavior
{
    /// <summary>It goes.</summary>
    Removed,

    /// <summary>It is a word of its own.</summary>
    Isolated,

    /// <summary>It joins the word before it.</summary>
    MergedWithPrevious,

    /// <summary>It joins the word after it.</summary>
    MergedWithNext,

    /// <summary>Neighbours are one word.</summary>
    Contiguous,
}

/// <summary>Cuts where a pattern matches; inverted, where it does not.</summary>
internal sealed class SplitPreTokenizer(Pattern pattern, SplitBehavior behavior, bool invert) : PreTokenizer
{
    public override void Apply(Pieces x) => Cutting.Apply(x, pattern, behavior, invert);
}

/// <summary>Cutting at the matches of a pattern.</summary>
internal static class Cutting
{
    public static void Apply(Pieces x, Pattern pattern, SplitBehavior behavior, bool invert = false)
    {
        var cuts = new List<(int Start, int End)>(x.Cuts.Count);
        var matches = new List<(int Start, int End)>();
        var parts = new List<(int Start, int End, bool Matches)>();
        foreach (var (start, end) in x.Cuts)
        {
            matches.Clear();
            pattern.Find(x.Text.Points[start..end], matches);
            parts.Clear();
            var done = start;
            foreach (var match in matches)
            {
                if (start + match.Start > done) parts.Add((done, start + match.Start, invert));
                done = start + match.End;
                parts.Add((start + match.Start, done, !invert));
            }
            if (done < end) parts.Add((done, end, invert));
            Join(parts, behavior, cuts);
        }
        x.Cuts = cuts;
    }

    private static void Join(List<(int Start, int End, bool Matches)> parts, SplitBehavior behavior, List<(int Start, int End)> cuts)
    {
        var first = cuts.Count;
        for (var i = 0; i < parts.Count; i++)
        {
            var (start, end, matches) = parts[i];
            var before = i > 0 && parts[i - 1].Matches;
            var after = i < parts.Count - 1 && parts[i + 1].Matches;
            if (start == end || (behavior == SplitBehavior.Removed && matches)) continue;
            var joins = behavior switch
            {
                SplitBehavior.MergedWithPrevious => matches && !before,
                // Of several matches in a row, the last joins what follows.
                SplitBehavior.MergedWithNext => !matches && before,
                SplitBehavior.Contiguous => matches == before,
                _ => false,
            };
            if (joins && cuts.Count > first && cuts[^1].End == start) cuts[^1] = (cuts[^1].Start, end);
            else cuts.Add((start, end));
        }
    }
}

/// <summary>
/// GPT-2's: a space in front of a text where asked for, cut by its pattern unless something has cut before, and each byte written as a character.
/// </summary>
internal sealed class ByteLevelPreTokenizer(bool addPrefixSpace, bool useRegex) : PreTokenizer
{
    private static readonly Gpt2Pattern Words = new();

    public override void Apply(Pieces x)
    {
        if (addPrefixSpace) Prefix.Apply(x, ' ', static _ => true);
        if (useRegex) Cutting.Apply(x, Words, SplitBehavior.Isolated);
        var y = new AlignedText(x.Text.Count + x.Text.Count / 8);
        for (var i = 0; i < x.Cuts.Count; i++)
        {
            var start = y.Count;
            ByteAlphabet.Add(y, x.Text, x.Cuts[i].Start, x.Cuts[i].End);
            x.Cuts[i] = (start, y.Count);
        }
        x.Text = y;
    }
}

/// <summary>When a word gets a mark for a space in front that is not there.</summary>
internal enum PrependScheme
{
    Always,

    /// <summary>Where the whole text begins.</summary>
    First,

    Never,
}

/// <summary>SentencePiece's: spaces become ▁, one is put in front, and words begin with one.</summary>
internal sealed class MetaspacePreTokenizer(int replacement, PrependScheme scheme, bool split) : PreTokenizer
{
    private readonly LiteralPattern _mark = new([replacement]);

    public override void Apply(Pieces x)
    {
        var y = new AlignedText(x.Text.Count + x.Cuts.Count);
        for (var i = 0; i < x.Cuts.Count; i++)
        {
            var (start, end) = x.Cuts[i];
            x.Cuts[i] = (y.Count, y.Count + end - start);
            for (; start < end; start++) y.Add(x.Text.Points[start] == ' ' ? replacement : x.Text.Points[start], x.Text, start);
        }
        x.Text = y;
        if (scheme != PrependScheme.Never) Prefix.Apply(x, replacement, scheme == PrependScheme.Always ? static _ => true : static from => from == 0);
        if (split) Cutting.Apply(x, _mark, SplitBehavior.MergedWithNext);
    }
}

/// <summary>Puts a character in front of words that do not begin with it.</summary>
internal static class Prefix
{
    /// <param name="x">The words.</param>
    /// <param name="point">What is put in front; it lies where the first character lies.</param>
    /// <param name="where">Whether a word is meant, by the place where it begins in the original.</param>
    public static void Apply(Pieces x, int point, Func<int, bool> where)
    {
        var y = new AlignedText(x.Text.Count + x.Cuts.Count);
        for (var i = 0; i < x.Cuts.Count; i++)
        {
            var (start, end) = x.Cuts[i];
            var at = y.Count;
            if (x.Text.Points[start] != point && where(x.Text.From(start))) y.Add(point, x.Text, start);
            y.Add(x.Text, start, end);
            x.Cuts[i] = (at, y.Count);
        }
        x.Text = y;
    }
}

/// <summary>BERT's: cut at white space, which goes, and around punctuation.</summary>
internal sealed class BertPreTokenizer : PreTokenizer
{
    private static readonly CharacterPattern Space = new(CodePoints.IsWhiteSpace), Punctuation = new(UnicodeTables.IsPunctuation);

    public override void Apply(Pieces x)
    {
        Cutting.Apply(x, Space, SplitBehavior.Removed);
        Cutting.Apply(x, Punctuation, SplitBehavior.Isolated);
    }
}
