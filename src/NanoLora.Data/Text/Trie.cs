namespace NanoLora.Data;

/// <summary>Strings of code points by their beginnings: node 0 is the root, and a node may end one string.</summary>
internal sealed class Trie
{
    private readonly Dictionary<long, int> _next = [];
    private readonly List<int> _values = [-1];

    /// <summary>Whether it holds nothing.</summary>
    public bool IsEmpty => _values.Count == 1;

    /// <summary>Adds a string, which is not empty; one that is there gets the new value.</summary>
    public void Add(ReadOnlySpan<int> points, int value)
    {
        var node = 0;
        foreach (var point in points)
        {
            if (!_next.TryGetValue(Key(node, point), out var next))
            {
                next = _values.Count;
                _values.Add(-1);
                _next[Key(node, point)] = next;
            }
            node = next;
        }
        _values[node] = value;
    }

    /// <summary>The node that a character leads to, or -1.</summary>
    public int Step(int node, int point) => _next.TryGetValue(Key(node, point), out var next) ? next : -1;

    /// <summary>The value of the string that ends at a node, or -1.</summary>
    public int Value(int node) => _values[node];

    /// <summary>The longest string that a text begins with: its length and value, or 0 and -1.</summary>
    public (int Length, int Value) Longest(ReadOnlySpan<int> text)
    {
        var (length, value, node) = (0, -1, 0);
        for (var i = 0; i < text.Length && (node = Step(node, text[i])) >= 0; i++) if (_values[node] >= 0) (length, value) = (i + 1, _values[node]);
        return (length, value);
    }

    private static long Key(int node, int point) => ((long)node << 21) | (uint)point;
}
