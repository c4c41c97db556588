namespace NanoLora;

// What Attention.cs takes: heads in place, wherever they lie in a tensor, and what a query sees. Nothing is copied to bring heads together.

/// <summary>What a query sees, and how scores are made.</summary>
/// <param name="Causal">No key after the query's own place; the last query sits on the last key.</param>
/// <param name="Window">Only this many keys, up to the query's own; 0 for all.</param>
/// <param name="Softcap">Scores are bent by cap · tanh(s / cap); 0 for not at all.</param>
/// <param name="Scale">The factor of q kᵀ; null for 1 / √D.</param>
public readonly record struct AttentionOptions(bool Causal = false, int Window = 0, float Softcap = 0, float? Scale = null);

/// <summary>Where heads lie in each batch's share of a tensor [B, ..]: head h at time t starts at Offset + t · RowStride + h · HeadStride.</summary>
/// <param name="Offset">Of the first head at time 0.</param>
/// <param name="RowStride">From one time to the next.</param>
/// <param name="HeadStride">From one head to the next.</param>
/// <param name="Length">How many times there are (of a cache: that are filled).</param>
/// <param name="Count">How many heads there are.</param>
/// <param name="Size">Elements of a head, D.</param>
public readonly record struct HeadLayout(int Offset, int RowStride, int HeadStride, int Length, int Count, int Size);

/// <summary>Queries, keys or values in place: a tensor whose first axis is the batch, and where in each batch's share the heads lie.</summary>
public readonly record struct HeadView(Tensor Tensor, HeadLayout Layout)
{
    /// <summary>All of a tensor [B, T, H, D].</summary>
    /// <exception cref="ArgumentException">Not four axes.</exception>
    public static HeadView Of(Tensor x) => Filled(x, x.Shape.Rank == 4 ? x.Shape[1] : 0);

    /// <summary>The first <paramref name="length"/> times of a cache [B, T, H, D].</summary>
    /// <exception cref="ArgumentException">Not four axes, or fewer times.</exception>
    public static HeadView Filled(Tensor x, int length)
    {
        if (x.Shape.Rank != 4 || length < 0 || length > x.Shape[1])
            throw new ArgumentException($"Attention: {x.Shape} is not [B, T, H, D] with {length} times or more.");
        return new(x, new HeadLayout(0, x.Shape[2] * x.Shape[3], x.Shape[3], length, x.Shape[2], x.Shape[3]));
    }

    /// <summary>All of a tensor [B, T, H D].</summary>
    /// <exception cref="ArgumentException">Not three axes, or a width that so many heads do not divide.</exception>
    public static HeadView SideBySide(Tensor x, int heads)
    {
        if (x.Shape.Rank != 3 || heads < 1 || x.Cols % heads != 0) throw new ArgumentException($"Attention: {x.Shape} is not [B, T, H D] with {heads} heads.");
        return new(x, new HeadLayout(0, x.Cols, x.Cols / heads, x.Shape[1], heads, x.Cols / heads));
    }

    /// <summary>Elements in each batch's share.</summary>
    public int BatchStride => Tensor.Count / Math.Max(1, Tensor.Shape[0]);

    /// <summary>Where head <paramref name="head"/> of batch <paramref name="batch"/> is at time <paramref name="time"/>.</summary>
    public int At(int batch, int head, int time) => batch * BatchStride + Layout.Offset + time * Layout.RowStride + head * Layout.HeadStride;

    /// <summary>Whether all heads lie within each batch's share: kernels go by the strides alone.</summary>
    internal bool IsInside
    {
        get
        {
            var (offset, row, head, length, count, size) = Layout;
            if (offset < 0 || row < 0 || head < 0 || length < 0 || count < 0 || size < 0) return false;
            if (length == 0 || count == 0 || size == 0 || Tensor.Shape[0] == 0) return true;
            return offset + (length - 1L) * row + (count - 1L) * head + size <= BatchStride;
        }
    }

    /// <summary>The tensor's shape, and what of it is seen.</summary>
    public override string ToString() => $"{Tensor.Shape} ({Layout.Length} times, {Layout.Count} heads of {Layout.Size})";
}
