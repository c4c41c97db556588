using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace NanoLora;

// The widths that a micro-kernel is compiled for. The kernels are written once, over V and its lanes L; the JIT makes one machine loop for each:
//
//   Lanes512   16 floats   AVX-512
//   Lanes256    8 floats   AVX2 with FMA
//   Lanes128    4 floats   SSE, NEON, and the narrow panels of the wider machines
//   Lane1       1 float    no SIMD at all
//
// With FMA every width gives the same bits: x y + z is rounded once. Without it the product is rounded first.

internal static unsafe partial class Gemm
{
    private interface ILanes<V> where V : struct
    {
        static abstract int Width { get; }
        static abstract V Spread(float x);                  // [x, x, ..., x]
        static abstract V Load(float* p);
        static abstract void Store(V x, float* p);
        static abstract V Add(V x, V y);
        static abstract V MultiplyAdd(V x, V y, V z);       // x y + z
        static abstract float Sum(V x);                     // pair by pair, halves first
    }

    private readonly struct Lanes512 : ILanes<Vector512<float>>
    {
        public static int Width => 16;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<float> Spread(float x) => Vector512.Create(x);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<float> Load(float* p) => Vector512.Load(p);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(Vector512<float> x, float* p) => x.Store(p);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Sum(Vector512<float> x) => Vector512.Sum(x);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector512<float> Add(Vector512<float> x, Vector512<float> y) => x + y;
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> MultiplyAdd(Vector512<float> x, Vector512<float> y, Vector512<float> z) => Vector512.FusedMultiplyAdd(x, y, z);
    }

    private readonly struct Lanes256 : ILanes<Vector256<float>>
    {
        public static int Width => 8;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Spread(float x) => Vector256.Create(x);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Load(float* p) => Vector256.Load(p);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(Vector256<float> x, float* p) => x.Store(p);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Sum(Vector256<float> x) => Vector256.Sum(x);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector256<float> Add(Vector256<float> x, Vector256<float> y) => x + y;
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> MultiplyAdd(Vector256<float> x, Vector256<float> y, Vector256<float> z) => Vector256.FusedMultiplyAdd(x, y, z);
    }

    private readonly struct Lanes128 : ILanes<Vector128<float>>
    {
        public static int Width => 4;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Spread(float x) => Vector128.Create(x);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Load(float* p) => Vector128.Load(p);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(Vector128<float> x, float* p) => x.Store(p);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Sum(Vector128<float> x) => Vector128.Sum(x);
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Vector128<float> Add(Vector128<float> x, Vector128<float> y) => x + y;
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<float> MultiplyAdd(Vector128<float> x, Vector128<float> y, Vector128<float> z) =>
            Fma.IsSupported || System.Runtime.Intrinsics.Arm.AdvSimd.IsSupported ? Vector128.FusedMultiplyAdd(x, y, z) : x * y + z;
    }

    private readonly struct Lane1 : ILanes<float>
    {
        public static int Width => 1;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Spread(float x) => x;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Load(float* p) => *p;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(float x, float* p) => *p = x;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Sum(float x) => x;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Add(float x, float y) => x + y;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float MultiplyAdd(float x, float y, float z) => x * y + z;
    }
}
