namespace NanoLora.Nn;

/// <summary>What is added to a linear: y + delta(x). It sits in the linear's slot, so no model knows of it.</summary>
public abstract class Adapter : Module
{
    /// <summary>Adds this adapter's part to what the base linear made of x; may do so in place.</summary>
    public abstract Tensor Apply(Linear host, Tensor x, Tensor y);

    /// <summary>Why it cannot be added to others under weights, as a message goes on after the linear's path; null where it can.</summary>
    internal virtual string? NotComposable => null;

    /// <summary>The update as one exact pair of factors, scale included: delta = B A, over the host's outputs from <see cref="Column"/> on.</summary>
    public abstract Factors Factors();

    /// <summary>The first of the host's output columns that the factors' rows belong to.</summary>
    public virtual int Column => 0;

    /// <summary>The host's weight and bias with the update inside: the one truth for merge, unmerge and export.</summary>
    public virtual (Tensor Weight, Tensor? Bias) Merged(Linear host)
    {
        var factors = Factors();
        var workspace = host.Weight.Value.Workspace;
        float[] weight;
        using (workspace.Scope(grad: false)) weight = host.Weight.Value.Cast(DType.F32).ToArray();
        factors.AddTo(weight, host.In, Column);
        var bias = factors.Bias is { } more ? Sum(host, more) : null;
        return (workspace.From(weight, host.Weight.Shape), bias is null ? null : workspace.From(bias, new Shape(bias.Length)));
    }

    // A linear without a bias stays without: its config says so, and a file that has one would not load.
    private static float[] Sum(Linear host, float[] bias)
    {
        if (host.Bias is null)
            throw new InvalidOperationException($"Adapter: the update of a linear {host.Weight.Shape} has a bias (lora_bias), and the linear has none "
                + "that it could go into; leave it unmerged.");
        var sum = host.Bias.Value.ToArray();
        for (var i = 0; i < sum.Length; i++) sum[i] += bias[i];
        return sum;
    }
}

/// <summary>A low-rank update of one matrix on plain arrays: delta = B A.</summary>
/// <param name="A">[rank, in]</param>
/// <param name="B">[out, rank], scales included.</param>
/// <param name="In">The width of A.</param>
/// <param name="Out">The height of B.</param>
public sealed record Factors(float[] A, float[] B, int In, int Out)
{
    /// <summary>[out], added beside the product, scales included; null for none.</summary>
    public float[]? Bias { get; init; }

    /// <summary>The number of rows of A.</summary>
    public int Rank => A.Length / In;

    /// <summary>The dense update [out, in], summed in double precision.</summary>
    public float[] Delta()
    {
        var delta = new float[Out * In];
        AddTo(delta, In, 0);
        return delta;
    }

    /// <summary>weight[column + o, i] += Σ_r B[o, r] A[r, i], each sum in double precision and rounded once.</summary>
    public void AddTo(Span<float> weight, int width, int column)
    {
        var row = new double[In];
        for (var o = 0; o < Out; o++)
        {
            var w = weight.Slice((column + o) * width, width);
            Row(o, w, row);
            for (var i = 0; i < In; i++) w[i] = (float)row[i];
        }
    }

    /// <summary>row[i] = weight[i] + Σ_r B[o, r] A[r, i]</summary>
    internal void Row(int o, ReadOnlySpan<float> weight, Span<double> row)
    {
        var rank = Rank;
        for (var i = 0; i < In; i++) row[i] = weight[i];
        for (var r = 0; r < rank; r++)
        {
            double b = B[o * rank + r];
            for (var i = 0; i < In; i++) row[i] += b * A[r * In + i];
        }
    }

    /// <summary>‖B A‖, from the small Gram matrices: tr((Bᵀ B)(A Aᵀ)).</summary>
    public double Norm()
    {
        var (rank, sum) = (Rank, 0.0);
        for (var r = 0; r < rank; r++)
        {
            for (var s = 0; s < rank; s++)
            {
                double bb = 0, aa = 0;
                for (var o = 0; o < Out; o++) bb += (double)B[o * rank + r] * B[o * rank + s];
                for (var i = 0; i < In; i++) aa += (double)A[r * In + i] * A[s * In + i];
                sum += bb * aa;
            }
        }
        return Math.Sqrt(Math.Max(sum, 0));
    }

    /// <summary>The same update as one of all outputs of a linear: B with rows of zeros before and behind.</summary>
    /// <param name="height">The number of outputs.</param>
    /// <param name="column">The output that B's first row belongs to.</param>
    public Factors Within(int height, int column)
    {
        if (column == 0 && height == Out) return this;
        if (column < 0 || column + Out > height) throw new ArgumentException($"Factors.Within: {Out} outputs from {column} on do not fit {height}.");
        var b = new float[height * Rank];
        B.CopyTo(b, column * Rank);
        float[]? bias = Bias is null ? null : [.. new float[column], .. Bias, .. new float[height - column - Out]];
        return new Factors(A, b, In, height) { Bias = bias };
    }

    /// <summary>Puts updates side by side, each with a weight: the exact weighted sum of the products, of rank Σ r.</summary>
    public static Factors Cat(IReadOnlyList<Factors> parts, ReadOnlySpan<float> weights)
    {
        int inputs = parts[0].In, outputs = parts[0].Out, rank = parts.Sum(p => p.Rank);
        var (a, b) = (new float[rank * inputs], new float[outputs * rank]);
        var at = 0;
        for (var n = 0; n < parts.Count; n++)
        {
            var part = parts[n];
            part.A.CopyTo(a, at * inputs);
            for (var o = 0; o < outputs; o++)
            {
                for (var r = 0; r < part.Rank; r++) b[o * rank + at + r] = weights[n] * part.B[o * part.Rank + r];
            }
            at += part.Rank;
        }
        if (parts.All(static p => p.Bias is null)) return new Factors(a, b, inputs, outputs);
        var bias = new float[outputs];
        for (var n = 0; n < parts.Count; n++) for (var o = 0; o < parts[n].Bias?.Length; o++) bias[o] += weights[n] * parts[n].Bias![o];
        return new Factors(a, b, inputs, outputs) { Bias = bias };
    }
}
