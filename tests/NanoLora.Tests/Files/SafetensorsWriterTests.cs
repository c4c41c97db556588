using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>What is written can be read, is what the reference library would write, and never leaves half a file.</summary>
public sealed class SafetensorsWriterTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nanolora-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void EveryTypeOddNamesEmptyTensorsAndMetadataComeBack()
    {
        var random = new Random(5);
        var sources = new List<(TensorSource Source, byte[] Bytes)>();
        string[] names = ["", "a.b.c", "with space", "ü ✓ 😀", "\"quoted\\\n", "__metadata", "x/../y"];
        long[][] shapes = [[], [0], [3, 0, 2], [4], [2, 8], [1, 2, 1, 2, 1, 2]];
        foreach (var type in Enum.GetValues<FileDType>())
            foreach (var shape in shapes)
            {
                var count = shape.Aggregate(1L, (a, b) => a * b);
                if (count * type.Bits() % 8 != 0) continue;   // a single 4-bit element is no whole byte
                var bytes = new byte[count * type.Bits() / 8];
                random.NextBytes(bytes);
                sources.Add((new($"{names[sources.Count % names.Length]}#{sources.Count}", type, shape, bytes), bytes));
            }
        var metadata = new Dictionary<string, string> { ["format"] = "pt", [""] = "naïve ✓ 😀 \"\\\n" };
        var path = Path.Combine(_folder, "all.safetensors");

        SafetensorsWriter.Write(path, [.. sources.Select(s => s.Source)], metadata);

        using var file = Checkpoint.Open(path);
        Assert.Equal(sources.Count, file.Entries.Count);
        Assert.Equal(metadata, file.Metadata);
        foreach (var (source, bytes) in sources)
        {
            var entry = file[source.Name];
            Assert.Equal(source.DType, entry.DType);
            Assert.Equal(source.Shape, entry.Shape);
            Assert.Equal(bytes, file.Bytes(entry));
            if (entry.DType.Bits() >= 8) Assert.Equal(0, file.Address(entry) % (entry.DType.Bits() / 8));
        }
        Assert.Equal([path], Directory.GetFiles(_folder));
    }

    /// <summary>These golden files were written by the reference library.</summary>
    [Theory]
    [InlineData("all-dtypes")]
    [InlineData("dtype-f32")]
    [InlineData("float-specials")]
    [InlineData("scalar")]
    [InlineData("empty-tensors")]
    [InlineData("no-tensors")]
    [InlineData("names")]
    [InlineData("many")]
    [InlineData("rank-8")]
    public void WritesTheBytesOfTheReference(string name)
    {
        var golden = Path.Combine(GoldenFormats.Folder("safetensors"), name + ".safetensors");
        var path = Path.Combine(_folder, "copy.safetensors");
        using (var file = Checkpoint.Open(golden))
        {
            var sources = file.Entries.Reverse().Select(e => new TensorSource(e.Name, e.DType, e.Shape, stream => stream.Write(file.Bytes(e))));
            SafetensorsWriter.Write(path, [.. sources], file.Metadata);
        }
        Assert.Equal(File.ReadAllBytes(golden), File.ReadAllBytes(path));
    }

    [Fact]
    public void ReplacesAFileThatIsOpen()
    {
        var path = Path.Combine(_folder, "w.safetensors");
        SafetensorsWriter.Write(path, [new("w", [2], new float[] { 1, 2 })]);
        using var old = Checkpoint.Open(path);
        if (OperatingSystem.IsWindows()) return;   // a mapped file cannot be replaced there
        SafetensorsWriter.Write(path, [new("w", [2], new float[] { 3, 4 })]);
        using var now = Checkpoint.Open(path);
        Assert.Equal([1, 2], Floats(old, "w"));
        Assert.Equal([3, 4], Floats(now, "w"));
    }

    [Fact]
    public void AFailureLeavesTheOldFileAndNothingElse()
    {
        var path = Path.Combine(_folder, "w.safetensors");
        SafetensorsWriter.Write(path, [new("w", [2], new float[] { 1, 2 })]);
        var before = File.ReadAllBytes(path);

        var shortfall = Assert.Throws<CheckpointException>(() => SafetensorsWriter.Write(path, [new("w", FileDType.F32, [2], new byte[7])]));
        Assert.Contains("has 8 bytes, 7 were written", shortfall.Message, StringComparison.Ordinal);
        Assert.Throws<NotSupportedException>(() => SafetensorsWriter.Write(path, [new("w", FileDType.F32, [2], _ => throw new NotSupportedException())]));

        Assert.Equal(before, File.ReadAllBytes(path));
        Assert.Equal([path], Directory.GetFiles(_folder));
    }

    [Fact]
    public void AFolderThatCannotBeWrittenIsNamed()
    {
        TensorSource[] tensors = [new("w", [1], new float[1])];
        var missing = Path.Combine(_folder, "missing");
        GoldenFormats.Refuses($"{missing} does not exist", () => SafetensorsWriter.Write(Path.Combine(missing, "w.safetensors"), tensors));
        GoldenFormats.Refuses("this is a folder", () => SafetensorsWriter.Write(_folder, tensors));
        Assert.Empty(Directory.GetFileSystemEntries(_folder));
        if (!OperatingSystem.IsLinux()) return;
        GoldenFormats.Refuses("cannot be written", () => SafetensorsWriter.Write("/proc/w.safetensors", tensors));   // not even root may
    }

    [Fact]
    public void ContradictionsAreRefusedByName()
    {
        Refused("two tensors", new("w", [1], new float[1]), new("w", [1], new float[1]));
        Refused("keeps this name", new TensorSource("__metadata__", [1], new float[1]));
        Refused("no size in whole bytes", new TensorSource("w", [-1], new float[1]));
        Refused("no size in whole bytes", new TensorSource("w", [long.MaxValue, 3], new float[1]));
        Refused("no size in whole bytes", new TensorSource("w", FileDType.F4, [3], new byte[2]));
        Refused("no valid Unicode", new TensorSource("w\ud800", [1], new float[1]));

        void Refused(string words, params TensorSource[] tensors)
        {
            var refusal = Assert.Throws<CheckpointException>(() => SafetensorsWriter.Write(Path.Combine(_folder, "w.safetensors"), tensors));
            Assert.Contains(words, refusal.Message, StringComparison.Ordinal);
            Assert.Empty(Directory.GetFileSystemEntries(_folder));
        }
    }

    private static float[] Floats(Checkpoint file, string name)
    {
        var values = new float[file[name].Count];
        file.CopyTo(file[name], values);
        return values;
    }
}
