namespace NanoLora.Nn;

/// <summary>The combination types of PEFT's add_weighted_adapter; those that end in Svd work on products, the others on A and B apart.</summary>
public enum PeftCombination
{
    /// <summary>A = Σ sgn(w s) √|w s| A_n, B = Σ √|w s| B_n: not the weighted sum of the products, which this has cross terms beside.</summary>
    Linear,
    /// <summary>A and B side by side: the weighted sum of the products.</summary>
    Cat,
    /// <summary>The leading singular vectors of Σ w s² B_n A_n.</summary>
    Svd,
    /// <summary>TIES (Yadav et al. 2023) of the A and of the B.</summary>
    Ties,
    /// <summary>TIES of the products.</summary>
    TiesSvd,
    /// <summary>The entries of largest magnitude of each A and B, weighted and summed.</summary>
    MagnitudePrune,
    /// <summary>The same of the products.</summary>
    MagnitudePruneSvd,
    /// <summary>DARE (Yu et al. 2023), random entries over the density, of the A and of the B.</summary>
    DareLinear,
    /// <summary>The same of the products.</summary>
    DareLinearSvd,
    /// <summary>DARE, then TIES' election, of the A and of the B.</summary>
    DareTies,
    /// <summary>The same of the products.</summary>
    DareTiesSvd,
}

/// <summary>How TIES elects the sign of an entry.</summary>
public enum MajoritySign
{
    /// <summary>By the sum of the values.</summary>
    Total,
    /// <summary>By the number of values of each sign.</summary>
    Frequency,
}

/// <summary>What a mask of DARE is for.</summary>
/// <param name="Path">The linear.</param>
/// <param name="Module">The module's place in the list.</param>
/// <param name="Side">'A', 'B', or 'P' for the product.</param>
/// <param name="Count">The number of entries.</param>
public readonly record struct DareMask(string Path, int Module, char Side, int Count);

/// <summary>What <see cref="PeftMerge.WeightedAdapter"/> may be told; the names are PEFT's.</summary>
public sealed record PeftMergeOptions
{
    /// <summary>The combination type.</summary>
    public PeftCombination Combination { get; init; } = PeftCombination.Svd;

    /// <summary>The rank of the result of the svd types; the largest of the modules' if not given.</summary>
    public int? SvdRank { get; init; }

    /// <summary>For the svd types: entries of U S and Vᵀ are held within plus and minus this quantile of them all.</summary>
    public double? SvdClamp { get; init; }

    /// <summary>The share of entries that is kept, from 0 to 1, by the types that drop some.</summary>
    public double Density { get; init; } = 1;

    /// <summary>How TIES elects signs.</summary>
    public MajoritySign MajoritySign { get; init; }

    /// <summary>For DARE: the masks, 1 where an entry is kept; drawn from <see cref="Seed"/> if not given.</summary>
    public Func<DareMask, float[]>? Masks { get; init; }

    /// <summary>Of DARE's masks.</summary>
    public ulong Seed { get; init; }

    /// <summary>
    /// For <see cref="SvdClamp"/>, which depends on the singular vectors' arbitrary signs: by path, an A [rank, in] whose rows say where ours shall point.
    /// </summary>
    public IReadOnlyDictionary<string, float[]>? SvdSigns { get; init; }
}

/// <summary>
/// What PEFT 0.20's add_weighted_adapter makes of LoRA modules, its peculiarities included, for comparison with results from elsewhere. <b>Not the average
/// of the products</b>, Cat excepted: that is <see cref="Compose"/>, and <see cref="Mixture.Export"/> as a module. What PEFT does otherwise: the factor types
/// sum A and B apart, so cross terms come in and the result changes under (B R, R⁻¹ A); the svd types multiply by the scale twice; a result whose first
/// module is rank-stabilised is scaled by √rank; of one module alone, the type is always Linear.
/// </summary>
public static class PeftMerge
{
    /// <summary>Merges modules into a new one, frozen, which belongs to the caller.</summary>
    /// <param name="name">What the new module is called.</param>
    /// <param name="backend">Where it is put.</param>
    /// <param name="modules">The modules; one may come several times.</param>
    /// <param name="weights">A weight a module, of any sign.</param>
    /// <param name="options">How.</param>
    /// <exception cref="ArgumentException">No modules, another number of weights, or for the types on factors, modules of different ranks.</exception>
    public static LoraModule WeightedAdapter(string name, Backend backend, IReadOnlyList<LoraModule> modules,
        ReadOnlySpan<double> weights, PeftMergeOptions options)
    {
        if (modules.Count == 0 || modules.Count != weights.Length)
            throw new ArgumentException($"PeftMerge: {weights.Length} weights for {modules.Count} modules; give a weight to each.");
        if (!(options.Density is >= 0 and <= 1)) throw new ArgumentException($"PeftMerge: the density {options.Density} does not lie in [0, 1].");
        foreach (var module in modules)
        {
            module.RequireComposable("PeftMerge");
            if (module.Updates.Values.Any(static u => u.Bias is not null))
                throw new ArgumentException($"PeftMerge: the module {module.Name} has biases (lora_bias), which PEFT drops without a word; use Compose.");
        }
        if (modules.Count == 1) options = options with { Combination = PeftCombination.Linear };
        var ranks = modules.Select(static m => m.Updates.Values.Max(static u => u.Rank)).ToArray();
        var (type, apart) = (options.Combination, OnFactors(options.Combination));
        if (apart && ranks.Distinct().Count() > 1)
            throw new ArgumentException($"PeftMerge: {type} wants modules of one rank, not of {string.Join(", ", ranks)}; "
                + "use Cat, a type that ends in Svd, or Compose.");
        var rank = type == PeftCombination.Cat ? ranks.Sum() : apart ? ranks[0] : options.SvdRank ?? ranks.Max();
        var stabilised = modules[0].Updates.Values.First().RankStabilised;             // the new config is a copy of the first's
        var updates = new Dictionary<string, Lora>();
        foreach (var path in modules.SelectMany(static m => m.Updates.Keys).Distinct())
        {
            var parts = new List<Part>();
            for (var n = 0; n < modules.Count; n++) if (modules[n].Updates.TryGetValue(path, out var lora)) parts.Add(new Part(n, lora, weights[n]));
            if (parts.Any(p => p.Lora.Column != parts[0].Lora.Column || p.In != parts[0].In || p.Out != parts[0].Out))
                throw new ArgumentException($"PeftMerge: the updates of {path} do not fit the same part of it.");
            var (a, b) = type == PeftCombination.Cat ? Cat(parts, rank) : apart ? Apart(path, parts, options) : Product(path, parts, rank, options);
            updates[path] = Attach.New(backend, a, b, a.Length / parts[0].In, rank, stabilised, 0, parts[0].Lora.Column);
        }
        return new LoraModule(name, updates);
    }

    // One module's update of one linear, and its weight.
    private sealed record Part(int Module, Lora Lora, double Weight)
    {
        public float[] A { get; } = Lora.A.Value.ToArray();
        public float[] B { get; } = Lora.B.Value.ToArray();
        public int In => Lora.A.Shape[1];
        public int Out => Lora.B.Shape[0];
        public double Scale => Lora.RankStabilised ? Lora.Alpha / Math.Sqrt(Lora.Rank) : (double)Lora.Alpha / Lora.Rank;

        // s (B A)
        public float[] Delta()
        {
            var (delta, scale) = (new float[Out * In], (float)Scale);
            for (var o = 0; o < Out; o++)
            {
                var row = delta.AsSpan(o * In, In);
                for (var r = 0; r < Lora.Rank; r++)
                {
                    var b = B[o * Lora.Rank + r];
                    for (var i = 0; i < row.Length; i++) row[i] = MathF.FusedMultiplyAdd(b, A[r * In + i], row[i]);
                }
                for (var i = 0; i < row.Length; i++) row[i] *= scale;
            }
            return delta;
        }
    }

    private static bool OnFactors(PeftCombination type) =>
        type is PeftCombination.Linear or PeftCombination.Ties or PeftCombination.MagnitudePrune or PeftCombination.DareLinear or PeftCombination.DareTies;

    // A = [w s A_n ...], B = [B_n ...], zeros up to the rank where a module has no update here
    private static (float[] A, float[] B) Cat(List<Part> parts, int rank)
    {
        var (a, b) = (new float[rank * parts[0].In], new float[parts[0].Out * rank]);
        var at = 0;
        foreach (var part in parts)
        {
            var (factor, own) = (part.Weight * part.Scale, part.Lora.Rank);
            for (var i = 0; i < part.A.Length; i++) a[at * part.In + i] = (float)(factor * part.A[i]);
            for (var o = 0; o < part.Out; o++) part.B.AsSpan(o * own, own).CopyTo(b.AsSpan(o * rank + at, own));
            at += own;
        }
        return (a, b);
    }

    // A and B each by itself. A negative weight is A's alone: on both sides the signs would cancel.
    private static (float[] A, float[] B) Apart(string path, List<Part> parts, PeftMergeOptions options)
    {
        if (parts.Any(p => p.Lora.Rank != parts[0].Lora.Rank))
            throw new ArgumentException($"PeftMerge: {options.Combination} wants one rank, "
                + $"and the updates of {path} have {string.Join(", ", parts.Select(p => p.Lora.Rank))}.");
        var roots = parts.Select(static p => Math.Sqrt(Math.Abs(p.Weight * p.Scale))).ToArray();
        var signed = parts.Select((p, n) => p.Weight * p.Scale >= 0 ? roots[n] : -roots[n]).ToArray();
        var a = Combine(path, 'A', parts, [.. parts.Select(static p => p.A)], signed, options);
        var b = Combine(path, 'B', parts, [.. parts.Select(static p => p.B)], roots, options);
        return (a, b);
    }

    // The product s B A, combined under weights w s: the scale is in it twice, as in PEFT. A = Vᵀ, B = U S.
    private static (float[] A, float[] B) Product(string path, List<Part> parts, int rank, PeftMergeOptions options)
    {
        var (inputs, outputs) = (parts[0].In, parts[0].Out);
        var delta = Combine(path, 'P', parts, [.. parts.Select(static p => p.Delta())], [.. parts.Select(static p => p.Weight * p.Scale)], options);
        var svd = Svd.Of(Array.ConvertAll(delta, static x => (double)x), outputs, inputs);
        rank = Math.Min(rank, svd.Count);
        var (a, b) = (svd.Right[..(rank * inputs)], new double[outputs * rank]);
        for (var r = 0; r < rank; r++)
        {
            var sign = 1;
            if (options.SvdSigns?.GetValueOrDefault(path) is { } like)
            {
                var dot = 0.0;
                for (var i = 0; i < inputs; i++) dot += a[r * inputs + i] * like[r * inputs + i];
                if (dot < 0) sign = -1;
            }
            for (var i = 0; i < inputs; i++) a[r * inputs + i] *= sign;
            for (var o = 0; o < outputs; o++) b[o * rank + r] = sign * svd.Values[r] * svd.Left[r * outputs + o];
        }
        if (options.SvdClamp is { } quantile) Clamp(b, a, quantile);
        return (Array.ConvertAll(a, static x => (float)x), Array.ConvertAll(b, static x => (float)x));
    }

    /// <summary>Holds the entries of U S and Vᵀ within plus and minus a quantile of them all, signs and all.</summary>
    public static void Clamp(double[] b, double[] a, double quantile)
    {
        var limit = Quantile([.. b, .. a], quantile);
        foreach (var side in (ReadOnlySpan<double[]>)[a, b])
        {
            for (var i = 0; i < side.Length; i++) side[i] = Math.Min(Math.Max(side[i], -limit), limit);
        }
    }

    // Drop entries, elect signs, weigh and sum: what of this is done is the type's matter. The election is of values without their weights.
    // In single precision and in PEFT's order, so that entries near a threshold fall on the same side of it.
    private static float[] Combine(string path, char side, List<Part> parts, float[][] values, double[] weights, PeftMergeOptions options)
    {
        var type = options.Combination;
        var trims = type is PeftCombination.Ties or PeftCombination.TiesSvd or PeftCombination.MagnitudePrune or PeftCombination.MagnitudePruneSvd;
        var drops = type is PeftCombination.DareLinear or PeftCombination.DareLinearSvd or PeftCombination.DareTies or PeftCombination.DareTiesSvd;
        for (var n = 0; n < values.Length; n++)
        {
            if (trims) Trim(values[n], options.Density);
            if (drops) Drop(values[n], new DareMask(path, parts[n].Module, side, values[n].Length), options);
        }
        var elects = type is PeftCombination.Ties or PeftCombination.TiesSvd or PeftCombination.DareTies or PeftCombination.DareTiesSvd;
        var sum = new float[values[0].Length];
        for (var i = 0; i < sum.Length; i++)
        {
            var sign = elects ? Elect(values, i, options.MajoritySign) : 0;
            var count = 0;
            for (var n = 0; n < values.Length; n++)
            {
                if (elects && Math.Sign(values[n][i]) != sign) continue;
                sum[i] += (float)weights[n] * values[n][i];
                count++;
            }
            if (elects) sum[i] /= Math.Max(1, count);                                  // a mean over those that agree, though they are weighted
        }
        return sum;
    }

    // The sign of the sum of values, or of signs; a tie elects +.
    private static int Elect(float[][] values, int i, MajoritySign how)
    {
        var vote = 0f;
        foreach (var x in values) vote += how == MajoritySign.Total ? x[i] : Math.Sign(x[i]);
        return vote >= 0 ? 1 : -1;
    }

    // Keeps the ⌊density · count⌋ entries of largest magnitude, the first of equal ones.
    private static void Trim(float[] x, double density)
    {
        if (density >= 1) return;
        var order = new int[x.Length];
        for (var i = 0; i < order.Length; i++) order[i] = i;
        Array.Sort(order, (i, j) => Math.Abs(x[i]) != Math.Abs(x[j]) ? Math.Abs(x[j]).CompareTo(Math.Abs(x[i])) : i.CompareTo(j));
        foreach (var i in order.AsSpan((int)(density * x.Length))) x[i] = 0;
    }

    // x mask / density
    private static void Drop(float[] x, DareMask what, PeftMergeOptions options)
    {
        if (options.Density >= 1) return;
        var mask = options.Masks?.Invoke(what);
        if (mask is not null && mask.Length != x.Length) throw new ArgumentException($"PeftMerge: a mask of {mask.Length} entries for {what}.");
        var random = new Philox(options.Seed, Philox.StreamOf($"{what.Path}/{what.Module}/{what.Side}"));
        for (var i = 0; i < x.Length; i++)
        {
            var kept = mask is null ? random.Uniform((ulong)i) < options.Density : mask[i] != 0;
            x[i] = kept ? x[i] / (float)options.Density : 0;
        }
    }

    // With linear interpolation between neighbours.
    private static double Quantile(double[] x, double q)
    {
        if (!(q is >= 0 and <= 1)) throw new ArgumentException($"PeftMerge: the quantile {q} does not lie in [0, 1].");
        Array.Sort(x);
        var at = q * (x.Length - 1);
        var low = (int)at;
        return x[low] + (at - low) * (x[Math.Min(low + 1, x.Length - 1)] - x[low]);
    }
}
