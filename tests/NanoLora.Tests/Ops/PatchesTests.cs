using NanoLora;
using static NanoLora.Tests.Ops.FiniteDifferences;

namespace NanoLora.Tests.Ops;

public class PatchesTests
{
    [Fact]
    public void EachPatchIsChannelThenLineAndTheBorderIsDropped()
    {
        int batch = 2, channels = 3, height = 7, width = 11, patch = 3;
        var x = Normals(batch * channels * height * width, 1);
        using var backend = new CpuBackend(2);
        using var image = new Parameter(backend.Main.From(x, new Shape(batch, channels, height, width))) { Trains = true };
        using var scope = backend.Scope();
        var y = image.Value.Patches(patch);
        Assert.Equal(new Shape(2, 6, 27), y.Shape);
        y.Backward(y.Detach());
        var (rows, at) = (y.ToArray(), 0);
        var kept = new float[x.Length];
        for (var b = 0; b < batch; b++) for (var i = 0; i < 2; i++) for (var j = 0; j < 3; j++) for (var c = 0; c < channels; c++)
            for (var u = 0; u < patch; u++) for (var v = 0; v < patch; v++)
            {
                var place = ((b * channels + c) * height + i * patch + u) * width + j * patch + v;
                Assert.Equal(x[place], rows[at++]);
                kept[place] = x[place];
            }
        Assert.Equal(kept, image.Gradient!.ToArray());
        Assert.Throws<ArgumentException>(() => image.Value.Patches(8));
    }
}
