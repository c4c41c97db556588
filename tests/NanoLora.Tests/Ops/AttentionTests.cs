using NanoLora;
using static NanoLora.Tests.Ops.FiniteDifferences;

namespace NanoLora.Tests.Ops;

public class AttentionTests
{
    // Sizes beyond one tile of queries (80) and of keys (256), odd heads, and every option; heads enough that a block has all queries of one, and too wide to
    // be packed (128).
    public static TheoryData<int, int, int, int, int, int, bool, int, float, string> Cases => new()
    {
        { 2, 17, 17, 3, 3, 5, false, 0, 0, "none" },
        { 1, 70, 70, 2, 1, 24, true, 0, 0, "none" },
        { 2, 67, 300, 4, 2, 5, true, 40, 0, "heads" },
        { 1, 70, 530, 2, 2, 3, false, 0, 3, "full" },
        { 2, 9, 300, 6, 2, 8, true, 290, 2, "keys" },
        { 1, 5, 3, 2, 2, 4, true, 0, 0, "none" },          // the first queries see nothing
        { 3, 1, 40, 4, 4, 7, true, 0, 0, "queries" },
        { 2, 170, 300, 16, 8, 20, true, 0, 0, "none" },
        { 2, 165, 600, 16, 16, 9, true, 120, 0, "none" },
        { 4, 197, 197, 8, 8, 33, false, 0, 0, "none" },
        { 4, 90, 270, 8, 4, 12, true, 0, 5, "keys" },
        { 1, 90, 100, 32, 32, 130, true, 0, 0, "none" },
        { 4, 200, 7, 8, 8, 8, true, 0, 0, "none" },        // whole tiles of queries see nothing
        { 1, 9, 3, 2, 2, 4, false, int.MaxValue, 0, "none" },  // a place less the window is below the lowest int
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void ValuesAndGradientsAreThoseOfTheFormula(int batch, int queries, int keys, int heads, int keyHeads, int size, bool causal,
        int window, float softcap, string mask)
    {
        var reference = new Reference(batch, queries, keys, heads, keyHeads, size, causal, window, softcap, mask switch
        {
            "heads" => new Shape(1, heads, queries, keys),
            "full" => new Shape(batch, heads, queries, keys),
            "keys" => new Shape(batch, 1, 1, keys),
            "queries" => new Shape(1, 1, queries, keys),
            _ => new Shape(),
        });
        using var backend = new CpuBackend(3);
        var main = backend.Main;
        using Parameter q = Trained(main, reference.Q, new Shape(batch, queries, heads, size)),
            k = Trained(main, reference.K, new Shape(batch, keys, keyHeads, size)), v = Trained(main, reference.V, k.Shape);
        using var m = reference.MaskShape.Rank == 4 ? Trained(main, reference.Mask, reference.MaskShape) : null;
        using var scope = backend.Scope();
        var y = q.Value.Attention(k, v, new AttentionOptions(causal, window, softcap), m is null ? null : (Tensor)m);
        Close(reference.Y, y.ToArray(), 1e-5);
        y.Backward(main.From(reference.DY, y.Shape));
        Close(reference.DQ, q.Gradient!.ToArray(), 2e-5);
        Close(reference.DK, k.Gradient!.ToArray(), 2e-5);
        Close(reference.DV, v.Gradient!.ToArray(), 2e-5);
        if (m is not null) Close(reference.DMask, m.Gradient!.ToArray(), 2e-5);
    }

    [Theory]
    [InlineData(3, 3)]
    [InlineData(4, 2)]
    public void FusedAndSideBySideGiveTheBitsOfSeparateHeads(int heads, int keyHeads)
    {
        const int batch = 2, times = 70, size = 8;
        int width = heads * size, keyWidth = keyHeads * size, all = width + 2 * keyWidth;
        float[] x = Normals(batch * times * all, 1), up = Normals(batch * times * width, 2);
        using var backend = new CpuBackend(2);
        using var qkv = Trained(backend.Main, x, new Shape(batch, times, all));
        using var split = Trained(backend.Main, x, qkv.Shape);
        using var scope = backend.Scope();
        var dy = backend.Main.From(up, new Shape(batch, times, width));
        var fused = qkv.Value.SelfAttention(heads, new AttentionOptions(Causal: true), keyHeads: keyHeads);
        fused.Backward(dy);
        Tensor q = split.Value.Slice(2, 0, width), k = split.Value.Slice(2, width, width + keyWidth), v = split.Value.Slice(2, width + keyWidth, all);
        var apart = q.Attention(k, v, heads, keyHeads, new AttentionOptions(Causal: true));
        apart.Backward(dy);
        Assert.Equal(apart.ToArray(), fused.ToArray());
        Assert.Equal(split.Gradient!.ToArray(), qkv.Gradient!.ToArray());
    }

    [Fact]
    public void TheBitsAreTheSameForAnyNumberOfThreads()
    {
        float[] x = Normals(2 * 130 * 6 * 8, 1), bias = Normals(2 * 130 * 130, 2);
        List<float[]> values = [], gradients = [], slopes = [];
        foreach (var threads in new[] { 1, 2, 5 })
        {
            using var backend = new CpuBackend(threads);
            using Parameter qkv = Trained(backend.Main, x, new Shape(2, 130, 6 * 8)), mask = Trained(backend.Main, bias, new Shape(1, 2, 130, 130));
            using var scope = backend.Scope();
            var y = qkv.Value.SelfAttention(2, new AttentionOptions(Window: 70), mask);
            y.Backward(y.Detach());
            values.Add(y.ToArray());
            gradients.Add(qkv.Gradient!.ToArray());
            slopes.Add(mask.Gradient!.ToArray());
        }
        foreach (var list in new[] { values, gradients, slopes }) Assert.All(list, other => Assert.Equal(list[0], other));
    }

    [Fact]
    public void ACacheIsReadInPlaceAndItsEmptyEndHasNoGradient()
    {
        using var backend = new CpuBackend(2);
        float[] q = Normals(2 * 3 * 4 * 5, 1), cache = Normals(2 * 11 * 2 * 5, 2);
        using var k = Trained(backend.Main, cache, new Shape(2, 11, 2, 5));
        using var scope = backend.Scope();
        var queries = backend.Main.From(q, new Shape(2, 3, 4, 5));
        var filled = k.Value.Slice(1, 0, 7);
        var expected = queries.Attention(filled, filled, new AttentionOptions(Causal: true)).ToArray();
        var y = Tensor.Attention(HeadView.Of(queries), HeadView.Filled(k, 7), HeadView.Filled(k, 7), new AttentionOptions(Causal: true));
        Assert.Equal(expected, y.ToArray());
        y.Backward(backend.Main.From(Normals(y.Count, 3), y.Shape));
        var dk = k.Gradient!.ToArray();
        for (var b = 0; b < 2; b++) Assert.True(dk.AsSpan((b * 11 + 7) * 10, 40).IndexOfAnyExcept(0f) < 0);
        Assert.Contains(dk, g => g != 0);
    }

    [Fact]
    public void ARowHiddenByMinusInfinityIsZeroInThatRowAlone()
    {
        using var backend = new CpuBackend(1);
        var hidden = new float[9];
        hidden.AsSpan(3, 3).Fill(float.NegativeInfinity);
        using var x = Trained(backend.Main, Normals(3 * 12, 1), new Shape(1, 3, 12));
        using var scope = backend.Scope();
        var y = x.Value.SelfAttention(2, mask: backend.Main.From(hidden, new Shape(1, 1, 3, 3)));
        var values = y.ToArray();
        Assert.All(values[4..8], v => Assert.Equal(0, v));
        Assert.All(values[..4], v => Assert.True(float.IsFinite(v) && v != 0));
        y.Backward(backend.Main.From(Normals(12, 2), y.Shape));
        Assert.All(x.Gradient!.ToArray(), g => Assert.True(float.IsFinite(g)));
    }

    [Fact]
    public void NoMatrixOfAllScoresOutlivesTheForwardPass()
    {
        const int batch = 2, times = 197, heads = 4, size = 8;
        using var backend = new CpuBackend(1);
        using var x = Trained(backend.Main, Normals(batch * times * 3 * heads * size, 1), new Shape(batch, times, 3 * heads * size));
        using var scope = backend.Scope();
        x.Value.SelfAttention(heads);
        // the statistics: two floats a query; the block may be a quarter larger
        Assert.InRange(backend.Main.SavedBytes, 1, 2 * 4 * 2 * batch * heads * times);
    }

    [Fact]
    public void GradientsAreSlopes() => Check(x => x[0].Attention(x[1], x[2], new AttentionOptions(Causal: true, Window: 3, Softcap: 2), x[3]),
        (Normals(2 * 3 * 2 * 3, 1), new Shape(2, 3, 2, 3)), (Normals(2 * 4 * 3, 2), new Shape(2, 4, 1, 3)), (Normals(2 * 4 * 3, 3), new Shape(2, 4, 1, 3)),
        (Normals(2 * 4, 4), new Shape(1, 2, 1, 4)));

    [Fact]
    public void WhatDoesNotFitIsRefusedWithItsShapes()
    {
        using var backend = new CpuBackend(1);
        using var scope = backend.Scope();
        Tensor q = backend.Main.Zeros(new Shape(1, 3, 4, 5)), k = backend.Main.Zeros(new Shape(1, 3, 3, 5));
        Assert.Contains("[1, 3, 3, 5]", Assert.Throws<ArgumentException>(() => q.Attention(k, k)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => q.Attention(q, q, mask: backend.Main.Zeros(new Shape(1, 1, 3, 4))));
        Assert.Throws<ArgumentException>(() => backend.Main.Zeros(new Shape(1, 3, 10)).SelfAttention(4));
    }

    private static Parameter Trained(Workspace workspace, float[] values, Shape shape) => new(workspace.From(values, shape)) { Trains = true };

    /// <summary>The formula written out in double precision, one score at a time.</summary>
    private sealed class Reference
    {
        public float[] Q, K, V, DY, Mask;
        public double[] Y, DQ, DK, DV, DMask;
        public Shape MaskShape;

        public Reference(int batch, int queries, int keys, int heads, int keyHeads, int size, bool causal, int window, float softcap, Shape maskShape)
        {
            (Q, K, V, DY) = (Normals(batch * queries * heads * size, 1, 2), Normals(batch * keys * keyHeads * size, 2),
                Normals(batch * keys * keyHeads * size, 3), Normals(batch * queries * heads * size, 4));
            (MaskShape, Mask) = (maskShape, Normals(maskShape.Count, 5));
            (Y, DQ, DK, DV, DMask) = (new double[Q.Length], new double[Q.Length], new double[K.Length], new double[V.Length], new double[Mask.Length]);
            double scale = 1 / Math.Sqrt(size), cap = softcap;
            double[] s = new double[keys], t = new double[keys], dp = new double[keys];
            for (var b = 0; b < batch; b++) for (var h = 0; h < heads; h++) for (var i = 0; i < queries; i++)
            {
                var q = ((b * queries + i) * heads + h) * size;
                int Key(int j) => ((b * keys + j) * keyHeads + h / (heads / keyHeads)) * size;
                int Place(int j) => (((maskShape[0] == 1 ? 0 : b) * maskShape[1] + (maskShape[1] == 1 ? 0 : h)) * maskShape[2]
                    + (maskShape[2] == 1 ? 0 : i)) * keys + j;
                var at = i + keys - queries;
                for (var j = 0; j < keys; j++)
                {
                    s[j] = scale * Enumerable.Range(0, size).Sum(d => (double)Q[q + d] * K[Key(j) + d]);
                    t[j] = softcap > 0 ? Math.Tanh(s[j] / cap) : 0;
                    if (softcap > 0) s[j] = cap * t[j];
                    if (maskShape.Rank == 4) s[j] += Mask[Place(j)];
                    if ((causal && j > at) || (window > 0 && j + (long)window <= at)) s[j] = double.NegativeInfinity;
                }
                var max = s.Max();
                if (double.IsNegativeInfinity(max)) continue;
                var sum = s.Sum(v => Math.Exp(v - max));
                for (var j = 0; j < keys; j++) s[j] = Math.Exp(s[j] - max) / sum;
                for (var j = 0; j < keys; j++)
                {
                    dp[j] = 0;
                    for (var d = 0; d < size; d++)
                    {
                        Y[q + d] += s[j] * V[Key(j) + d];
                        dp[j] += (double)DY[q + d] * V[Key(j) + d];
                        DV[Key(j) + d] += s[j] * DY[q + d];
                    }
                }
                var mean = s.Select((p, j) => p * dp[j]).Sum();
                for (var j = 0; j < keys; j++)
                {
                    var ds = s[j] * (dp[j] - mean);
                    if (maskShape.Rank == 4) DMask[Place(j)] += ds;
                    ds *= scale * (1 - t[j] * t[j]);
                    for (var d = 0; d < size; d++)
                    {
                        DQ[q + d] += ds * K[Key(j) + d];
                        DK[Key(j) + d] += ds * Q[q + d];
                    }
                }
            }
        }
    }
}
