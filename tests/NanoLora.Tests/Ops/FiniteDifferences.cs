using NanoLora;

namespace NanoLora.Tests.Ops;

/// <summary>Compares the gradients of an operation with differences of its values.</summary>
internal static class FiniteDifferences
{
    /// <summary>Checks every input of f: the slope of Σ c ∘ f, c at random, by central differences.</summary>
    public static void Check(Func<Tensor[], Tensor> f, params (float[] Values, Shape Shape)[] inputs)
    {
        const float step = 1e-2f;
        using var backend = new CpuBackend(2);
        var parameters = inputs.Select(x => new Parameter(backend.Main.From(x.Values, x.Shape)) { Trains = true }).ToArray();
        var tensors = parameters.Select(p => (Tensor)p).ToArray();
        float[] weights;
        using (var scope = backend.Scope())
        {
            var y = f(tensors);
            weights = Normals(y.Count, 99);
            y.Backward(backend.Main.From(weights, y.Shape));
        }
        double Loss()
        {
            using var scope = backend.Scope(grad: false);
            return f(tensors).ToArray().Select((y, i) => (double)y * weights[i]).Sum();
        }
        for (var n = 0; n < inputs.Length; n++)
        {
            var gradient = parameters[n].Gradient!.ToArray();
            var values = (float[])inputs[n].Values.Clone();
            for (var i = 0; i < values.Length; i++)
            {
                double up = At(values[i] + step), down = At(values[i] - step);
                var slope = (up - down) / (2 * step);
                Assert.True(Math.Abs(slope - gradient[i]) <= 3e-3 * Math.Max(1, Math.Abs(slope)),
                    $"input {n}, element {i}: gradient {gradient[i]}, difference {slope}");
                backend.Upload(inputs[n].Values, tensors[n]);

                double At(float x)
                {
                    var moved = (float[])values.Clone();
                    moved[i] = x;
                    backend.Upload(moved, tensors[n]);
                    return Loss();
                }
            }
        }
        foreach (var p in parameters) p.Dispose();
    }

    /// <summary>Normal numbers, always the same for a seed.</summary>
    public static float[] Normals(int count, ulong seed, float scale = 1)
    {
        var stream = new Philox(seed, 0);
        var x = new float[count];
        for (var i = 0; i < count; i++) x[i] = scale * stream.Normal((ulong)i);
        return x;
    }

    /// <summary>Within an absolute and a relative distance, NaN beside NaN.</summary>
    public static void Close(ReadOnlySpan<double> expected, ReadOnlySpan<float> got, double tolerance)
    {
        Assert.Equal(expected.Length, got.Length);
        for (var i = 0; i < got.Length; i++)
        {
            if (double.IsNaN(expected[i])) Assert.True(float.IsNaN(got[i]), $"element {i}: {got[i]}, not NaN");
            else
                Assert.True(Math.Abs(got[i] - expected[i]) <= tolerance * Math.Max(1, Math.Abs(expected[i])), $"element {i}: {got[i]}, expected {expected[i]}");
        }
    }
}
