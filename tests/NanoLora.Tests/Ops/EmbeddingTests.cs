using NanoLora;
using static NanoLora.Tests.Ops.FiniteDifferences;

namespace NanoLora.Tests.Ops;

public class EmbeddingTests
{
    [Fact]
    public void RepeatedIdsAddUpInOrderAndThePaddingRowStays()
    {
        const int cols = 131;
        int[] ids = [3, 0, 3, 2, 0, 3];
        float[] w = Normals(5 * cols, 1), up = Normals(6 * cols, 2);
        using var backend = new CpuBackend(3);
        using var table = new Parameter(backend.Main.From(w, new Shape(5, cols))) { Trains = true };
        using var scope = backend.Scope();
        var y = table.Value.Embedding(backend.Main.From(ids, new Shape(2, 3)), paddingIndex: 0);
        Assert.Equal(new Shape(2, 3, cols), y.Shape);
        var rows = y.ToArray();
        for (var i = 0; i < ids.Length; i++) Assert.Equal(w.AsSpan(ids[i] * cols, cols), rows.AsSpan(i * cols, cols));
        y.Backward(backend.Main.From(up, y.Shape));
        var expected = new float[5 * cols];
        for (var i = 0; i < ids.Length; i++) for (var c = 0; c < cols; c++) if (ids[i] != 0) expected[ids[i] * cols + c] += up[i * cols + c];
        Assert.Equal(expected, table.Gradient!.ToArray());
    }

    [Theory]
    [InlineData(DType.BF16)]
    [InlineData(DType.F16)]
    [InlineData(DType.F8E4M3)]
    public void AFrozenTableIsWidenedAsItIsRead(DType type)
    {
        using var backend = new CpuBackend(1);
        using var scope = backend.Scope();
        var table = backend.Main.From(Normals(7 * 9, 3), new Shape(7, 9)).Cast(type);
        var ids = backend.Main.From([6, 0, 5], new Shape(3));
        Assert.Equal(table.Cast(DType.F32).Embedding(ids).ToArray(), table.Embedding(ids).ToArray());
    }

    [Fact]
    public void AWrongIdIsNamedWithItsPosition()
    {
        using var backend = new CpuBackend(1);
        using var scope = backend.Scope();
        var table = backend.Main.Zeros(new Shape(4, 2));
        var error = Assert.Throws<ArgumentException>(() => table.Embedding(backend.Main.From([0, 1, -1, 4], new Shape(2, 2))));
        Assert.Contains("id -1 at position 2", error.Message, StringComparison.Ordinal);
    }
}
