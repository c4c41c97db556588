namespace NanoLora.Nn;

// W = U S Vᵀ,   B₀ = U_r √(S_r / s),   A₀ = √(S_r / s) V_rᵀ:   s B₀ A₀ is the best approximation of W of rank r
// y = x (W - s B₀ A₀)ᵀ + s (x Aᵀ) Bᵀ,   A and B trained from A₀ and B₀ on
//
// The base stays as it is, in whatever type it rests: what was taken from it is kept beside A and B, and subtracted from what it gives. So the update is an
// ordinary one of rank 2r, s (B A - B₀ A₀), for the base as it was loaded. The product B₀ A₀ does not depend on the signs of singular vectors.

/// <summary>
/// A LoRA that starts from the leading singular vectors of its linear's weight, and takes the place of what they make of it (Meng et al. 2024,
/// arXiv 2404.02948). A and B by themselves belong to the rest of the base; <see cref="AsLora"/> is the update for the whole of it.
/// </summary>
public sealed class Pissa : Lora
{
    private readonly Parameter _startA, _startB;                                       // not among the module's parameters: nothing trains them

    /// <summary>An update over the given tensors; it holds their storage, the tensors given stay with their scope or the caller.</summary>
    /// <param name="a">[rank, in]</param>
    /// <param name="b">[out, rank]</param>
    /// <param name="startA">A₀, [rank, in]</param>
    /// <param name="startB">B₀, [out, rank]</param>
    /// <param name="alpha">The numerator of the scale.</param>
    /// <param name="rankStabilised">Divide alpha by √rank.</param>
    /// <param name="dropout">The share of the input of A that training drops.</param>
    /// <param name="column">The first of the host's output columns that b's rows belong to.</param>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public Pissa(Tensor a, Tensor b, Tensor startA, Tensor startB, float alpha, bool rankStabilised = false, float dropout = 0, int column = 0)
        : base(a, b, alpha, rankStabilised, dropout, column)
    {
        if (startA.Shape != a.Shape || startB.Shape != b.Shape)
            throw new ArgumentException($"Pissa: a start A {startA.Shape}, B {startB.Shape} for A {a.Shape}, B {b.Shape}; they have the same shapes.");
        (_startA, _startB) = (new Parameter(startA), new Parameter(startB));
    }

    /// <inheritdoc/>
    internal override string? NotComposable =>
        "is a PiSSA (init_lora_weights), whose A and B belong to a base from which their start was taken. PeftFolder.Save writes it as the plain LoRA of twice "
        + "the rank that it is for the whole base: that one composes.";

    /// <inheritdoc/>
    public override Tensor Apply(Linear host, Tensor x, Tensor y) => x.LoraStack(base.Apply(host, x, y), _startA.Value, _startB.Value, -Scale, column: Column);

    /// <inheritdoc/>
    public override Factors Factors()
    {
        var factors = Product();
        return NanoLora.Nn.Factors.Cat([factors, new Factors(_startA.Value.ToArray(), _startB.Value.ToArray(), factors.In, factors.Out)], [1, -Scale]);
    }

    /// <summary>The same update as a plain LoRA of twice the rank, [B, -B₀] [A; A₀], frozen; its scale is the same, so alpha is larger.</summary>
    public Lora AsLora()
    {
        var (backend, one) = (A.Value.Backend, new Factors(A.Value.ToArray(), B.Value.ToArray(), A.Shape[1], B.Shape[0]));
        var both = NanoLora.Nn.Factors.Cat([one, new Factors(_startA.Value.ToArray(), _startB.Value.ToArray(), one.In, one.Out)], [1, -1]);
        var alpha = Alpha * (RankStabilised ? MathF.Sqrt(2) : 2);                      // over √(2r) or 2r
        return Attach.New(backend, both.A, both.B, both.Rank, alpha, RankStabilised, Dropout, Column);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _startA.Dispose();
        _startB.Dispose();
    }

    /// <summary>A₀ [rank, in] and B₀ [rows, rank] of some rows of a linear's weight.</summary>
    /// <exception cref="ArgumentException">The scale is not above 0, or the rank is more than the matrix has.</exception>
    internal static (float[] A, float[] B) Start(Linear host, int rank, float scale, int column, int rows)
    {
        if (!(scale > 0) || rank > Math.Min(rows, host.In))
            throw new ArgumentException($"Pissa: rank {rank} and scale {scale} for [{rows}, {host.In}]; "
                + "the rank is at most the smaller side, the scale above 0.");
        double[] weight;
        using (host.Weight.Value.Workspace.Scope(grad: false))
            weight = Array.ConvertAll(host.Weight.Value.Cast(DType.F32).ToArray()[(column * host.In)..((column + rows) * host.In)], static w => (double)w);
        var svd = Svd.Leading(weight, rows, host.In, rank);
        var (a, b) = (new float[rank * host.In], new float[rows * rank]);
        for (var r = 0; r < rank; r++)
        {
            var root = Math.Sqrt(svd.Values[r] / scale);
            for (var i = 0; i < host.In; i++) a[r * host.In + i] = (float)(root * svd.Right[r * host.In + i]);
            for (var o = 0; o < rows; o++) b[o * rank + r] = (float)(root * svd.Left[r * rows + o]);
        }
        return (a, b);
    }
}
