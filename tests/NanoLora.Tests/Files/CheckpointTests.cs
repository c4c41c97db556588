using System.Runtime.InteropServices;
using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>What all weight files share: opening, widening, and errors that name file and tensor.</summary>
public sealed class CheckpointTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nanolora-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void AMissingFileIsNamed()
    {
        var path = Path.Combine(_folder, "nowhere.safetensors");
        Assert.StartsWith($"{path}: file: there is no such file", Assert.Throws<CheckpointException>(() => Checkpoint.Open(path)).Message);
        Assert.StartsWith($"{_folder}: folder: ", Assert.Throws<CheckpointException>(() => Checkpoint.Open(_folder)).Message);
        GoldenFormats.Refuses("this is a folder", () => new SafetensorsFile(_folder));
    }

    [Fact]
    public void AFileCutShortAnywhereIsRefused()
    {
        var path = Written(new TensorSource("a", [2, 3], new float[6]), new TensorSource("b", FileDType.U8, [5], new byte[5]));
        var whole = File.ReadAllBytes(path);
        for (var length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(path, whole[..length]);
            Assert.NotNull(GoldenFormats.Refusal(path));
        }
    }

    [Fact]
    public void AMissingTensorIsNamed()
    {
        using var file = Checkpoint.Open(Written(new TensorSource("w", [1], new float[1])));
        Assert.False(file.TryGet("v", out _));
        GoldenFormats.Refuses(": v: no such tensor", () => file["v"]);
        GoldenFormats.Refuses("has 1 elements, the destination 2", () => file.CopyTo(file["w"], new float[2]));
        Assert.Throws<CheckpointException>(() => file.Bytes(file["w"] with { Offset = 0, Length = 1 << 20 }).Length);
    }

    [Fact]
    public void ADisposedFileIsNotRead()
    {
        var file = Checkpoint.Open(Written(new TensorSource("w", [1], new float[1])));
        file.Dispose();
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Bytes(file["w"]).Length);
    }

    [Fact]
    public unsafe void AHeldFileStaysMappedAfterItsCheckpointIsDisposed()
    {
        var file = Checkpoint.Open(Written(new TensorSource("w", [2], new float[] { 3, 5 })));
        var address = (float*)file.Address(file["w"]);
        using (file.Hold())
        {
            file.Dispose();
            Assert.Equal((3f, 5f), (address[0], address[1]));
        }
        Assert.Throws<ObjectDisposedException>(file.Hold);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(15)]
    [InlineData(64)]
    [InlineData(103)]
    public void SixteenBitFloatsWidenExactlyAtEveryLength(int n)
    {
        var random = new Random(n);
        var bits = new ushort[n];
        for (var i = 0; i < n; i++) bits[i] = (ushort)random.Next(1 << 16);
        var bytes = MemoryMarshal.AsBytes<ushort>(bits).ToArray();
        using var file = Checkpoint.Open(Written(new("f16", FileDType.F16, [n], bytes), new TensorSource("bf16", FileDType.BF16, [n], bytes)));
        Assert.Equal(bits.Select(b => (float)BitConverter.UInt16BitsToHalf(b)), Floats(file, "f16"));
        Assert.Equal(bits.Select(b => BitConverter.Int32BitsToSingle(b << 16)), Floats(file, "bf16"));
    }

    [Fact]
    public void EightBitFloatsFollowTheirDefinition()
    {
        var all = new byte[256];
        for (var i = 0; i < 256; i++) all[i] = (byte)i;
        using var file = Checkpoint.Open(Written(new("e4m3", FileDType.F8E4M3, [256], all), new TensorSource("e5m2", FileDType.F8E5M2, [256], all)));
        var (x, y) = (Floats(file, "e4m3"), Floats(file, "e5m2"));
        Assert.Equal((448f, 0.001953125f, 1f, -2f, float.NaN), (x[0x7e], x[0x01], x[0x38], x[0xc0], x[0x7f]));
        Assert.Equal((57344f, 1.52587890625e-5f, 1f, -2f, float.PositiveInfinity, float.NaN), (y[0x7b], y[0x01], y[0x3c], y[0xc0], y[0x7c], y[0x7d]));
        for (var i = 1; i < 0x7f; i++) Assert.True(x[i] > x[i - 1]);
    }

    [Fact]
    public void ValuesThatDoNotFitAreRefused()
    {
        var path = Written(
            new("i64", FileDType.I64, [2], MemoryMarshal.AsBytes<long>([1 << 24, (1 << 24) + 1]).ToArray()),
            new("f64", FileDType.F64, [2], MemoryMarshal.AsBytes<double>([0.1, 1e300]).ToArray()),
            new("u64", FileDType.U64, [1], MemoryMarshal.AsBytes<ulong>([ulong.MaxValue]).ToArray()),
            new("power", FileDType.U64, [1], MemoryMarshal.AsBytes<ulong>([1UL << 63]).ToArray()));
        using var file = Checkpoint.Open(path);
        GoldenFormats.Refuses("element 1 of i64 I64 [2]", () => Floats(file, "i64"));
        GoldenFormats.Refuses("element 1 of f64", () => Floats(file, "f64"));
        GoldenFormats.Refuses("element 0 of u64", () => file.ReadInt64(file["u64"]));
        GoldenFormats.Refuses("does not hold integers", () => file.ReadInt64(file["f64"]));
        Assert.Equal([9223372036854775808f], Floats(file, "power"));
        Assert.Equal([16777216L, 16777217L], file.ReadInt64(file["i64"]));
    }

    private string Written(params TensorSource[] tensors)
    {
        var path = Path.Combine(_folder, "w.safetensors");
        SafetensorsWriter.Write(path, tensors);
        return path;
    }

    private static float[] Floats(Checkpoint file, string name)
    {
        var values = new float[file[name].Count];
        file.CopyTo(file[name], values);
        return values;
    }
}
