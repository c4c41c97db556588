using NanoLora.Data;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>Sets of free texts as token ids, and what a model that learns from them is given of them: everything is drawn.</summary>
internal sealed class EncodedTexts
{
    private readonly IReadOnlyList<Encoded> _sets;
    private readonly int _withIntents;

    /// <param name="texts">The sets; one of them has classes.</param>
    /// <param name="tokenizer">Makes their ids.</param>
    public EncodedTexts(IReadOnlyList<FreeText> texts, ITokenizer tokenizer)
    {
        End = tokenizer.Id(BpeTrainer.EndToken) ?? throw new ArgumentException("EncodedTexts: the tokenizer has no end token.");
        _sets = [.. texts.Select(text => new Encoded(text, tokenizer))];
        _withIntents = texts.ToList().FindIndex(static text => text.Classes.Count > 0);
        if (_withIntents < 0) throw new ArgumentException("EncodedTexts: no set has classes.");
        Intents = texts[_withIntents].Classes;
        Count = texts.Sum(static text => text.Documents.Count);
    }

    /// <summary>The token that ends a text.</summary>
    public int End { get; }

    /// <summary>The classes of the queries.</summary>
    public IReadOnlyList<string> Intents { get; }

    /// <summary>The number of documents.</summary>
    public int Count { get; }

    /// <summary>What the sets are called together.</summary>
    public string Name => string.Join(" + ", _sets.Select(static set => set.Name));

    /// <summary>Every document as one row of tokens.</summary>
    public IEnumerable<int[]> Documents =>
        _sets.SelectMany(static set => set.Documents.Select(static sentences => sentences.SelectMany(static s => s).ToArray()));

    /// <summary>Refuses shares that are not one for each set.</summary>
    public static void Check(string who, IReadOnlyList<FreeText> texts, IReadOnlyList<float> rows, IReadOnlyList<float> pairs)
    {
        if (texts.Count == rows.Count && texts.Count == pairs.Count) return;
        throw new ArgumentException($"{who}: {texts.Count} sets, {rows.Count} shares of rows and {pairs.Count} of pairs; each set has one of both.");
    }

    /// <summary>Running text: from the beginning of a sentence, and then document after document, each with its end token.</summary>
    public int[] Running(TextDraws draw, IReadOnlyList<float> shares, int length)
    {
        var set = _sets[draw.Share(shares)];
        var row = new List<int>();
        for (var isFirst = true; row.Count < length; isFirst = false)
        {
            var sentences = set.Documents[draw.Below(set.Documents.Count)];
            for (var s = isFirst ? draw.Below(sentences.Length) : 0; s < sentences.Length; s++) row.AddRange(sentences[s]);
            row.Add(End);
        }
        return [.. row.Take(length)];
    }

    /// <summary>A text with an intent.</summary>
    public int[] Query(TextDraws draw, out int intent)
    {
        var set = _sets[_withIntents];
        var d = draw.Below(set.Documents.Count);
        intent = set.Labels[d];
        return set.Documents[d][0];
    }

    /// <summary>Two that say the same, or stand next to each other, or two readings of one text, each without some of its tokens.</summary>
    /// <param name="draw">Draws.</param>
    /// <param name="shares">How often each set is drawn.</param>
    /// <param name="ofIntents">Whether two texts of one intent are a pair too.</param>
    /// <param name="drop">The share of tokens that a reading leaves out.</param>
    public (int[] First, int[] Second) Pair(TextDraws draw, IReadOnlyList<float> shares, bool ofIntents, float drop)
    {
        var set = _sets[draw.Share(shares)];
        if (set.Groups.Count > 0 && (set.Labels.Count == 0 || ofIntents))
        {
            var group = set.Groups[draw.Below(set.Groups.Count)];
            var (a, b) = (draw.Below(group.Length), draw.Below(group.Length - 1));
            return (group[a], group[b < a ? b : b + 1]);
        }
        var sentences = set.Documents[draw.Below(set.Documents.Count)];
        var s = draw.Below(Math.Max(1, sentences.Length - 1));
        return sentences.Length > 1 ? (sentences[s], sentences[s + 1]) : (Thinned(sentences[0], draw, drop), Thinned(sentences[0], draw, drop));
    }

    private static int[] Thinned(int[] text, TextDraws draw, float drop)
    {
        int[] kept = [.. text.Where(_ => draw.Uniform() >= drop)];
        return kept.Length > 0 ? kept : [text[draw.Below(text.Length)]];
    }

    // A set as token ids: [document][sentence][token].
    private sealed class Encoded
    {
        public Encoded(FreeText text, ITokenizer tokenizer)
        {
            Name = text.Name;
            Labels = text.Labels;
            Documents = [.. text.Documents.Select(document => document.Select(Ids).ToArray())];
            var ofClasses = Enumerable.Range(0, Labels.Count).GroupBy(d => Labels[d], d => Documents[d][0]).Where(static g => g.Count() > 1);
            Groups = Labels.Count > 0 ? [.. ofClasses.Select(static g => g.ToArray())] : [.. text.Paraphrases.Select(group => group.Select(Ids).ToArray())];

            int[] Ids(string sentence) => tokenizer.Encode(sentence) is { Length: > 0 } ids ? ids
                : throw new InvalidDataException($"{text.Name}: the tokenizer makes no token of \"{sentence}\".");
        }

        public string Name { get; }

        public IReadOnlyList<int> Labels { get; }

        public IReadOnlyList<int[][]> Documents { get; }

        public IReadOnlyList<int[][]> Groups { get; }
    }
}

/// <summary>The numbers of a stream, one after the other.</summary>
/// <param name="random">The stream.</param>
internal sealed class TextDraws(Philox random)
{
    private ulong _next;

    /// <summary>A number from 0 to below n.</summary>
    public int Below(int n) => random.Below(_next++, n);

    /// <summary>A number from 0 to below 1.</summary>
    public float Uniform() => random.Uniform(_next++);

    /// <summary>Which of several, each as often as its share.</summary>
    public int Share(IReadOnlyList<float> shares)
    {
        var (at, left) = (0, Uniform() * shares.Sum());
        while (at < shares.Count - 1 && (left -= shares[at]) >= 0) at++;
        return at;
    }
}
