using NanoLora.Nn;

namespace NanoLora.Models;

/// <summary>What the blocks of one pass through a decoder share: where its tokens stand, which of them are padding, and the cache if there is one.</summary>
internal sealed class DecoderPass
{
    private readonly KeyValueCache? _cache;
    private readonly Tensor? _mask;   // [B, 1, 1, Tk], -∞ at padding
    private readonly int _tokens;

    /// <summary>The pass of these tokens I32 [B, T], which follow those in the cache.</summary>
    /// <exception cref="ArgumentException">Tokens, padding or cache do not fit the model.</exception>
    public DecoderPass(LanguageModel model, Tensor tokens, KeyValueCache? cache, ReadOnlySpan<int> padding)
    {
        if (tokens.DType != DType.I32 || tokens.Shape.Rank != 2 || tokens.Count == 0)
            throw new ArgumentException($"{model.Source}: tokens are I32 [B, T], one at least, not {tokens.DType} {tokens.Shape}.");
        var (batch, start) = (tokens.Shape[0], cache?.Length ?? 0);
        (_cache, _tokens) = (cache, tokens.Shape[1]);
        var end = start + _tokens;
        if (cache is not null && (cache.Sizes != model.Sizes || cache.Batch != batch))
            throw new ArgumentException($"{model.Source}: a cache of {cache.Batch} texts{(cache.Sizes == model.Sizes ? "" : " and another model's sizes")} "
                + $"does not fit tokens {tokens.Shape}; make it with NewCache.");
        if (cache is not null && end > cache.Capacity)
            throw new ArgumentException($"{model.Source}: {_tokens} tokens after {start} do not fit a cache of {cache.Capacity}; make a larger one.");
        if (padding.Length > 0 && padding.Length != batch)
            throw new ArgumentException($"{model.Source}: padding of {padding.Length} rows for tokens {tokens.Shape}.");
        var least = padding.Length > 0 ? end : 0;
        foreach (var count in padding)
        {
            if (count < 0 || count >= end)
                throw new ArgumentException($"{model.Source}: {count} of {end} tokens are padding; every row needs one that is none.");
            least = Math.Min(least, count);
        }
        Length = end - least;
        if (model.Sizes.Bounded && Length > model.MaxPositions)
            throw new ArgumentException($"{model.Source}: a text of {Length} tokens; the model has positions for {model.MaxPositions}.");

        var w = tokens.Workspace;
        var rows = padding.Length == 0 ? 1 : batch;
        var positions = new int[rows * _tokens];
        for (var i = 0; i < positions.Length; i++) positions[i] = Math.Max(0, start + i % _tokens - (padding.Length == 0 ? 0 : padding[i / _tokens]));
        Positions = w.From(positions, new Shape(rows, _tokens));
        if (padding.IndexOfAnyExcept(0) < 0) return;
        var mask = new float[batch * end];
        for (var row = 0; row < batch; row++) mask.AsSpan(row * end, padding[row]).Fill(float.NegativeInfinity);
        _mask = w.From(mask, new Shape(batch, 1, 1, end));
    }

    // The same pass with its tensors under other owners.
    private DecoderPass(DecoderPass pass, Tensor? mask, (Tensor, Tensor) rotary)
    {
        (_cache, _tokens, _mask) = (pass._cache, pass._tokens, mask);
        (Positions, Length, Rotary) = (pass.Positions, pass.Length, rotary);
    }

    /// <summary>The tokens' places, I32 [B or 1, T]; 0 at padding.</summary>
    public Tensor Positions { get; }

    /// <summary>The length of the longest text so far, without padding.</summary>
    public int Length { get; }

    /// <summary>Cosines and sines of the positions, for the layers that see all and for those with a window.</summary>
    public (Tensor Full, Tensor Local) Rotary { get; set; }

    /// <summary>
    /// o(f(x)) within this pass: half a block, recomputed where the workspace says so. The pass that f sees then holds tensors that are kept for it.
    /// </summary>
    public Tensor HalfBlock(Linear o, Tensor x, Func<Tensor, DecoderPass, Tensor> f) =>
        o.After(kept => f(kept[0]!, new DecoderPass(this, kept[1], (kept[2]!, kept[3]!))), x, _mask, Rotary.Full, Rotary.Local);

    /// <summary>Causal attention of queries [B, T, H, D] over keys and values [B, T, G, D] and those in the cache: [B, T, H D].</summary>
    public Tensor Attend(int layer, Tensor q, Tensor k, Tensor v, AttentionOptions options)
    {
        options = options with { Causal = true };
        if (_cache is null) return Tensor.Attention(HeadView.Of(q), HeadView.Of(k), HeadView.Of(v), options, _mask);
        var (keys, values) = _cache.Extend(layer, k, v);
        return Tensor.Attention(HeadView.Of(q), keys, values, options, _mask);
    }

    /// <summary>As <see cref="Attend"/>, within a fused projection [B, T, 3 H D] whose slabs are q, k and v.</summary>
    public Tensor AttendFused(int layer, Tensor qkv, int heads, AttentionOptions options)
    {
        if (_cache is null) return qkv.SelfAttention(heads, options with { Causal = true }, _mask);
        var width = qkv.Cols / 3;
        return Attend(layer, Slab(0), Slab(1), Slab(2), options);

        Tensor Slab(int i) => Heads(qkv.Slice(-1, i * width, (i + 1) * width), heads);
    }

    /// <summary>[B, T, H D] as [B, T, H, D].</summary>
    public static Tensor Heads(Tensor x, int heads) => x.Reshape(x.Shape[0], x.Shape[1], heads, x.Cols / heads);

    /// <summary>Counts the tokens as read.</summary>
    public void End() => _cache?.Advance(_tokens);
}
