namespace NanoLora.Data;

/// <summary>
/// The tokens of words seen before. Its size is fixed: a word takes the place that its hash gives, and whoever was there goes. Several threads may use one;
/// an entry is never changed.
/// </summary>
internal sealed class WordCache
{
    private const int Places = 1 << 14, LongestWord = 48;

    private readonly Entry?[] _entries = new Entry?[Places];

    /// <summary>The tokens of a word and where they end in it, or null.</summary>
    public Entry? Find(ReadOnlySpan<int> word)
    {
        if (word.Length > LongestWord) return null;
        var entry = Volatile.Read(ref _entries[Place(word)]);
        return entry is not null && entry.Word.AsSpan().SequenceEqual(word) ? entry : null;
    }

    /// <summary>Keeps the tokens of a word, unless it is long.</summary>
    public void Add(ReadOnlySpan<int> word, int[] ids, int[] starts, int[] ends)
    {
        if (word.Length <= LongestWord) Volatile.Write(ref _entries[Place(word)], new Entry(word.ToArray(), ids, starts, ends));
    }

    private static int Place(ReadOnlySpan<int> word)
    {
        var hash = 2166136261u;
        foreach (var point in word) hash = (hash ^ (uint)point) * 16777619;
        return (int)((hash ^ (hash >> 15)) & (Places - 1));
    }

    /// <summary>A word, its tokens, and which characters of it each stands for: [Starts[i], Ends[i]).</summary>
    internal sealed record Entry(int[] Word, int[] Ids, int[] Starts, int[] Ends);
}
