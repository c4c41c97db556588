using ILGPU;

namespace NanoLora;

// What the kernels of Attention.cs are told.

/// <summary>How many rows of heads of up to a size a group holds in shared memory.</summary>
public interface IHeadTile
{
    /// <summary>The largest head.</summary>
    static abstract int Size { get; }

    /// <summary>R.</summary>
    static abstract int Rows { get; }
}

#pragma warning disable CS1591 // IHeadTile says it

/// <summary>Heads of up to 64.</summary>
public readonly struct HeadsOf64 : IHeadTile
{
    public static int Size => 64;
    public static int Rows => 32;
}

/// <summary>Heads of up to 128.</summary>
public readonly struct HeadsOf128 : IHeadTile
{
    public static int Size => 128;
    public static int Rows => 16;
}

/// <summary>Heads of up to 256.</summary>
public readonly struct HeadsOf256 : IHeadTile
{
    public static int Size => 256;
    public static int Rows => 8;
}

#pragma warning restore CS1591

/// <summary>Where heads lie in a tensor.</summary>
public readonly struct HeadPlace
{
    private readonly int _batchStride, _offset, _headStride;

    /// <summary>From one time to the next.</summary>
    public readonly int RowStride;

    internal HeadPlace(HeadView x) =>
        (_batchStride, _offset, _headStride, RowStride) = (x.BatchStride, x.Layout.Offset, x.Layout.HeadStride, x.Layout.RowStride);

    /// <summary>Where head <paramref name="head"/> of batch <paramref name="batch"/> is at time <paramref name="time"/>.</summary>
    public int At(int batch, int head, int time) => batch * _batchStride + _offset + time * RowStride + head * _headStride;
}

/// <summary>What the kernels know of an attention: sizes, places, what a query sees, and which gradients are wanted.</summary>
public readonly struct AttentionShape
{
    /// <summary>Where queries lie, and their gradient.</summary>
    public readonly HeadPlace Q;
    /// <summary>Where keys lie, and their gradient.</summary>
    public readonly HeadPlace K;
    /// <summary>Where values lie, and their gradient.</summary>
    public readonly HeadPlace V;
    /// <summary>Where the result lies, and its gradient.</summary>
    public readonly HeadPlace Y;
    /// <summary>Tq.</summary>
    public readonly int Queries;
    /// <summary>Tk.</summary>
    public readonly int Keys;
    /// <summary>H.</summary>
    public readonly int Heads;
    /// <summary>G.</summary>
    public readonly int KeyHeads;
    /// <summary>D.</summary>
    public readonly int Size;
    /// <summary>The factor of q kᵀ.</summary>
    public readonly float Scale;
    private readonly float _softcap;
    private readonly int _batches, _window, _maskBatch, _maskHead, _maskTime, _flags;     // strides of the mask, 0 where it is stretched

    internal AttentionShape(HeadView q, HeadView k, HeadView v, HeadView y, Tensor? mask, AttentionOptions options)
    {
        (Q, K, V, Y) = (new(q), new(k), new(v), new(y));
        (Queries, Keys, Heads, KeyHeads, Size) = (q.Layout.Length, k.Layout.Length, q.Layout.Count, k.Layout.Count, q.Layout.Size);
        (Scale, _softcap, _window, _batches) = (options.Scale!.Value, options.Softcap, options.Window, y.Tensor.Shape[0]);
        _flags = (options.Causal ? 1 : 0) | (mask is null ? 0 : 2);
        if (Size > HeadsOf256.Size) throw new ArgumentException($"Attention: heads of {Size}; on this device they have {HeadsOf256.Size} elements at most.");
        if (mask is null) return;
        _maskTime = mask.Shape[2] == 1 ? 0 : Keys;
        _maskHead = mask.Shape[1] == 1 ? 0 : mask.Shape[2] * Keys;
        _maskBatch = mask.Shape[0] == 1 ? 0 : mask.Shape[1] * mask.Shape[2] * Keys;
    }

    private AttentionShape(AttentionShape s, int flags)
    {
        this = s;
        _flags = flags;
    }

    internal AttentionShape For(Tensor? dq, Tensor? dk, Tensor? dv, Tensor? dscores) =>
        new(this, _flags | (dq is null ? 0 : 4) | (dk is null ? 0 : 8) | (dv is null ? 0 : 16) | (dscores is null ? 0 : 32));

    internal int Groups(int heads, int length, int rows) => checked(_batches * heads * ((length + rows - 1) / rows));

    /// <summary>Query heads that read one key head.</summary>
    public int GroupSize => Heads / KeyHeads;

    /// <summary>Whether dq is wanted.</summary>
    public bool WantsQ => (_flags & 4) != 0;

    /// <summary>Whether dk is wanted.</summary>
    public bool WantsK => (_flags & 8) != 0;

    /// <summary>Whether dv is wanted.</summary>
    public bool WantsV => (_flags & 16) != 0;

    /// <summary>Whether the gradients of the scores are wanted.</summary>
    public bool WantsScores => (_flags & 32) != 0;

    /// <summary>The first key that a query from <paramref name="time"/> on sees.</summary>
    public int FirstKey(int time)
    {
        var first = time + Keys - Queries - _window + 1;
        return _window > 0 && first > 0 ? first : 0;
    }

    /// <summary>Beyond the last key that any of <paramref name="rows"/> queries sees.</summary>
    public int LastKey(int time, int rows)
    {
        if ((_flags & 1) == 0) return Keys;
        var last = time + rows + Keys - Queries;
        return last < 0 ? 0 : last < Keys ? last : Keys;
    }

    /// <summary>Whether there is such a query and it sees a key, before any mask.</summary>
    public bool Sees(int time, int key, int last)
    {
        var at = time + Keys - Queries;
        return time < Queries && key < last && ((_flags & 1) == 0 || key <= at) && (_window == 0 || key > at - _window);
    }

    /// <summary>s'' of a query and a key, from their product; where there is a soft-cap, tanh (s / cap) as well.</summary>
    public float Score(float dot, ArrayView<float> mask, int batch, int head, int time, int key, out float bent)
    {
        var score = Scale * dot;
        bent = 0;
        if (_softcap > 0)
        {
            bent = NanoLora.Tanh.Forward(score / _softcap);
            score = _softcap * bent;
        }
        return (_flags & 2) == 0 ? score : score + mask[batch * _maskBatch + head * _maskHead + time * _maskTime + key];
    }

    /// <summary>∂s' / ∂s, from tanh (s / cap).</summary>
    public float Slope(float bent) => 1 - bent * bent;
}
