namespace NanoLora;

// The product as the textbook writes it:   c_ij = Σ_p a_ip b_pj.   Slow, and what the fast kernels are compared with.

internal static unsafe partial class Gemm
{
    /// <summary>The triple loop; arguments as in <c>Multiply</c>.</summary>
    public static void Plain(int m, int n, int k, float* a, int lda, bool transA, void* b, int ldb, bool transB, DType bType,
        float* c, int ldc, bool accumulate)
    {
        for (var i = 0; i < m; i++)
        {
            for (var j = 0; j < n; j++)
            {
                var sum = 0f;
                for (var p = 0; p < k; p++)
                {
                    var x = a[transA ? (nint)p * lda + i : (nint)i * lda + p];
                    var at = transB ? (nint)j * ldb + p : (nint)p * ldb + j;
                    var y = bType switch
                    {
                        DType.BF16 => BF16.One((byte*)b + 2 * at),
                        DType.F16 => (float)((Half*)b)[at],
                        _ => ((float*)b)[at],
                    };
                    sum += x * y;
                }
                var to = c + (nint)i * ldc + j;
                *to = accumulate ? *to + sum : sum;
            }
        }
    }
}
