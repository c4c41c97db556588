namespace NanoLora.Data;

/// <summary>A character of a rewritten text.</summary>
/// <param name="Point">The code point.</param>
/// <param name="Delta">
/// 0: it stands for the next character of the old text; 1: it is added, and lies where the one before it lies; -n: it stands for the next character and
/// swallows n more.
/// </param>
internal readonly record struct Change(int Point, int Delta);

/// <summary>
/// A text that is being rewritten, with the place in the original that each of its characters stands for: character i is <c>Points[i]</c> and lies at
/// [<see cref="From"/>(i), <see cref="To"/>(i)) of the original, in code points. All rewriting is <see cref="Rewrite"/> or adding to an empty one, so offsets
/// cannot be lost.
/// </summary>
internal sealed class AlignedText
{
    private int[] _points, _from, _to;

    /// <summary>An empty text.</summary>
    public AlignedText(int capacity = 16) => (_points, _from, _to) = (new int[capacity], new int[capacity], new int[capacity]);

    /// <summary>An original text.</summary>
    public static AlignedText Of(int[] points)
    {
        var y = new AlignedText(0) { _points = points, _from = new int[points.Length], _to = new int[points.Length], Count = points.Length };
        for (var i = 0; i < points.Length; i++) (y._from[i], y._to[i]) = (i, i + 1);
        return y;
    }

    /// <summary>The number of characters.</summary>
    public int Count { get; private set; }

    /// <summary>The characters.</summary>
    public ReadOnlySpan<int> Points => _points.AsSpan(0, Count);

    /// <summary>Where a character begins in the original.</summary>
    public int From(int index) => _from[index];

    /// <summary>Where it ends.</summary>
    public int To(int index) => _to[index];

    /// <summary>Adds a character.</summary>
    public void Add(int point, int from, int to)
    {
        if (Count == _points.Length)
        {
            var size = Math.Max(16, 2 * Count);
            Array.Resize(ref _points, size);
            Array.Resize(ref _from, size);
            Array.Resize(ref _to, size);
        }
        (_points[Count], _from[Count], _to[Count]) = (point, from, to);
        Count++;
    }

    /// <summary>Adds a character that lies where another text's character lies.</summary>
    public void Add(int point, AlignedText place, int index) => Add(point, place._from[index], place._to[index]);

    /// <summary>Adds a part of another text.</summary>
    public void Add(AlignedText x, int start, int end)
    {
        for (var i = start; i < end; i++) Add(x._points[i], x._from[i], x._to[i]);
    }

    /// <summary>Drops characters at the end.</summary>
    public void Trim(int count) => Count = count;

    /// <summary>A part as a text of its own.</summary>
    public AlignedText Slice(int start, int end)
    {
        if (start == 0 && end == Count) return this;
        var y = new AlignedText(end - start);
        y.Add(this, start, end);
        return y;
    }

    /// <summary>The text that the changes make of this one.</summary>
    /// <param name="changes">In order; what they do not reach is dropped.</param>
    /// <param name="dropped">How many characters are dropped before the first.</param>
    public AlignedText Rewrite(List<Change> changes, int dropped = 0)
    {
        var y = new AlignedText(changes.Count);
        var at = dropped;
        foreach (var change in changes)
        {
            if (change.Delta > 0)
            {
                // What is added before the first character comes from nowhere: it lies, empty, where the text begins.
                if (at > 0) y.Add(change.Point, this, at - 1);
                else y.Add(change.Point, Count > 0 ? _from[0] : 0, Count > 0 ? _from[0] : 0);
                continue;
            }
            y.Add(change.Point, this, at);
            at += 1 - change.Delta;
        }
        return y;
    }

    /// <summary>The text with another at its beginning, which lies where the first character lies; an empty text stays empty.</summary>
    public AlignedText Prepend(ReadOnlySpan<int> points)
    {
        if (Count == 0) return this;
        var y = new AlignedText(Count + points.Length);
        foreach (var point in points) y.Add(point, this, 0);
        y.Add(this, 0, Count);
        return y;
    }

    /// <summary>The text without the characters that do not hold; this one if all do.</summary>
    public AlignedText Where(Func<int, bool> holds)
    {
        AlignedText? y = null;
        for (var i = 0; i < Count; i++)
        {
            var kept = holds(_points[i]);
            if (y is null && !kept)
            {
                y = new AlignedText(Count);
                y.Add(this, 0, i);
            }
            else if (kept) y?.Add(_points[i], this, i);
        }
        return y ?? this;
    }
}

/// <summary>A text and where it is cut into words.</summary>
internal sealed class Pieces(AlignedText text)
{
    /// <summary>The text.</summary>
    public AlignedText Text { get; set; } = text;

    /// <summary>The words: [Start, End) of the text, in order; what lies between them is dropped.</summary>
    public List<(int Start, int End)> Cuts { get; set; } = text.Count > 0 ? [(0, text.Count)] : [];
}
