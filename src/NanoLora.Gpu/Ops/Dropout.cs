using ILGPU;

namespace NanoLora;

// The same numbers as on the CPU: number i of the stream is a function of seed, stream and i.

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void Dropout(Tensor x, Tensor y, float p, Philox stream)
    {
        if (y.Count > 0) _launch.Run(DropoutKernel, _launch.Elements(y.Count), In(x), Out(y), p, 1 / (1 - p), stream);
    }

    /// <summary>A thread owns every so many-th element.</summary>
    public static void DropoutKernel(ArrayView<float> x, ArrayView<float> y, float p, float scale, Philox stream)
    {
        for (var i = Each.First; Each.Within(i, y); i += Each.Stride) y[i] = stream.Uniform((ulong)i) >= p ? x[i] * scale : 0;
    }
}
