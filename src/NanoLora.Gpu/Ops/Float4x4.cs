using ILGPU;

namespace NanoLora;

/// <summary>
/// 4 x 4 floats in registers: a thread's share of a tile, or a factor of it. For 32 numbers read, as 8 fours, a product does 64 multiplications.
/// </summary>
internal struct Float4x4
{
    /// <summary>Its rows.</summary>
    public Float4 A, B, C, D;

    public Float4x4(Float4 a, Float4 b, Float4 c, Float4 d) => (A, B, C, D) = (a, b, c, d);

    /// <summary>The fours at <paramref name="at"/> and three times <paramref name="step"/> further on: a constant, so that one address serves all.</summary>
    public static Float4x4 From(ArrayView<Float4> x, int at, int step)
    {
        var from = x.SubView(at);
        return new(from[0], from[step], from[2 * step], from[3 * step]);
    }

    public readonly Float4x4 Transposed() => new(new(A.X, B.X, C.X, D.X), new(A.Y, B.Y, C.Y, D.Y), new(A.Z, B.Z, C.Z, D.Z), new(A.W, B.W, C.W, D.W));

    /// <summary>this += a b</summary>
    public void AddProduct(Float4x4 a, Float4x4 b)
    {
        A.Add(a.A.X, b.A); B.Add(a.B.X, b.A); C.Add(a.C.X, b.A); D.Add(a.D.X, b.A);
        A.Add(a.A.Y, b.B); B.Add(a.B.Y, b.B); C.Add(a.C.Y, b.B); D.Add(a.D.Y, b.B);
        A.Add(a.A.Z, b.C); B.Add(a.B.Z, b.C); C.Add(a.C.Z, b.C); D.Add(a.D.Z, b.C);
        A.Add(a.A.W, b.D); B.Add(a.B.W, b.D); C.Add(a.C.W, b.D); D.Add(a.D.W, b.D);
    }

    /// <summary>this += a bᵀ</summary>
    public void AddProductTransposed(Float4x4 a, Float4x4 b) => AddProduct(a, b.Transposed());

    /// <summary>s this</summary>
    public readonly Float4x4 Times(float s) => new(A.Times(s), B.Times(s), C.Times(s), D.Times(s));

    /// <summary>Each row by a number of its own.</summary>
    public readonly Float4x4 RowsTimes(Float4 s) => new(A.Times(s.X), B.Times(s.Y), C.Times(s.Z), D.Times(s.W));

    /// <summary>The sum of each row.</summary>
    public readonly Float4 RowSums() => new(A.Sum(), B.Sum(), C.Sum(), D.Sum());
}
