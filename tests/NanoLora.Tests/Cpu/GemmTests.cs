using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace NanoLora.Tests.Cpu;

public unsafe class GemmTests
{
    private static readonly DType[] Types = [DType.F32, DType.BF16, DType.F16];

    // Around every vector width, tile height and panel width of every kernel; primes.
    private static readonly int[] Sizes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 17, 23, 24, 25, 31, 32, 33, 37, 47, 48, 49, 53, 64, 65,
        95, 96, 97];

    [Fact]
    public void EverySizeOfRowsAndColumns()
    {
        using var threads = new Threads(2);
        var flags = 0;
        foreach (var m in Sizes)
            foreach (var n in Sizes)
                Check(threads, m, n, k: 5 + (m + n) % 14, flags++);
    }

    [Fact]
    public void EverySizeOfTheInnerAxis()
    {
        using var threads = new Threads(2);
        foreach (var k in Sizes)
            for (var flags = 0; flags < 24; flags++)
                Check(threads, 13, 51, k, flags);
    }

    [Theory]
    [InlineData(9, 19, 383)]
    [InlineData(9, 19, 384)]
    [InlineData(9, 19, 385)]
    [InlineData(4, 96, 1600)]
    [InlineData(96, 4, 1600)]
    [InlineData(97, 101, 1601)]
    [InlineData(1, 131, 769)]
    [InlineData(2, 131, 769)]
    [InlineData(3, 64, 1000)]
    [InlineData(4, 33, 1000)]
    [InlineData(5, 33, 1000)]
    [InlineData(7, 35, 1003)]
    [InlineData(8, 33, 1000)]
    [InlineData(9, 33, 1000)]
    [InlineData(399, 211, 67)]
    [InlineData(1601, 4, 96)]
    public void LongAndTall(int m, int n, int k)
    {
        using var threads = new Threads(3);
        for (var flags = 0; flags < 24; flags++) Check(threads, m, n, k, flags);
    }

    [Fact]
    public void ShapesAtRandom()
    {
        using var threads = new Threads(3);
        var random = new Random(20261129);
        for (var i = 0; i < 150; i++) Check(threads, Size(130), Size(150), Size(900), random.Next(24));

        // Small sizes as often as large ones.
        int Size(int most) => (int)Math.Pow(most, random.NextDouble());
    }

    // A B that was packed once, or its first rows and columns, gives the bits of one that is packed for the product.
    [Fact]
    public void APackedBGivesTheSameBits()
    {
        var random = new Random(3);
        foreach (var (k, n) in new[] { (1, 1), (64, 197), (197, 64), (80, 256), (256, 96), (384, 53), (33, 49) })
        {
            foreach (var transB in new[] { false, true })
            {
                var ldb = (transB ? k : n) + 2;
                using Operand a = new(29, k, k, DType.F32, random), b = new(k * n / (ldb - 2), ldb, ldb, DType.F32, random);
                var room = new float[Gemm.PanelsLength(k, n)];
                fixed (float* to = room)
                {
                    var panels = Gemm.PackPanels(k, n, (float*)b.Start, ldb, transB, to);
                    foreach (var (m, cols, rows) in new[] { (29, n, k), (29, Math.Max(1, n - 5), k), (12, n / 2 + 1, k / 2 + 1), (9, 1, 1) })
                    {
                        float[] expected = new float[m * cols], got = new float[m * cols];
                        Array.Fill(expected, 0.5f);
                        Array.Fill(got, 0.5f);
                        fixed (float* x = expected, y = got)
                        {
                            Gemm.MultiplySerial(m, cols, rows, (float*)a.Start, k, false, b.Start, ldb, transB, DType.F32, x, cols, true);
                            Gemm.MultiplyPacked(m, cols, rows, (float*)a.Start, k, false, panels, y, cols, true);
                        }
                        Assert.Equal(expected, got);
                    }
                }
            }
        }
    }

    // A bias gives the bits of a C that is filled with it first and added to, at edges, without anything to sum, and for a few rows.
    [Fact]
    public void ABiasIsARowForEveryRow()
    {
        using var threads = new Threads(2);
        var random = new Random(4);
        foreach (var (m, n, k) in new[] { (1, 33, 64), (5, 50, 0), (13, 51, 40), (97, 197, 500), (300, 96, 800) })
        {
            using Operand a = new(m, k, k, DType.F32, random), b = new(n, k, k, DType.F32, random), bias = new(1, n, n, DType.F32, random);
            float[] expected = new float[m * n], got = new float[m * n];
            for (var i = 0; i < m; i++) bias.Floats().CopyTo(expected.AsSpan(i * n));
            fixed (float* x = expected, y = got)
            {
                Gemm.Multiply(threads, m, n, k, (float*)a.Start, k, false, b.Start, k, true, DType.F32, x, n, true);
                Gemm.Multiply(threads, m, n, k, (float*)a.Start, k, false, b.Start, k, true, DType.F32, y, n, new Gemm.Plus((float*)bias.Start, 0));
            }
            Assert.Equal(expected, got);
        }
    }

    // One problem against the sum in double precision. flags: bit 0 transA, bit 1 transB, bit 2 accumulate, then the type of B.
    // Every operand ends at a guard page where there are any; C has three columns of its own beyond n that must stay as they are.
    private static void Check(Threads threads, int m, int n, int k, int flags)
    {
        bool transA = (flags & 1) != 0, transB = (flags & 2) != 0, accumulate = (flags & 4) != 0;
        var type = Types[flags / 8 % 3];
        int lda = (transA ? m : k) + 1, ldb = (transB ? k : n) + 2, ldc = n + 3;
        var random = new Random(HashCode.Combine(m, n, k, flags) & 0xffff);
        int rowsA = transA ? k : m, colsA = transA ? m : k, rowsB = transB ? n : k, colsB = transB ? k : n;
        using Operand a = new(rowsA, colsA, lda, DType.F32, random), b = new(rowsB, colsB, ldb, type, random), c = new(m, ldc, ldc, DType.F32, random);
        var before = c.Floats().ToArray();

        Gemm.Multiply(threads, m, n, k, (float*)a.Start, lda, transA, b.Start, ldb, transB, type, (float*)c.Start, ldc, accumulate);

        var after = c.Floats();
        for (var i = 0; i < m; i++)
        {
            for (var j = 0; j < n; j++)
            {
                double sum = accumulate ? before[i * ldc + j] : 0, size = Math.Abs(sum);
                for (var p = 0; p < k; p++)
                {
                    var term = a.At(transA ? p : i, transA ? i : p) * b.At(transB ? j : p, transB ? p : j);
                    sum += term;
                    size += Math.Abs(term);
                }
                // A sum of k rounded terms is off by at most about k ε Σ |terms|; the usual error is far smaller.
                var allowed = (4 + Math.Sqrt(k)) * 6e-8 * size;
                var got = after[i * ldc + j];
                Assert.True(Math.Abs(got - sum) <= allowed,
                    $"[{m}, {n}, {k}] {type} transA {transA} transB {transB} accumulate {accumulate}: c[{i}, {j}] is {got}, not {sum}");
            }
            for (var j = n; j < ldc; j++) Assert.Equal(before[i * ldc + j], after[i * ldc + j]);
        }
    }

    [Theory]
    [InlineData(1600, 96, 96, false, true)]
    [InlineData(1600, 4, 96, false, true)]
    [InlineData(4, 96, 1600, true, false)]
    [InlineData(96, 96, 1600, true, false)]
    [InlineData(4, 1000, 500, false, true)]
    [InlineData(211, 307, 401, true, true)]
    public void TheSameBitsForAnyNumberOfThreads(int m, int n, int k, bool transA, bool transB)
    {
        var random = new Random(7);
        int lda = transA ? m : k, ldb = transB ? k : n;
        using Operand a = new(m * k / lda, lda, lda, DType.F32, random), b = new(n * k / ldb, ldb, ldb, DType.BF16, random);
        var expected = new float[m * n];
        fixed (float* c = expected) Gemm.MultiplySerial(m, n, k, (float*)a.Start, lda, transA, b.Start, ldb, transB, DType.BF16, c, n, false);
        foreach (var count in (int[])[1, 2, 3, 8])
        {
            using var threads = new Threads(count);
            var got = new float[m * n];
            fixed (float* c = got) Gemm.Multiply(threads, m, n, k, (float*)a.Start, lda, transA, b.Start, ldb, transB, DType.BF16, c, n, false);
            Assert.True(MemoryMarshal.AsBytes<float>(expected).SequenceEqual(MemoryMarshal.AsBytes<float>(got)), $"{count} threads");
        }
    }

    // What makes results the same on AVX2 and AVX-512 machines: an element is a chain of multiply-adds over p for each k block, blocks added in order.
    [Theory]
    [InlineData(17, 53, 300, false, true)]
    [InlineData(29, 20, 1000, true, false)]
    [InlineData(1600, 4, 96, false, true)]
    [InlineData(12, 97, 1601, true, true)]
    public void AnElementIsOneChainForEachBlockOfK(int m, int n, int k, bool transA, bool transB)
    {
        var fused = Fma.IsSupported || AdvSimd.IsSupported;
        var random = new Random(5);
        int lda = transA ? m : k, ldb = transB ? k : n, kc = Gemm.BlockOfK(k);
        using Operand a = new(m * k / lda, lda, lda, DType.F32, random), b = new(n * k / ldb, ldb, ldb, DType.F32, random), c = new(m, n, n, DType.F32, random);
        Gemm.MultiplySerial(m, n, k, (float*)a.Start, lda, transA, b.Start, ldb, transB, DType.F32, (float*)c.Start, n, false);
        for (var i = 0; i < m; i++)
        {
            for (var j = 0; j < n; j++)
            {
                var sum = 0f;
                for (var p = 0; p < k;)
                {
                    var chain = 0f;
                    for (var end = Math.Min(k, p + kc); p < end; p++)
                    {
                        float x = (float)a.At(transA ? p : i, transA ? i : p), y = (float)b.At(transB ? j : p, transB ? p : j);
                        chain = fused ? MathF.FusedMultiplyAdd(x, y, chain) : x * y + chain;
                    }
                    sum += chain;
                }
                Assert.Equal(BitConverter.SingleToInt32Bits(sum), BitConverter.SingleToInt32Bits(c.Floats()[i * n + j]));
            }
        }
    }

    // A few rows times a stored-transposed B of 16 bits: lane l of eight adds p = 2l, 2l + 1, 2l + 16, ..., with AVX2 and with AVX-512.
    [Theory]
    [InlineData(DType.BF16)]
    [InlineData(DType.F16)]
    public void ADotProductHasEightLanesOnEveryWidthOfMachine(DType type)
    {
        if (!Fma.IsSupported || !Avx2.IsSupported) return;                             // narrower machines have four
        var random = new Random(4);
        foreach (var k in (int[])[16, 17, 31, 32, 33, 48, 63, 64, 65, 100, 770])
        {
            const int m = 3, n = 7;
            using Operand a = new(m, k, k, DType.F32, random), b = new(n, k, k, type, random), c = new(m, n, n, DType.F32, random);
            Gemm.MultiplySerial(m, n, k, (float*)a.Start, k, false, b.Start, k, true, type, (float*)c.Start, n, false);
            for (var i = 0; i < m; i++)
            {
                for (var j = 0; j < n; j++)
                {
                    var lanes = new float[8];
                    for (var p = 0; p < k; p++)
                        lanes[p % 16 / 2] = MathF.FusedMultiplyAdd((float)a.At(i, p), (float)b.At(j, p), lanes[p % 16 / 2]);
                    var sum = Vector256.Sum(Vector256.Create(lanes.AsSpan()));
                    Assert.Equal(BitConverter.SingleToInt32Bits(sum), BitConverter.SingleToInt32Bits(c.Floats()[i * n + j]));
                }
            }
        }
    }

    // C = 1 · B, a row at a time (0 · ∞ would be no number): all 65,536 patterns of a 16-bit float come out as the f32 they stand for.
    [Fact]
    public void SixteenBitFloatsAreWidenedExactly()
    {
        var c = new float[256];
        foreach (var type in (DType[])[DType.BF16, DType.F16])
        {
            for (var r = 0; r < 256; r++)
            {
                var bits = new ushort[256];
                for (var j = 0; j < 256; j++) bits[j] = (ushort)(r * 256 + j);
                var one = 1f;
                fixed (float* to = c) fixed (ushort* b = bits) Gemm.MultiplySerial(1, 256, 1, &one, 1, false, b, 256, false, type, to, 256, false);
                for (var j = 0; j < 256; j++)
                {
                    var exact = Exact(bits[j], type);
                    Assert.True(c[j] == exact || (float.IsNaN(c[j]) && float.IsNaN(exact)), $"{type} 0x{bits[j]:x4} became {c[j]}, not {exact}");
                }
            }
        }
    }

    // C = 1 · Bᵀ with all finite patterns in B: the transposing pack, and with eight rows of C the dot products.
    [Theory]
    [InlineData(256)]
    [InlineData(8)]
    [InlineData(1)]
    public void SixteenBitFloatsAreTransposedExactly(int rows)
    {
        var eye = new float[rows * 256];
        for (var i = 0; i < rows; i++) eye[i * 256 + i] = 1;
        var c = new float[rows * 256];
        foreach (var type in (DType[])[DType.BF16, DType.F16])
        {
            var bits = new ushort[65536];
            for (var i = 0; i < bits.Length; i++) bits[i] = float.IsFinite(Exact((ushort)i, type)) ? (ushort)i : (ushort)0;
            fixed (float* a = eye, to = c) fixed (ushort* b = bits) Gemm.MultiplySerial(rows, 256, 256, a, 256, false, b, 256, true, type, to, 256, false);
            for (var i = 0; i < rows; i++)
                for (var j = 0; j < 256; j++) Assert.Equal(Exact(bits[j * 256 + i], type), c[i * 256 + j]);
        }
    }

    // A pattern is alone among ones, all but its own times 0: infinity and no number too come through a dot product, whichever way its neighbours took.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void SixteenBitFloatsAmongOthersAreWidenedExactly(int rows)
    {
        const int Patterns = 1 << 16, K = 35, Place = 5;
        var c = new float[rows * Patterns];
        var x = new float[rows * K];
        for (var i = 0; i < rows; i++) x[i * K + Place] = 1;
        foreach (var type in (DType[])[DType.BF16, DType.F16])
        {
            var weights = new ushort[Patterns * K];
            Array.Fill(weights, (ushort)(type == DType.F16 ? 0x3c00 : 0x3f80));
            for (var j = 0; j < Patterns; j++) weights[j * K + Place] = (ushort)j;
            fixed (float* a = x, to = c) fixed (ushort* b = weights) Gemm.MultiplySerial(rows, Patterns, K, a, K, false, b, K, true, type, to, Patterns, false);
            for (var i = 0; i < rows; i++)
                for (var j = 0; j < Patterns; j++) Assert.Equal(Exact((ushort)j, type), c[i * Patterns + j]);
        }
    }

    private static float Exact(ushort bits, DType type) =>
        type == DType.F16 ? (float)BitConverter.UInt16BitsToHalf(bits) : BitConverter.UInt32BitsToSingle((uint)bits << 16);

    [Fact]
    public void AProductAllocatesNothing()
    {
        using var threads = new Threads(2);
        using Operand a = new(200, 96, 96, DType.F32, new(1)), b = new(96, 96, 96, DType.F32, new(2)), c = new(200, 96, 96, DType.F32, new(3));
        for (var i = 0; i < 3; i++) Multiply();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++) Multiply();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Multiply() => Gemm.Multiply(threads, 200, 96, 96, (float*)a.Start, 96, false, b.Start, 96, true, DType.F32, (float*)c.Start, 96, false);
    }

    [Fact]
    public void SeveralCallersShareOneTeam()
    {
        using var threads = new Threads(2);
        var callers = new Thread[4];
        Exception? failure = null;
        for (var t = 0; t < callers.Length; t++)
        {
            var flags = t;
            callers[t] = new(() =>
            {
                try { for (var i = 0; i < 20; i++) Check(threads, 97, 53, 41, flags); }
                catch (Exception e) { failure = e; }
            });
            callers[t].Start();
        }
        foreach (var caller in callers) caller.Join();
        Assert.Null(failure);
    }

    [Fact]
    public void AnIntegerOperandIsRefused()
    {
        var e = Assert.Throws<NotSupportedException>(() => Gemm.MultiplySerial(1, 1, 1, null, 1, false, null, 1, false, DType.I32, null, 1, false));
        Assert.Contains("I32", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void PlainIsTheSameProduct()
    {
        using Operand a = new(5, 7, 7, DType.F32, new(1)), b = new(7, 3, 3, DType.F16, new(2));
        using Operand c = new(5, 3, 3, DType.F32, new(3)), d = new(5, 3, 3, DType.F32, new(3));
        Gemm.Plain(5, 3, 7, (float*)a.Start, 7, false, b.Start, 3, false, DType.F16, (float*)c.Start, 3, true);
        Gemm.MultiplySerial(5, 3, 7, (float*)a.Start, 7, false, b.Start, 3, false, DType.F16, (float*)d.Start, 3, true);
        for (var i = 0; i < 15; i++) Assert.Equal(c.Floats()[i], d.Floats()[i], 1e-5f);
    }

    /// <summary>A matrix of random numbers that ends where its memory ends.</summary>
    private sealed class Operand : IDisposable
    {
        private readonly GuardedMemory? _guarded;
        private readonly int _count, _ld;
        private readonly DType _type;

        public Operand(int rows, int cols, int ld, DType type, Random random)
        {
            (_ld, _type) = (ld, type);
            _count = rows == 0 ? 0 : (rows - 1) * ld + cols;
            var bytes = _count * (type == DType.F32 ? 4 : 2);
            _guarded = GuardedMemory.Missing is null ? new(bytes) : null;
            Start = _guarded is null ? (byte*)NativeMemory.Alloc((nuint)bytes + 1) : _guarded.Start;
            for (var i = 0; i < _count; i++)
            {
                var x = (float)(random.NextDouble() * 2 - 1);
                if (type == DType.F32) ((float*)Start)[i] = x;
                else if (type == DType.BF16) ((ushort*)Start)[i] = (ushort)(BitConverter.SingleToUInt32Bits(x) >> 16);
                else ((Half*)Start)[i] = (Half)x;
            }
        }

        public byte* Start { get; }

        public double At(int row, int col)
        {
            var i = row * _ld + col;
            return _type switch
            {
                DType.F32 => ((float*)Start)[i],
                DType.BF16 => BitConverter.UInt32BitsToSingle((uint)((ushort*)Start)[i] << 16),
                _ => (double)((Half*)Start)[i],
            };
        }

        public Span<float> Floats() => new(Start, _count);

        public void Dispose()
        {
            if (_guarded is null) NativeMemory.Free(Start);
            else _guarded.Dispose();
        }
    }
}
