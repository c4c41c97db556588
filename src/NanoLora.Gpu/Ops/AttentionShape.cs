using ILGPU;

namespace NanoLora;

// What the kernels of Attention.cs are told.

/// <summary>How the threads of a group share out the tiles of heads of up to a size: see Attention.cs.</summary>
/// <remarks>
/// Size is 4 or 8 times Across. A slab of keys, 4 Across by SlabCols, is no smaller than one of values, SlabRows by Size, and both are whole multiples of four
/// elements a thread. SlabCols / 4 is even, so that rows with one four more begin in different banks.
/// </remarks>
public interface IHeadTile
{
    /// <summary>The largest head.</summary>
    static abstract int Size { get; }

    /// <summary>Threads along a row.</summary>
    static abstract int Across { get; }

    /// <summary>Rows of threads, forward.</summary>
    static abstract int Down { get; }

    /// <summary>Rows of threads, backward, where a group holds two matrices.</summary>
    static abstract int DownBack { get; }

    /// <summary>Columns that come into shared memory at once where rows are multiplied by rows.</summary>
    static abstract int SlabCols { get; }

    /// <summary>Rows that come into shared memory at once where they are added up.</summary>
    static abstract int SlabRows { get; }
}

#pragma warning disable CS1591 // IHeadTile says it

/// <summary>Heads of up to 16 in groups of two threads, for devices whose groups are small: ILGPU's interpreter.</summary>
public readonly struct HeadsOf16 : IHeadTile
{
    public static int Size => 16;
    public static int Across => 2;
    public static int Down => 1;
    public static int DownBack => 1;
    public static int SlabCols => 8;
    public static int SlabRows => 4;
}

/// <summary>Heads of up to 32: 64 queries (32 backward) by 32 keys.</summary>
public readonly struct HeadsOf32 : IHeadTile
{
    public static int Size => 32;
    public static int Across => 8;
    public static int Down => 16;
    public static int DownBack => 8;
    public static int SlabCols => 32;
    public static int SlabRows => 32;
}

/// <summary>Heads of up to 64: 64 queries (32 backward) by 32 keys.</summary>
public readonly struct HeadsOf64 : IHeadTile
{
    public static int Size => 64;
    public static int Across => 8;
    public static int Down => 16;
    public static int DownBack => 8;
    public static int SlabCols => 64;
    public static int SlabRows => 32;
}

/// <summary>Heads of up to 128: 32 queries (16 backward) by 64 keys.</summary>
public readonly struct HeadsOf128 : IHeadTile
{
    public static int Size => 128;
    public static int Across => 16;
    public static int Down => 8;
    public static int DownBack => 4;
    public static int SlabCols => 64;
    public static int SlabRows => 32;
}

/// <summary>Heads of up to 256: 16 queries (8 backward) by 128 keys.</summary>
public readonly struct HeadsOf256 : IHeadTile
{
    public static int Size => 256;
    public static int Across => 32;
    public static int Down => 4;
    public static int DownBack => 2;
    public static int SlabCols => 32;
    public static int SlabRows => 16;
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

    /// <summary>The number of a query among all of them.</summary>
    public int Row(int batch, int head, int time) => (batch * Heads + head) * Queries + time;

    /// <summary>Where the mask has a query's row.</summary>
    public int MaskRow(int batch, int head, int time) => batch * _maskBatch + head * _maskHead + time * _maskTime;

    /// <summary>s'' of a query and a key, from their product; <paramref name="mask"/> is read at <paramref name="at"/>. Also ∂s' / ∂s.</summary>
    public float Score(float dot, ArrayView<float> mask, int at, out float slope)
    {
        var score = Scale * dot;
        slope = 1;
        if (_softcap > 0)
        {
            var bent = NanoLora.Tanh.Forward(score / _softcap);
            score = _softcap * bent;
            slope = 1 - bent * bent;
        }
        return (_flags & 2) == 0 ? score : score + mask[at];
    }
}

/// <summary>A query as a thread knows it: its number, the keys it sees before any mask, and where its row of the mask is.</summary>
internal readonly struct QueryRow
{
    private readonly int _first, _last, _mask;

    /// <summary>Its number among all queries.</summary>
    public readonly int Number;

    /// <summary>A query that is not there sees nothing.</summary>
    public QueryRow(AttentionShape s, int batch, int head, int time)
    {
        Number = s.Row(batch, head, time);
        _first = s.FirstKey(time);
        _last = time < s.Queries ? s.LastKey(time, 1) : 0;
        _mask = s.MaskRow(batch, head, time);
    }

    public bool IsThere => _last > 0;

    public bool Sees(int key) => key >= _first && key < _last;

    public int MaskAt(int key) => _mask + key;
}
