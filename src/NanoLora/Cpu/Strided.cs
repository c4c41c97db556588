using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NanoLora;

// Small products within a block of work, on the thread that runs it.

/// <summary>Rows of a matrix that lie a stride apart.</summary>
internal readonly ref struct Strided(Span<float> data, int stride)
{
    public readonly Span<float> Data = data;
    public readonly int Stride = stride;

    /// <summary>The first <paramref name="cols"/> of a row.</summary>
    public Span<float> Row(int row, int cols) => Data.Slice(row * Stride, cols);

    /// <summary>c [m, n] = op(a) op(b), or c += it.</summary>
    public static unsafe void Product(int m, int n, int k, Strided a, bool transposeA, Strided b, bool transposeB, Strided c, bool accumulate)
    {
        fixed (float* pa = a.Data, pb = b.Data, pc = c.Data)
        {
            Gemm.MultiplySerial(m, n, k, pa, a.Stride, transposeA, pb, b.Stride, transposeB, DType.F32, pc, c.Stride, accumulate);
        }
    }
}

/// <summary>The right side of several products: rows, or their transpose, packed once where there is room for it, else where they lie.</summary>
internal readonly unsafe ref struct Right
{
    private readonly Strided _plain;
    private readonly bool _transposed;
    private readonly Gemm.Panels _panels;

    /// <param name="plain">[rows, cols]</param>
    /// <param name="transposed">Whether products are with its transpose.</param>
    /// <param name="rows">Of what lies there.</param>
    /// <param name="cols">Of what lies there.</param>
    /// <param name="room">As many floats as <see cref="Gemm.PanelsLength"/> says, on the stack of the caller; or none, which packs nothing.</param>
    public Right(Strided plain, bool transposed, int rows, int cols, Span<float> room)
    {
        _plain = plain;
        _transposed = transposed;
        if (room.IsEmpty) return;
        var (k, n) = transposed ? (cols, rows) : (rows, cols);
        var to = (float*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(room));               // the stack does not move
        fixed (float* from = plain.Data) _panels = Gemm.PackPanels(k, n, from, plain.Stride, transposed, to);
    }

    /// <summary>c [m, n] = a [m, k] b, of b's first k rows and n columns; or c += it.</summary>
    public void Product(int m, int n, int k, Strided a, Strided c, bool accumulate)
    {
        if (_panels.Data == 0)
        {
            Strided.Product(m, n, k, a, false, _plain, _transposed, c, accumulate);
            return;
        }
        fixed (float* pa = a.Data, pc = c.Data) Gemm.MultiplyPacked(m, n, k, pa, a.Stride, false, _panels, pc, c.Stride, accumulate);
    }
}
