using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace NanoLora;

// Dots with weights in F16 on AVX-512, where widening is most of the work: sixteen weights of a row and sixteen of the next in one vector, so that one
// operation widens both, and x twice beside itself. Each half has the sums of Gemm.Dots' eight lanes, so the bits are those of a machine with AVX2.
// (BF16 widens in two operations and F32 in none: they pass as fast as the memory gives them.)
//
//   W[j, p..p+16) | W[j+1, p..p+16)   ─►   even | even,  odd | odd        s01 += even · [x even | x even],   s01 += odd · [x odd | x odd]

internal static unsafe partial class Gemm
{
    private readonly struct Pairs : IDot
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Run<R>(float* x, float* y, FourRows w, int k, nint next, float* sums) where R : IRows
        {
            Vector512<float> s01 = default, s23 = default, t01 = default, t23 = default;
            const int step = 16, bytes = 2 * step;
            nint p = 0;
            for (; p <= k - 2 * step; p += 2 * step)
            {
                var v = w + 2 * p;
                Fetch<F16>(v + next);
                Vector512<int> a = Both(v.W0, v.W1), b = Both(v.W2, v.W3), c = Both(v.W0 + bytes, v.W1 + bytes), d = Both(v.W2 + bytes, v.W3 + bytes);
                if (F16.AreFinite(a, b, c, d))
                {
                    Step<R>(x + p, y + p, a, b, true, ref s01, ref s23, ref t01, ref t23);
                    Step<R>(x + p + step, y + p + step, c, d, true, ref s01, ref s23, ref t01, ref t23);
                }
                else
                {
                    Step<R>(x + p, y + p, a, b, false, ref s01, ref s23, ref t01, ref t23);
                    Step<R>(x + p + step, y + p + step, c, d, false, ref s01, ref s23, ref t01, ref t23);
                }
            }
            if (p < k)
            {
                Vector512<float> u01 = s01, u23 = s23, v01 = t01, v23 = t23;          // a sum whose address is taken would stay in memory all the time
                Rest<R>(x + p, y + p, w + 2 * p, k - (int)p, ref u01, ref u23, ref v01, ref v23);
                (s01, s23, t01, t23) = (u01, u23, v01, v23);
            }
            (sums[0], sums[1], sums[2], sums[3]) = (Vector256.Sum(s01.GetLower()), Vector256.Sum(s01.GetUpper()),
                Vector256.Sum(s23.GetLower()), Vector256.Sum(s23.GetUpper()));
            if (R.Count > 1)
                (sums[4], sums[5], sums[6], sums[7]) = (Vector256.Sum(t01.GetLower()), Vector256.Sum(t01.GetUpper()),
                    Vector256.Sum(t23.GetLower()), Vector256.Sum(t23.GetUpper()));
        }

        // Fewer than two steps, with zeros behind them.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Rest<R>(float* x, float* y, FourRows w, int k,
            ref Vector512<float> s01, ref Vector512<float> s23, ref Vector512<float> t01, ref Vector512<float> t23) where R : IRows
        {
            const int longest = 32;
            var rest = stackalloc float[6 * longest];                               // of x, y and the four rows of W
            new Span<float>(rest, 6 * longest).Clear();
            Unsafe.CopyBlockUnaligned(rest, x, (uint)(k * sizeof(float)));
            Unsafe.CopyBlockUnaligned(rest + longest, y, (uint)(k * sizeof(float)));
            var v = new FourRows((byte*)(rest + 2 * longest), 4, longest * sizeof(float));
            v.Take(w, 2 * k);
            for (nint q = 0; q < k; q += 16)
            {
                var u = v + 2 * q;
                Step<R>(rest + q, rest + longest + q, Both(u.W0, u.W1), Both(u.W2, u.W3), false, ref s01, ref s23, ref t01, ref t23);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Step<R>(float* x, float* y, Vector512<int> w01, Vector512<int> w23, bool finite,
            ref Vector512<float> s01, ref Vector512<float> s23, ref Vector512<float> t01, ref Vector512<float> t23) where R : IRows
        {
            Vector512<float> c = default, d = default;
            Twice(x, out var a, out var b);
            if (R.Count > 1) Twice(y, out c, out d);
            F16.Widen(w01, finite, out var even, out var odd);
            s01 = Vector512.FusedMultiplyAdd(odd, b, Vector512.FusedMultiplyAdd(even, a, s01));
            if (R.Count > 1) t01 = Vector512.FusedMultiplyAdd(odd, d, Vector512.FusedMultiplyAdd(even, c, t01));
            F16.Widen(w23, finite, out even, out odd);
            s23 = Vector512.FusedMultiplyAdd(odd, b, Vector512.FusedMultiplyAdd(even, a, s23));
            if (R.Count > 1) t23 = Vector512.FusedMultiplyAdd(odd, d, Vector512.FusedMultiplyAdd(even, c, t23));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<int> Both(byte* p, byte* q) => Vector512.Create(Vector256.Load((int*)p), Vector256.Load((int*)q));

        // The even and the odd ones of sixteen floats, each twice: x0 x2 .. x14 | x0 x2 .. x14.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Twice(float* p, out Vector512<float> even, out Vector512<float> odd)
        {
            var x = Vector512.Load(p);
            even = Avx512F.PermuteVar16x32(x, Vector512.Create(0, 2, 4, 6, 8, 10, 12, 14, 0, 2, 4, 6, 8, 10, 12, 14));
            odd = Avx512F.PermuteVar16x32(x, Vector512.Create(1, 3, 5, 7, 9, 11, 13, 15, 1, 3, 5, 7, 9, 11, 13, 15));
        }
    }
}
