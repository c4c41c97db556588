namespace NanoLora.Models;

/// <summary>
/// The keys and values of texts that a model has read: for each block two tensors [B, Tmax, G, D], made once, of which the first <see cref="Length"/>
/// tokens are filled. Attention reads them in place. It belongs to one request; <see cref="LanguageModel.NewCache"/> makes it.
/// </summary>
public sealed class KeyValueCache : IDisposable
{
    private readonly Tensor[] _keys, _values;   // [B, Tmax, G, D] for each block
    private readonly Backend _backend;
    private readonly int[] _padding;

    internal KeyValueCache(Backend backend, DecoderSizes sizes, int batch, int capacity, ReadOnlySpan<int> padding)
    {
        if (batch < 1 || capacity < 1) throw new ArgumentException($"KeyValueCache: {batch} texts of {capacity} tokens; both must be 1 at least.");
        if (padding.Length > 0 && padding.Length != batch) throw new ArgumentException($"KeyValueCache: padding of {padding.Length} rows for {batch} texts.");
        (_backend, Sizes, Batch, Capacity, _padding) = (backend, sizes, batch, capacity, padding.ToArray());
        var workspace = new Workspace(backend);                                        // one without scopes: the tensors are the cache's own
        (_keys, _values) = (new Tensor[sizes.Layers], new Tensor[sizes.Layers]);
        try
        {
            for (var layer = 0; layer < sizes.Layers; layer++) (_keys[layer], _values[layer]) = (workspace.New(Full), workspace.New(Full));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>How many texts, B.</summary>
    public int Batch { get; }

    /// <summary>Places for tokens, Tmax.</summary>
    public int Capacity { get; private set; }

    /// <summary>Tokens that are filled.</summary>
    public int Length { get; private set; }

    /// <summary>How many tokens at the beginning of each row are padding; empty for none.</summary>
    internal ReadOnlySpan<int> Padding => _padding;

    /// <summary>The kind of model that it is for.</summary>
    internal DecoderSizes Sizes { get; }

    /// <summary>Empties it: the next tokens are the first again.</summary>
    public void Clear() => Length = 0;

    /// <summary>Forgets all tokens but the first ones: the next are read after these.</summary>
    /// <param name="length">How many stay, at most as many as there are.</param>
    /// <exception cref="ArgumentOutOfRangeException">More than there are, or fewer than none.</exception>
    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length);
        Length = length;
    }

    /// <summary>Makes room for so many tokens in all: at least doubles the places, within <paramref name="most"/>, and copies what is there.</summary>
    internal void Reserve(int tokens, int most)
    {
        if (tokens <= Capacity) return;
        var before = Capacity;
        Capacity = Math.Max(tokens, (int)Math.Min(2L * Capacity, most));
        try
        {
            var workspace = new Workspace(_backend);
            for (var layer = 0; layer < _keys.Length; layer++)
            {
                _keys[layer] = Grown(workspace, _keys[layer], before);
                _values[layer] = Grown(workspace, _values[layer], before);
            }
        }
        catch
        {
            Dispose();                                                                 // some have grown, some have not
            throw;
        }
    }

    /// <summary>Writes the keys and values [B, T, G, D] of a block's next tokens, and gives all that are there.</summary>
    internal (HeadView Keys, HeadView Values) Extend(int layer, Tensor k, Tensor v)
    {
        return (Put(_keys[layer], k), Put(_values[layer], v));

        HeadView Put(Tensor all, Tensor x)
        {
            var tokens = x.Shape[1];
            x.Backend.CopyMiddle(x, all, Batch, tokens, 0, Capacity, Length, tokens, x.Shape[2] * x.Shape[3]);
            return HeadView.Filled(all.In(x.Workspace), Length + tokens);
        }
    }

    /// <summary>Counts tokens as filled, once every block has written theirs.</summary>
    internal void Advance(int tokens) => Length += tokens;

    private Shape Full => new(Batch, Capacity, Sizes.KeyHeads, Sizes.HeadSize);

    private Tensor Grown(Workspace workspace, Tensor x, int before)
    {
        var y = workspace.New(Full);
        if (Length > 0) _backend.CopyMiddle(x, y, Batch, before, 0, Capacity, 0, Length, Sizes.KeyHeads * Sizes.HeadSize);
        x.Dispose();
        return y;
    }

    /// <summary>Lets the memory go.</summary>
    public void Dispose()
    {
        foreach (var x in _keys) x?.Dispose();
        foreach (var x in _values) x?.Dispose();
    }
}
