namespace NanoLora.Experiments;

public static partial class OpTable
{
    private static OpRow[] Transformer() =>
    [
        new(nameof(Tensor.Embedding), "", [Input.Normal, Input.Ids(5)], [Of(S(5, 3), S(4)), Of(S(5, 7), S(2, 9)), Of(S(5, 130), S(9, 31))],
            static x => x[0].Embedding(x[1]), static x => Embedding(x[0], x[1])),
        new(nameof(Tensor.Embedding), "frozen table in 16 bits", [Input.Frozen, Input.Ids(5)], [Of(S(5, 3), S(4)), Of(S(5, 130), S(9, 31))],
            static x => x[0].Cast(DType.BF16).Embedding(x[1]), static x => Embedding(x[0].Map(BFloat16), x[1])) { Tolerance = 0, HasGradient = false },

        Entropy("mean", Reduction.Mean, 0),
        Entropy("sum, smoothed", Reduction.Sum, 0.1f),
        Entropy("of each row", Reduction.None, 0),
        Entropy("mean, smoothed, ids 2 ignored", Reduction.Mean, 0.2f, ignore: 2),
        new(nameof(Tensor.CrossEntropy), "weighted classes", [Input.Wide, Input.Ids(4), Input.Positive with { Trains = false }],
            [Of(S(3, 4), S(3), S(4)), Of(S(5, 7), S(5), S(7)), Of(S(700, 33), S(700), S(33))],
            static x => x[0].CrossEntropy(x[1], weight: x[2]), static x => CrossEntropy(x[0], x[1], Reduction.Mean, 0, -100, x[2])),

        Sliced("the head is frozen", Input.Small with { Trains = false }),
        Sliced("the head trains", Input.Small),

        Heads("", new AttentionOptions()),
        Heads("causal", new AttentionOptions(Causal: true)),
        Heads("causal, window 3", new AttentionOptions(Causal: true, Window: 3)),
        Heads("soft-capped, scaled", new AttentionOptions(Causal: true, Softcap: 2, Scale: 0.7f)),
        new(nameof(Tensor.Attention), "with a mask that trains", [Input.Normal, Input.Normal, Input.Normal, Input.Normal],
            [Of(S(2, 3, 2, 3), S(2, 4, 2, 3), S(2, 4, 2, 3), S(1, 2, 3, 4)), Of(S(2, 35, 4, 9), S(2, 35, 2, 9), S(2, 35, 2, 9), S(1, 4, 35, 35))],
            static x => x[0].Attention(x[1], x[2], mask: x[3]), static x => Attention(x[0], x[1], x[2], x[3], new AttentionOptions())) { Tolerance = 5e-6,
            GradientTolerance = 2e-5 },
        new(nameof(Tensor.Attention), "heads side by side", [Input.Normal, Input.Normal, Input.Normal],
            [Of(S(2, 3, 8), S(2, 5, 4), S(2, 5, 4)), Of(S(2, 33, 36), S(2, 40, 18), S(2, 40, 18))],
            static x => x[0].Attention(x[1], x[2], heads: 4, keyHeads: 2), static x => SideBySide(x[0], x[1], x[2], 4, 2,
            new AttentionOptions())) { Tolerance = 5e-6, GradientTolerance = 2e-5 },
        new(nameof(Tensor.SelfAttention), "", [Input.Normal], [Of(S(2, 3, 12)), Of(S(1, 5, 36)), Of(S(2, 67, 96))],
            static x => x[0].SelfAttention(2, new AttentionOptions(Causal: true)), static x => Fused(x[0], 2,
            new AttentionOptions(Causal: true))) { Tolerance = 5e-6, GradientTolerance = 2e-5 },

        Turned(RopeStyle.Half, 6, 6),
        Turned(RopeStyle.Interleaved, 6, 6),
        Turned(RopeStyle.Half, 10, 4),
        new(nameof(Tensor.RopeTable), "", [Input.Ids(2000)], [Of(S(3)), Of(S(2, 5)), Of(S(40, 67))], static x => x[0].RopeTable(RopeFrequencies.Default(8)),
            static x => Dense.Of([.. x[0].Rank == 1 ? [1] : Array.Empty<int>(), .. x[0].Shape, 8],
            at => Angle(x[0].Values[at.Length == 3 ? at[0] * x[0].Cols + at[1] : at[0]], at[^1] % 4,
            8) is var angle && at[^1] < 4 ? Math.Cos(angle) : Math.Sin(angle))) { HasGradient = false },

        new(nameof(Tensor.Patches), "", [Input.Normal], [Of(S(1, 1, 4, 4)), Of(S(2, 3, 5, 7)), Of(S(3, 3, 66, 64))], static x => x[0].Patches(2),
            static x => Patches(x[0], 2)),
        new(nameof(Tensor.Dropout), "", [Input.Normal], Lengths, static x => Dropout(x[0]),
            static x => new Dense([.. x[0].Values.Select(static (v, i) => new Philox(0, 7).Uniform((ulong)i) >= 0.3f ? v / (1 - 0.3f) : 0)], x[0].Shape)),

        new(nameof(Tensor.LoraStack), "plain", [Input.Normal, Input.Normal, Input.Small, Input.Small],
            [Of(S(3, 5), S(3, 7), S(2, 5), S(7, 2)), Of(S(2, 3, 9), S(2, 3, 4), S(3, 9), S(4, 3)), Of(S(130, 67), S(130, 65), S(8, 67), S(65, 8))],
            static x => x[0].LoraStack(x[1].Scale(1), x[2], x[3], 0.5f), static x => LoraStack(x[0], x[1], x[2], x[3], 0.5, null, null, 0)) { Tolerance = 5e-6,
            GradientTolerance = 2e-5 },
        Stack("weights for all", S(3), S(3), S(3)),
        Stack("weights for each row", S(4, 3), S(6, 3), S(130, 3)),
        Stack("weights for groups of rows", S(2, 3), S(3, 3), S(13, 3)),
        new(nameof(Tensor.LoraStack), "some columns", [Input.Normal, Input.Normal, Input.Small, Input.Small],
            [Of(S(3, 5), S(3, 7), S(2, 5), S(3, 2)), Of(S(130, 67), S(130, 65), S(8, 67), S(31, 8))],
            static x => x[0].LoraStack(x[1].Scale(1), x[2], x[3], column: 2), static x => LoraStack(x[0], x[1], x[2], x[3], 1, null, null,
            2)) { Tolerance = 5e-6, GradientTolerance = 2e-5 },

        new(nameof(Tensor.Recompute), "", [Input.Normal], [Of(S(3, 5)), Of(S(129, 257))], static x => x[0].Recompute(static x => x.Silu() * x),
            static x => x[0].Map(static x => Silu(x) * x)),
        new(nameof(Tensor.Recompute), "of several inputs", [Input.Normal, Input.Normal, Input.Frozen],
            [Of(S(3, 5), S(3, 5), S(3, 5)), Of(S(9, 33), S(9, 33), S(9, 33))],
            static x => Tensor.Recompute(static x => x[0]!.Silu() * x[1]! + x[3]!, x[0], x[1], null, x[2]),
            static x => Dense.Zip(Dense.Zip(x[0].Map(Silu), x[1], static (a, b) => a * b), x[2], static (a, b) => a + b)),
        Again("frozen linear, in slices", Input.Frozen, rows: 550),
        Again("as a whole", Input.Normal, rows: 260),

        new(nameof(Tensor.Cast), "to bf16 and back", [Input.Frozen], Lengths, static x => x[0].Cast(DType.BF16).Cast(DType.F32),
            static x => x[0].Map(BFloat16)) { Tolerance = 0, HasGradient = false },
        new(nameof(Tensor.Cast), "to f16 and back", [Input.Frozen], Lengths, static x => x[0].Cast(DType.F16).Cast(DType.F32),
            static x => x[0].Map(static x => (double)(Half)x)) { Tolerance = 0, HasGradient = false },
    ];

    private static OpRow Again(string setting, Input linear, int rows) =>
        new(nameof(Tensor.RecomputeRows), setting, [Input.Normal, linear, linear], [Of(S(3, 5), S(4, 5), S(4)), Of(S(2, rows, 7), S(9, 7), S(9))],
            static x => x[0].RecomputeRows(static x => x.Silu() * x, x[1], x[2]),
            static x => Dense.Zip(MatMul(x[0].Map(static x => Silu(x) * x), x[1], false, true), x[2], static (y, b) => y + b))
        { Tolerance = 1e-5, GradientTolerance = 2e-5 };

    private static OpRow Entropy(string setting, Reduction reduction, float smoothing, int ignore = -100) =>
        new(nameof(Tensor.CrossEntropy), setting, [Input.Wide, Input.Ids(4)], [Of(S(3, 4), S(3)), Of(S(2, 5, 7), S(2, 5)), Of(S(700, 33), S(700))],
            x => x[0].CrossEntropy(x[1], reduction, ignore, smoothing), x => CrossEntropy(x[0], x[1], reduction, smoothing, ignore, null));

    private static OpRow Sliced(string setting, Input head) =>
        new(nameof(Tensor.CrossEntropy), $"of a head in slices, {setting}", [Input.Normal, Input.Ids(4), head],
            [Of(S(3, 4), S(3), S(4, 4)), Of(S(2, 5, 7), S(2, 5), S(6, 7)), Of(S(700, 33), S(700), S(67, 33))],
            static x => x[0].CrossEntropy(y => y.Linear(x[2]).Tanh(), x[1], Reduction.Mean, 2, 0.1f),
            static x => CrossEntropy(MatMul(x[0], x[2], false, true).Map(Math.Tanh), x[1], Reduction.Mean, 0.1f, 2, null))
        { Tolerance = 5e-6, GradientTolerance = 2e-5 };

    private static OpRow Heads(string setting, AttentionOptions options) =>
        new(nameof(Tensor.Attention), setting, [Input.Normal, Input.Normal, Input.Normal],
            [Of(S(1, 1, 1, 1), S(1, 1, 1, 1), S(1, 1, 1, 1)), Of(S(2, 3, 2, 4), S(2, 3, 2, 4), S(2, 3, 2, 4)), Of(S(1, 3, 4, 5), S(1, 5, 2, 5), S(1, 5, 2, 5)),
            Of(S(2, 67, 4, 9), S(2, 70, 1, 9), S(2, 70, 1, 9))],
            x => x[0].Attention(x[1], x[2], options), x => Attention(x[0], x[1], x[2], null, options))
        { Tolerance = 5e-6, GradientTolerance = 2e-5 };

    private static OpRow Turned(RopeStyle style, int size, int rotary) =>
        new(nameof(Tensor.Rope), $"{style}, {rotary} of {size}", [Input.Normal, Input.Ids(2000)],
            [Of(S(1, 3, 2, size), S(3)), Of(S(2, 5, 3, size), S(2, 5)), Of(S(2, 300, 9, size), S(2, 300))],
            x => x[0].Rope(x[1], RopeFrequencies.Default(rotary), style), x => Rope(x[0], x[1], style, rotary));

    private static OpRow Stack(string setting, int[] small, int[] middle, int[] large) =>
        new(nameof(Tensor.LoraStack), setting, [Input.Normal, Input.Normal, Input.Small, Input.Small, Input.Normal, Input.Ids(3)],
            [Of(S(4, 5), S(4, 7), S(6, 5), S(7, 6), small, S(6)), Of(S(2, 3, 9), S(2, 3, 4), S(5, 9), S(4, 5), middle, S(5)),
            Of(S(130, 67), S(130, 65), S(24, 67), S(65, 24), large, S(24))],
            static x => x[0].LoraStack(x[1].Scale(1), x[2], x[3], 0.5f, x[4], x[5]), static x => LoraStack(x[0], x[1], x[2], x[3], 0.5, x[4], x[5],
            0))
        { Tolerance = 5e-6, GradientTolerance = 2e-5 };

    private static Dense Embedding(Dense table, Dense ids) => Dense.Of([.. ids.Shape, table.Cols], at => table[(int)ids[at.AsSpan()[..^1]], at[^1]]);

    // - Σ_c q_c w_c log p_c with q = (1 - ε) one-hot + ε / C, over Σ w_t for the mean; rows whose target is ignored count for nothing.
    private static Dense CrossEntropy(Dense x, Dense targets, Reduction reduction, double smoothing, int ignore, Dense? weight)
    {
        var log = x.MapRows(LogSoftmax);
        var losses = new double[x.Rows];
        var count = 0.0;
        for (var row = 0; row < x.Rows; row++)
        {
            var target = (int)targets.Values[row];
            if (target == ignore) continue;
            count += weight?.Values[target] ?? 1;
            for (var c = 0; c < x.Cols; c++)
            {
                var q = (c == target ? 1 - smoothing : 0) + smoothing / x.Cols;
                losses[row] -= q * (weight?.Values[c] ?? 1) * log.Values[row * x.Cols + c];
            }
        }
        return reduction == Reduction.None ? new Dense(losses, targets.Shape) : new Dense([losses.Sum() / (reduction == Reduction.Mean ? count : 1)]);
    }

    private static Dense Attention(Dense q, Dense k, Dense v, Dense? mask, AttentionOptions options)
    {
        var (times, keys, heads, size) = (q.Shape[1], k.Shape[1], q.Shape[2], q.Shape[3]);
        var share = heads / k.Shape[2];
        var scale = options.Scale ?? 1 / Math.Sqrt(size);
        var y = new Dense(new double[q.Values.Length], q.Shape);
        for (var b = 0; b < q.Shape[0]; b++)
        {
            for (var h = 0; h < heads; h++)
            {
                for (var i = 0; i < times; i++)
                {
                    var place = i + keys - times;
                    var scores = new double[keys];
                    for (var j = 0; j < keys; j++)
                    {
                        for (var d = 0; d < size; d++) scores[j] += q[b, i, h, d] * k[b, j, h / share, d] * scale;
                        if (options.Softcap > 0) scores[j] = options.Softcap * Math.Tanh(scores[j] / options.Softcap);
                        if ((options.Causal && j > place) || (options.Window > 0 && j <= place - options.Window)) scores[j] = double.NegativeInfinity;
                        if (mask is not null) scores[j] += mask.Stretched([b, h, i, j]);
                    }
                    var p = Softmax(scores);
                    for (var d = 0; d < size; d++)
                    {
                        for (var j = 0; j < keys; j++) y.Values[((b * times + i) * heads + h) * size + d] += p[j] * v[b, j, h / share, d];
                    }
                }
            }
        }
        return y;
    }

    private static Dense SideBySide(Dense q, Dense k, Dense v, int heads, int keyHeads, AttentionOptions options) =>
        Attention(Split(q, heads), Split(k, keyHeads), Split(v, keyHeads), null, options).Reshape(q.Shape);

    private static Dense Split(Dense x, int heads) => x.Reshape(x.Shape[0], x.Shape[1], heads, x.Cols / heads);

    private static Dense Fused(Dense qkv, int heads, AttentionOptions options)
    {
        var width = qkv.Cols / 3;
        return SideBySide(Slice(qkv, 2, 0, width), Slice(qkv, 2, width, 2 * width), Slice(qkv, 2, 2 * width, 3 * width), heads, heads, options);
    }

    // Pairs (j, j + r/2), or (2j, 2j + 1), turn by n θ^(-2j/r); frequencies are stored in single precision.
    private static Dense Rope(Dense x, Dense positions, RopeStyle style, int rotary) => Dense.Of(x.Shape, at =>
    {
        var d = at[3];
        if (d >= rotary) return x[at];
        var half = rotary / 2;
        var (pair, first) = style == RopeStyle.Half ? (d % half, d < half) : (d / 2, d % 2 == 0);
        var angle = Angle(positions.Values[positions.Rank == 1 ? at[1] : at[0] * x.Shape[1] + at[1]], pair, rotary);
        var partner = style == RopeStyle.Half ? (d + half) % rotary : d ^ 1;
        return x[at] * Math.Cos(angle) + (first ? -1 : 1) * x[at[0], at[1], at[2], partner] * Math.Sin(angle);
    });

    private static double Angle(double position, int pair, int rotary) => position * (float)Math.Pow(10000, -2.0 * pair / rotary);

    // [B, C, Y, X] to [B, patch, C P P], an element of a patch being (channel, y, x).
    private static Dense Patches(Dense x, int p)
    {
        var (across, channels) = (x.Shape[3] / p, x.Shape[1]);
        return Dense.Of([x.Shape[0], x.Shape[2] / p * across, channels * p * p], at =>
            x[at[0], at[2] / (p * p), at[1] / across * p + at[2] / p % p, at[1] % across * p + at[2] % p]);
    }

    // Training, and always the same stream, so that the reference knows the numbers.
    private static Tensor Dropout(Tensor x)
    {
        (x.Workspace.Training, x.Workspace.Streams) = (true, 7);
        var y = x.Dropout(0.3f);
        x.Workspace.Training = false;
        return y;
    }

    // y[row, column + o] += s Σ_r (x A^T)[row, r] w[group of row, owner of r] B[o, r]
    private static Dense LoraStack(Dense x, Dense y, Dense a, Dense b, double scale, Dense? weights, Dense? owner, int column)
    {
        var sum = new Dense((double[])y.Values.Clone(), y.Shape);
        for (var row = 0; row < x.Rows; row++)
        {
            for (var r = 0; r < a.Rows; r++)
            {
                var h = scale;
                if (weights is not null) h *= weights.Values[row / (x.Rows / weights.Rows) * weights.Cols + (int)owner!.Values[r]];
                var dot = 0.0;
                for (var i = 0; i < x.Cols; i++) dot += x.Values[row * x.Cols + i] * a[r, i];
                for (var o = 0; o < b.Rows; o++) sum.Values[row * y.Cols + column + o] += h * dot * b[o, r];
            }
        }
        return sum;
    }

    // Round to nearest even at the 16th bit.
    private static double BFloat16(double x)
    {
        var bits = BitConverter.SingleToUInt32Bits((float)x);
        return BitConverter.UInt32BitsToSingle((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000);
    }
}
