namespace NanoLora;
internal static unsafe class Gemm
{
    public static void Multiply(Threads threads, int m, int n, int k, float* a, int lda, bool transA, void* b, int ldb, bool transB, DType bType, float* c, int ldc, bool accumulate) =>
        MultiplySerial(m, n, k, a, lda, transA, b, ldb, transB, bType, c, ldc, accumulate);
    public static void MultiplySerial(int m, int n, int k, float* a, int lda, bool transA, void* b, int ldb, bool transB, DType bType, float* c, int ldc, bool accumulate)
    {
        for (var i = 0; i < m; i++) for (var j = 0; j < n; j++)
        {
            var s = 0f;
            for (var p = 0; p < k; p++) s += a[transA ? p * lda + i : i * lda + p] * ((float*)b)[transB ? j * ldb + p : p * ldb + j];
            c[i * ldc + j] = accumulate ? c[i * ldc + j] + s : s;
        }
    }
}
