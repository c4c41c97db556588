using NanoLora;
using static NanoLora.Tests.Ops.FiniteDifferences;

namespace NanoLora.Tests.Ops;

public class CastTests
{
    [Theory]
    [InlineData(DType.BF16)]
    [InlineData(DType.F16)]
    public void AllSixteenBitPatternsSurviveTheWayThere(DType type)
    {
        using var backend = new CpuBackend(3);
        using var scope = backend.Scope();
        var bits = Enumerable.Range(0, 65536).Select(i => (ushort)i).ToArray();
        var small = backend.Main.New(new Shape(65536), type);
        backend.Upload<ushort>(bits, small);
        var wide = small.Cast(DType.F32);
        var values = wide.ToArray();
        var back = new ushort[65536];
        backend.Download(wide.Cast(type), back.AsSpan());
        for (var i = 0; i < 65536; i++)
        {
            var expected = type == DType.F16 ? (float)BitConverter.UInt16BitsToHalf(bits[i]) : BitConverter.UInt32BitsToSingle((uint)i << 16);
            if (float.IsNaN(expected)) Assert.True(float.IsNaN(values[i]));
            else Assert.Equal((BitConverter.SingleToUInt32Bits(expected), bits[i]), (BitConverter.SingleToUInt32Bits(values[i]), back[i]));
        }
    }

    [Theory]
    [InlineData(DType.F8E4M3)]
    [InlineData(DType.F8E5M2)]
    public void NarrowingGivesTheNearestOfAllEightBitValues(DType type)
    {
        using var backend = new CpuBackend(2);
        using var scope = backend.Scope();
        var codes = backend.Main.New(new Shape(128), type);
        backend.Upload<byte>(Enumerable.Range(0, 128).Select(i => (byte)i).ToArray(), codes);
        var finite = codes.Cast(DType.F32).ToArray().Where(float.IsFinite).ToArray();
        for (var i = 1; i < finite.Length; i++) Assert.True(finite[i] > finite[i - 1]);

        // Every midpoint of neighbours, and what lies a little to either side of it.
        var x = finite[1..].SelectMany((b, i) =>
        {
            var m = (finite[i] + b) / 2;
            return new[] { MathF.BitDecrement(m), m, MathF.BitIncrement(m), -m };
        }).ToArray();
        var got = backend.Main.From(x, new Shape(x.Length)).Cast(type).Cast(DType.F32).ToArray();
        for (var i = 0; i < x.Length; i++)
        {
            var low = i / 4;
            var expected = (i % 4) switch
            {
                0 => finite[low],
                2 => finite[low + 1],
                1 => finite[low % 2 == 0 ? low : low + 1],
                _ => -finite[low % 2 == 0 ? low : low + 1]
            };
            Assert.Equal(expected, got[i]);
        }
    }

    [Fact]
    public void AGradientIsNotCutOffInSilence()
    {
        using var backend = new CpuBackend(1);
        using var w = new Parameter(backend.Main.From(Normals(3, 1), new Shape(3))) { Trains = true };
        using var scope = backend.Scope();
        Assert.Same(w.Value, w.Value.Cast(DType.F32));
        Assert.Throws<InvalidOperationException>(() => w.Value.Cast(DType.BF16));
        Assert.Equal(DType.BF16, w.Value.Detach().Cast(DType.BF16).DType);
        Assert.Throws<ArgumentException>(() => w.Value.Detach().Cast(DType.BF16).Cast(DType.F16));
    }
}
