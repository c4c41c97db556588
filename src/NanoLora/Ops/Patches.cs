namespace NanoLora;

// Patches of an image:   y[b, (i, j), (c, u, v)] = x[b, c, i P + u, j P + v],   i < Y / P, j < X / P
// Gradient:              back to where each element came from; the border that fills no patch gets 0        — nothing is kept
//
// A convolution whose stride is its kernel is this and one Linear with the kernel [D, C, P, P] seen as [D, C P P].

public partial class Tensor
{
    /// <summary>Cuts images [B, C, Y, X] into rows of patches: [B, (Y / P) (X / P), C P P], row by row, each as (channel, y, x).</summary>
    /// <param name="patch">P, the side of a patch. What is left over at the right and the bottom is dropped.</param>
    /// <exception cref="ArgumentException">Not four axes, or a patch larger than the image.</exception>
    public Tensor Patches(int patch)
    {
        if (Shape.Rank != 4 || patch < 1 || patch > Shape[2] || patch > Shape[3])
            throw new ArgumentException($"Patches: {Shape} is not [B, C, Y, X] with room for a patch of {patch} x {patch}.");
        var y = New(new Shape(Shape[0], Shape[2] / patch * (Shape[3] / patch), Shape[1] * patch * patch));
        Backend.Patches(this, y, patch);
        return y.By(NeedsGrad ? new PatchesNode(this, patch) : null);
    }
}

public abstract partial class Backend
{
    /// <summary>y [B, N, C P P] = the patches of x [B, C, Y, X].</summary>
    public abstract void Patches(Tensor x, Tensor y, int patch);

    /// <summary>dx = dy, each element back in its place; 0 outside of all patches.</summary>
    public abstract void PatchesBackward(Tensor dy, Tensor dx, int patch);
}

file sealed class PatchesNode(Tensor x, int patch) : Node([x])
{
    protected override void Backward(Tensor dy)
    {
        if (Wants(0, out var dx)) dy.Backend.PatchesBackward(dy, dx, patch);
    }
}

public partial class CpuBackend
{
    /// <inheritdoc/>
    public override void Patches(Tensor x, Tensor y, int patch) => ForRows(y.Rows, y.Cols, new PatchesJob(x, y, patch, back: false));

    /// <inheritdoc/>
    public override void PatchesBackward(Tensor dy, Tensor dx, int patch)
    {
        Fill(dx, 0);
        ForRows(dy.Rows, dy.Cols, new PatchesJob(dx, dy, patch, back: true));
    }

    // A block owns patches; each line of a patch lies together in image and row.
    private readonly struct PatchesJob(Tensor image, Tensor rows, int patch, bool back) : IRows
    {
        public void Run(int start, int end)
        {
            int channels = image.Shape[1], height = image.Shape[2], width = image.Shape[3], across = width / patch, each = rows.Shape[1];
            var pixels = image.Floats();
            for (var n = start; n < end; n++)
            {
                var (b, i, j) = (n / each, n % each / across, n % each % across);
                var row = rows.Row(n);
                for (var line = 0; line < channels * patch; line++)
                {
                    var (c, u) = (line / patch, line % patch);
                    var there = pixels.Slice(((b * channels + c) * height + i * patch + u) * width + j * patch, patch);
                    var here = row.Slice(line * patch, patch);
                    if (back) here.CopyTo(there); else there.CopyTo(here);
                }
            }
        }
    }
}
