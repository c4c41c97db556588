using System.Numerics;

namespace NanoLora;

// Dropout:    y_i = x_i / (1 - p) where u_i ≥ p, else 0;   u_i is number i of a stream of the workspace's random numbers
// Gradient:   dx_i = dy_i / (1 - p) where u_i ≥ p, else 0          — nothing is kept: the stream says it again
//
// It acts only while the workspace is training. (Srivastava et al. 2014)

public partial class Tensor
{
    /// <summary>Sets each element to 0 with probability p, and scales the others up so that the mean stays; the identity outside of training.</summary>
    /// <exception cref="ArgumentException">p does not lie in [0, 1).</exception>
    public Tensor Dropout(float p)
    {
        if (!(p is >= 0 and < 1)) throw new ArgumentException($"Dropout: p = {p} does not lie in [0, 1).");
        if (p == 0 || !Workspace.Training) return this;
        var stream = Workspace.NextStream();
        var y = New(Shape);
        Backend.Dropout(this, y, p, stream);
        return y.By(NeedsGrad ? new DropoutNode(this, p, stream) : null);
    }
}

public abstract partial class Backend
{
    /// <summary>y_i = x_i / (1 - p) where number i of the stream is at least p, else 0.</summary>
    public abstract void Dropout(Tensor x, Tensor y, float p, Philox stream);
}

file sealed class DropoutNode(Tensor x, float p, Philox stream) : Node([x])
{
    protected override void Backward(Tensor dy)
    {
        if (Wants(0, out var dx)) dy.Backend.Dropout(dy, dx, p, stream);
    }
}

public partial class CpuBackend
{
    /// <inheritdoc/>
    public override void Dropout(Tensor x, Tensor y, float p, Philox stream) => ForRows(y.Count, 16, new DropoutJob(x, y, p, stream));

    private readonly struct DropoutJob(Tensor x, Tensor y, float p, Philox stream) : IRows
    {
        public void Run(int start, int end)
        {
            const int run = 256;                                                                   // numbers made at a time
            Span<float> u = stackalloc float[run];
            for (var from = start; from < end; from += run)
            {
                var count = Math.Min(run, end - from);
                for (var i = 0; i < count; i++) u[i] = stream.Uniform((ulong)(from + i));
                var a = x.Floats().Slice(from, count);
                var b = y.Floats().Slice(from, count);
                var whole = Simd.Whole(count);
                for (var i = 0; i < whole; i += Simd.Width) Simd.Store(Keep(Simd.Load(u, i), Simd.Load(a, i)), b, i);
                if (whole < count) Simd.StorePart(Keep(Simd.LoadPart(u[..count], whole), Simd.LoadPart(a, whole)), b, whole);
            }
        }

        private Vector<float> Keep(Vector<float> u, Vector<float> x) =>
            Vector.ConditionalSelect(Vector.GreaterThanOrEqual(u, new Vector<float>(p)), x * new Vector<float>(1 / (1 - p)), default);
    }
}
