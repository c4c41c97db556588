using ILGPU;

namespace NanoLora;

// Rotary positions. The table is made on the host, in double precision, which not every device has; turning is a kernel.

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void RopeTable(Tensor positions, RopeFrequencies frequencies, Tensor table)
    {
        if (table.Count == 0) return;
        var on = HostInts(positions);
        var rows = new float[table.Count];
        for (var i = 0; i < on.Length; i++) frequencies.Angles(on[i], rows.AsSpan(i * table.Cols, table.Cols));
        Upload<float>(rows, table);
    }

    /// <inheritdoc/>
    public override void Rope(Tensor x, Tensor table, Tensor y, RopeStyle style, bool back)
    {
        if (y.Count == 0) return;
        _launch.Run(RopeKernel, _launch.Elements(y.Count), In(x), In(table), Out(y), table.Rows, x.Shape[2], x.Cols, table.Cols / 2,
            style == RopeStyle.Half ? 1 : 0, back ? -1f : 1f);
    }

    /// <summary>A thread owns every so many-th element of y, and reads its partner too.</summary>
    public static void RopeKernel(ArrayView<float> x, ArrayView<float> table, ArrayView<float> y, int positions, int heads, int size,
        int half, int apart, float sign)
    {
        for (var n = Each.First; Each.Within(n, y); n += Each.Stride)
        {
            var e = n % size;
            if (e >= 2 * half) { y[n] = x[n]; continue; }
            var angles = n / size / heads % positions * 2 * half;
            // Pairs are (j, j + half), or (2j, 2j + 1); the second of a pair adds where the first subtracts.
            var j = apart == 1 ? e % half : e / 2;
            var second = apart == 1 ? e >= half : e % 2 == 1;
            var step = apart == 1 ? half : 1;
            float cos = table[angles + j], sin = sign * table[angles + half + j];
            y[n] = second ? x[n] * cos + x[n - step] * sin : x[n] * cos - x[n + step] * sin;
        }
    }
}
