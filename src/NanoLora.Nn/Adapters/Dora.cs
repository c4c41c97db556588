namespace NanoLora.Nn;

// y = (m / n) ∘ (x Wᵀ + s (x Aᵀ) Bᵀ) + b,   n_o = ‖W_o + s B_o A‖: one norm, and one trained magnitude m_o, a row of the weight
//
// The gradient takes n for a constant (the paper, section 4.3): it is not the derivative that finite differences give for A and B.
// With dropout only the part that m / n changes sees the dropped input, as in PEFT:   y = x Wᵀ + b - d Wᵀ + (m / n) ∘ (d Wᵀ + s (d Aᵀ) Bᵀ)

/// <summary>
/// A weight-decomposed update of one linear (Liu et al. 2024, arXiv 2402.09353): the rows of W + s B A, brought to trained lengths. Each forward pass takes the
/// norms of all rows, a pass over W; merge it before a model only runs. It is no linear function of A and B, and does not compose.
/// </summary>
public sealed class Dora : Lora
{
    /// <summary>An update over the given tensors; it holds their storage, the tensors given stay with their scope or the caller.</summary>
    /// <param name="a">[rank, in]</param>
    /// <param name="b">[out, rank], for all outputs of the linear.</param>
    /// <param name="magnitude">[out]: the lengths of the rows.</param>
    /// <param name="alpha">The numerator of the scale.</param>
    /// <param name="rankStabilised">Divide alpha by √rank.</param>
    /// <param name="dropout">The share of the input that training drops.</param>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public Dora(Tensor a, Tensor b, Tensor magnitude, float alpha, bool rankStabilised = false, float dropout = 0) : base(a, b, alpha, rankStabilised, dropout)
    {
        if (magnitude.Count != b.Shape[0]) throw new ArgumentException($"Dora: a magnitude {magnitude.Shape} beside B {b.Shape}; it has an entry a row.");
        Magnitude = Own("lora_magnitude", magnitude);
    }

    /// <summary>m, [out]</summary>
    public Parameter Magnitude { get; }

    /// <inheritdoc/>
    internal override string? NotComposable =>
        "is a DoRA (use_dora), which rescales the rows of the whole matrix: what it adds to the base alone it does not add beside other modules. "
        + "Merge it into the base.";

    /// <inheritdoc/>
    public override Tensor Apply(Linear host, Tensor x, Tensor y)
    {
        var gain = Magnitude.Value.In(x.Workspace) / Norms(host, x.Workspace);         // [out]
        var dropped = Dropped(x);
        var (product, rest) = (y, (Tensor?)null);                                      // x Wᵀ, and what is no part of it
        if (dropped != x)
        {
            product = dropped.Linear(host.Weight);
            rest = y - product;
        }
        else if (host.Bias is not null) (product, rest) = (y - host.Bias.Value, host.Bias.Value);
        y = Update(dropped, product) * gain;
        return rest is null ? y : y + rest;
    }

    /// <summary>There are none.</summary>
    /// <exception cref="InvalidOperationException">Always: no pair of factors gives what a DoRA adds.</exception>
    public override Factors Factors() =>
        throw new InvalidOperationException($"Dora: an update of rank {Rank} is not the product of two factors, it rescales the rows of the whole matrix. "
            + "Merge it into the base.");

    /// <inheritdoc/>
    public override (Tensor Weight, Tensor? Bias) Merged(Linear host)
    {
        var (factors, magnitude, workspace) = (Product(), Magnitude.Value.ToArray(), host.Weight.Value.Workspace);
        float[] weight;
        using (workspace.Scope(grad: false)) weight = host.Weight.Value.Cast(DType.F32).ToArray();
        var row = new double[host.In];
        for (var o = 0; o < host.Out; o++)
        {
            var w = weight.AsSpan(o * row.Length, row.Length);
            factors.Row(o, w, row);
            var gain = magnitude[o] / Norm(row);
            for (var i = 0; i < row.Length; i++) w[i] = (float)(gain * row[i]);
        }
        return (workspace.From(weight, host.Weight.Shape), null);
    }

    /// <summary>The lengths of a weight's rows, [out]: the magnitude of an update that changes nothing.</summary>
    internal static float[] RowNorms(Linear host)
    {
        var (workspace, norms, row) = (host.Weight.Value.Workspace, new float[host.Out], new double[host.In]);
        using var scope = workspace.Scope(grad: false);
        var weight = host.Weight.Value.Cast(DType.F32).ToArray();
        for (var o = 0; o < norms.Length; o++)
        {
            for (var i = 0; i < row.Length; i++) row[i] = weight[o * row.Length + i];
            norms[o] = (float)Norm(row);
        }
        return norms;
    }

    // ‖W + s B A‖ by rows, without a node
    private Tensor Norms(Linear host, Workspace workspace)
    {
        using var scope = workspace.Scope(grad: false);
        var sum = host.Weight.Value.In(workspace).Cast(DType.F32) + Scale * B.Value.In(workspace).MatMul(A.Value);   // [out, in]
        return scope.Keep(sum.Square().Sum(1).Sqrt());
    }

    private static double Norm(double[] row)
    {
        var sum = 0.0;
        foreach (var x in row) sum += x * x;
        return Math.Sqrt(sum);
    }
}
