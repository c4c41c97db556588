using System.Globalization;
using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>PyTorch checkpoints, good and hostile, held against what PyTorch's own safe reader finds in them.</summary>
public class PyTorchGoldenTests
{
    private const string Format = "pytorch";

    public static TheoryData<string> Cases => GoldenFormats.Names(Format, "cases", "file");
    public static TheoryData<string> Hostile => GoldenFormats.Names(Format, "hostile", "file");

    [Theory, MemberData(nameof(Cases))]
    public void LoadsWithTheValuesOfTheReference(string name)
    {
        var golden = GoldenFormats.Case(Format, "cases", "file", name);
        using var file = Checkpoint.Open(Path.Combine(GoldenFormats.Folder(Format), name));   // also where the verdict is "either"
        Assert.IsType<PyTorchFile>(file);
        using var expected = Checkpoint.Open(Path.Combine(GoldenFormats.Folder(Format), golden.GetProperty("expected").GetString()!));
        Assert.Equal(golden.GetProperty("tensors").EnumerateObject().Select(t => t.Name), file.Entries.Select(e => e.Name));
        foreach (var entry in file.Entries)
        {
            Assert.Equal(expected[entry.Name].DType, entry.DType);
            Assert.Equal<IEnumerable<long>>(expected[entry.Name].Shape, entry.Shape);
            Assert.Equal(expected.Bytes(expected[entry.Name]), file.Bytes(entry));
        }
        if (golden.TryGetProperty("other_values", out var leaves))
            foreach (var leaf in leaves.EnumerateObject().Where(l => l.Value.ToString() is var text && !text.StartsWith("b'", StringComparison.Ordinal)))
                Assert.Equal(AsPythonPrints(leaf.Value), file.Metadata[leaf.Name]);
    }

    [Theory, MemberData(nameof(Hostile))]
    public void HoldsTheVerdictAndRunsNothing(string name)
    {
        var before = Directory.GetFileSystemEntries(Environment.CurrentDirectory);
        GoldenFormats.Hold(GoldenFormats.Case(Format, "hostile", "file", name), Path.Combine(GoldenFormats.Folder(Format), name));
        Assert.DoesNotContain(Path.Combine(Environment.CurrentDirectory, "PWNED"), Directory.GetFileSystemEntries(Environment.CurrentDirectory).Except(before));
        Assert.False(File.Exists("PWNED"));
    }

    [Theory]
    [InlineData("hostile/reduce-os-system.pt", "os.system")]
    [InlineData("hostile/hidden-among-tensors.pt", "os.system")]
    [InlineData("hostile/unknown-class.pt", "my_project.models.SecretNet")]
    [InlineData("hostile/module-pickle.pt", "torch.nn.modules.linear.Linear")]
    [InlineData("hostile/quantized.pt", "_rebuild_qtensor")]
    [InlineData("hostile/sparse.pt", "_rebuild_sparse_tensor")]
    [InlineData("hostile/big-endian.pt", "little-endian")]
    [InlineData("hostile/tensor-expand-large.pt", "stride 0")]
    [InlineData("hostile/lfs-pointer.pt", "git lfs pull")]
    [InlineData("hostile/recursive-list.pt", "contains itself")]
    [InlineData("hostile/storage-short.pt", "should have 24 bytes and has 20")]
    [InlineData("hostile/zip-encrypted.pt", "encrypted")]
    [InlineData("hostile/zip-duplicate-entry.pt", "twice")]
    public void TheRefusalSaysWhatIsWrong(string name, string words) =>
        Assert.Contains(words, GoldenFormats.Refusal(Path.Combine(GoldenFormats.Folder(Format), name))!.Message, StringComparison.Ordinal);

    /// <summary>What a few bytes claim is not allocated: no hostile file costs much more than itself, unpacked.</summary>
    [Fact]
    public void NoHostileFileAllocatesWhatItClaims()
    {
        foreach (var name in GoldenFormats.Read(Format).GetProperty("hostile").EnumerateArray().Select(c => c.GetProperty("file").GetString()!))
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            _ = GoldenFormats.Refusal(Path.Combine(GoldenFormats.Folder(Format), name));
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64L << 20);
        }
    }

    /// <summary>Damage of any kind gives a checkpoint or a refusal, never another exception.</summary>
    [Theory]
    [InlineData("pytorch/valid/checkpoint.pt")]
    [InlineData("pytorch/valid/views.pt")]
    [InlineData("pytorch/valid/dtypes.pt")]
    [InlineData("pytorch/valid/protocol-4.pt")]
    [InlineData("pytorch/valid/legacy.pt")]
    [InlineData("pytorch/valid/hand-deflated.pt")]
    [InlineData("safetensors/all-dtypes.safetensors")]
    [InlineData("safetensors/sharded-ok/model.safetensors.index.json")]
    public void RandomDamageIsReadOrRefused(string name)
    {
        var whole = File.ReadAllBytes(Path.Combine(GoldenFormats.Folder(""), name));
        var path = Path.GetTempFileName();
        try
        {
            var random = new Random(7);
            for (var round = 0; round < 300; round++)
            {
                var bytes = whole.ToList();
                for (var edit = random.Next(1, 4); edit > 0; edit--)
                {
                    var at = random.Next(bytes.Count);
                    switch (random.Next(4))
                    {
                        case 0: bytes[at] = (byte)random.Next(256); break;
                        case 1: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                        case 2: bytes.RemoveRange(at, Math.Min(random.Next(1, 6), bytes.Count - at - 1)); break;
                        default: bytes.Insert(at, (byte)random.Next(256)); break;
                    }
                }
                File.WriteAllBytes(path, [.. bytes]);
                _ = GoldenFormats.Refusal(path);
            }
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static string AsPythonPrints(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null => "None",
        JsonValueKind.True => "True",
        JsonValueKind.False => "False",
        JsonValueKind.Number when value.GetRawText().Contains('.', StringComparison.Ordinal) => value.GetDouble().ToString("R", CultureInfo.InvariantCulture),
        _ => value.ToString(),
    };
}
