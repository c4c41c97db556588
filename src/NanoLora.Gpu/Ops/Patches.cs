using ILGPU;

namespace NanoLora;

// Patches of an image, and back. A thread owns an element of the rows of patches, or of the image, and works out its place in the other.

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void Patches(Tensor x, Tensor y, int patch)
    {
        if (y.Count > 0) _launch.Run(PatchesKernel, _launch.Elements(y.Count), In(x), Out(y), x.Shape[1], x.Shape[2], x.Shape[3], patch);
    }

    /// <inheritdoc/>
    public override void PatchesBackward(Tensor dy, Tensor dx, int patch)
    {
        if (dx.Count > 0) _launch.Run(PatchesBackwardKernel, _launch.Elements(dx.Count), In(dy), Out(dx), dx.Shape[1], dx.Shape[2], dx.Shape[3], patch);
    }

    /// <summary>A thread owns every so many-th element of y: number (c, u, v) of patch (i, j) of image b.</summary>
    public static void PatchesKernel(ArrayView<float> x, ArrayView<float> y, int channels, int height, int width, int patch)
    {
        int across = width / patch, each = height / patch * across, size = channels * patch * patch;
        for (var n = Each.First; Each.Within(n, y); n += Each.Stride)
        {
            int e = n % size, v = e % patch, u = e / patch % patch, c = e / patch / patch;
            int p = n / size, j = p % across, i = p % each / across, b = p / each;
            y[n] = x[((b * channels + c) * height + i * patch + u) * width + j * patch + v];
        }
    }

    /// <summary>A thread owns every so many-th pixel; one that is in no patch gets 0.</summary>
    public static void PatchesBackwardKernel(ArrayView<float> dy, ArrayView<float> dx, int channels, int height, int width, int patch)
    {
        int across = width / patch, down = height / patch;
        for (var n = Each.First; Each.Within(n, dx); n += Each.Stride)
        {
            int column = n % width, row = n / width % height, c = n / width / height % channels, b = n / width / height / channels;
            int j = column / patch, i = row / patch;
            dx[n] = i < down && j < across
                ? dy[((b * down + i) * across + j) * channels * patch * patch + (c * patch + row % patch) * patch + column % patch]
                : 0;
        }
    }
}
