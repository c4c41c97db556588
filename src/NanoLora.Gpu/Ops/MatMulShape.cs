using ILGPU;

namespace NanoLora;

// What the kernels of MatMul.cs are told, and work with.

/// <summary>Four floats that lie together, read at once.</summary>
public struct Float4
{
    /// <summary>The first.</summary>
    public float X;
    /// <summary>The second.</summary>
    public float Y;
    /// <summary>The third.</summary>
    public float Z;
    /// <summary>The fourth.</summary>
    public float W;

    /// <summary>Four floats.</summary>
    public Float4(float x, float y, float z, float w) => (X, Y, Z, W) = (x, y, z, w);

    /// <summary>this += s x</summary>
    public void Add(float s, Float4 x)
    {
        X += s * x.X;
        Y += s * x.Y;
        Z += s * x.Z;
        W += s * x.W;
    }

    /// <summary>s this</summary>
    internal readonly Float4 Times(float s) => new(s * X, s * Y, s * Z, s * W);

    /// <summary>The sum of the four.</summary>
    internal readonly float Sum() => X + Y + (Z + W);

    /// <summary>The largest of the four; NaN is passed over.</summary>
    internal readonly float Max() => Larger(Larger(Larger(Larger(float.NegativeInfinity, X), Y), Z), W);

    /// <summary>The larger of each two; NaN of the other is passed over.</summary>
    internal readonly Float4 Max(Float4 x) => new(Larger(X, x.X), Larger(Y, x.Y), Larger(Z, x.Z), Larger(W, x.W));

    private static float Larger(float a, float b) => b > a ? b : a;
}

/// <summary>A product as kernels see it: sizes, strides, what happens to y.</summary>
public readonly struct MatMulShape
{
    /// <summary>Rows of Y.</summary>
    public readonly int M;
    /// <summary>Columns of Y.</summary>
    public readonly int N;
    /// <summary>What is summed over.</summary>
    public readonly int K;
    /// <summary>From one row of op(A) to the next.</summary>
    public readonly int StrideAM;
    /// <summary>From one column of op(A) to the next.</summary>
    public readonly int StrideAK;
    /// <summary>From one row of op(B) to the next.</summary>
    public readonly int StrideBK;
    /// <summary>From one column of op(B) to the next.</summary>
    public readonly int StrideBN;
    /// <summary>From one row of Y to the next.</summary>
    public readonly int StrideY;
    /// <summary>How many products.</summary>
    public readonly int Batches;
    /// <summary>Along k, how much of it a part sums.</summary>
    public readonly int PartK;
    /// <summary>Where a product's A begins.</summary>
    public readonly Steps OfA;
    /// <summary>Where a product's B begins.</summary>
    public readonly Steps OfB;
    private readonly int _flags;

    internal MatMulShape(int m, int n, int k, int aCols, bool transposeA, int bCols, bool transposeB, int strideY, bool accumulate, int batches = 1,
        Steps ofA = default, Steps ofB = default)
    {
        (M, N, K, StrideY, Batches, PartK, OfA, OfB) = (m, n, k, strideY, batches, k, ofA, ofB);
        (StrideAM, StrideAK) = transposeA ? (1, aCols) : (aCols, 1);
        (StrideBK, StrideBN) = transposeB ? (1, bCols) : (bCols, 1);
        _flags = accumulate ? 1 : 0;
    }

    private MatMulShape(MatMulShape s, int flags, int partK)
    {
        this = s;
        (_flags, PartK) = (flags, partK);
    }

    internal MatMulShape WithBias(bool bias) => new(this, _flags & 1 | (bias ? 2 : 0), PartK);

    // Parts end at multiples of a step.
    internal MatMulShape InParts(int parts) => new(this, _flags, ((K + parts - 1) / parts + 15) & ~15);

    internal int Tiles(int tile) => (1 + (M - 1) / tile) * (1 + (N - 1) / tile);

    /// <summary>y += the product.</summary>
    public bool Accumulates => (_flags & 1) != 0;

    /// <summary>y = the product + bias.</summary>
    public bool HasBias => (_flags & 2) != 0;

    /// <summary>Where a product's Y begins.</summary>
    public int YOf(int batch) => batch * M * N;
}

/// <summary>Which tile of which product, or of which part of it, a group owns. Tiles of one column of tiles follow one another: they share B.</summary>
public readonly struct TilePlace
{
    /// <summary>The tile's first row.</summary>
    public readonly int M0;
    /// <summary>The tile's first column.</summary>
    public readonly int N0;
    /// <summary>Where k begins.</summary>
    public readonly int K0;
    /// <summary>Where k ends.</summary>
    public readonly int K1;
    /// <summary>Where the product's A begins.</summary>
    public readonly int A;
    /// <summary>Where the product's B begins.</summary>
    public readonly int B;
    /// <summary>Where the product's Y begins, or the part's.</summary>
    public readonly int Y;

    /// <summary>Only where Y begins.</summary>
    public TilePlace(int y)
    {
        (M0, N0, K0, K1, A, B) = (0, 0, 0, 0, 0, 0);
        Y = y;
    }

    /// <summary>The tile of this group.</summary>
    public TilePlace(MatMulShape s, int tile)
    {
        int down = 1 + (s.M - 1) / tile, across = 1 + (s.N - 1) / tile, number = Grid.IdxX / (down * across), at = Grid.IdxX % (down * across);
        M0 = at % down * tile;
        N0 = at / down * tile;
        Y = s.YOf(number);
        if (s.PartK < s.K)
        {
            A = 0;
            B = 0;
            K0 = number * s.PartK;
            K1 = K0 + s.PartK < s.K ? K0 + s.PartK : s.K;
        }
        else
        {
            A = s.OfA.At(number);
            B = s.OfB.At(number);
            K0 = 0;
            K1 = s.K;
        }
    }
}
