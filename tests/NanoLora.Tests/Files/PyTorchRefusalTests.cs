using System.IO.Compression;
using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>
/// What refusals of PyTorch files say, and what small files cannot make the reader do; that they are refused is for <see cref="GoldenFormatsTests"/>.
/// </summary>
public class PyTorchRefusalTests
{
    private const string Format = "pytorch";

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

    /// <summary>A list of ten references to a list of ten references, and so on: a billion values if walked, from some hundred bytes.</summary>
    [Fact]
    public void WhatIsWalkedGoesByTheSizeOfTheFile()
    {
        var (allocated, refusal) = Cost(Path.Combine(GoldenFormats.Folder(Format), "hostile", "billion-laughs.pt"));
        Assert.Contains("is beyond the first", refusal!.Message, StringComparison.Ordinal);
        Assert.InRange(allocated, 0, 4 << 20);
    }

    /// <summary>An archive whose pickle unpacks to millions of dicts: each costs one byte unpacked, and a thousandth of one in the file.</summary>
    [Fact]
    public void WhatAPackedPickleBuildsGoesByTheSizeOfTheFile()
    {
        var path = Path.GetTempFileName();
        try
        {
            using (var stream = new FileStream(path, FileMode.Create))
            using (var zip = new ZipArchive(stream, ZipArchiveMode.Create))
            {
                using var pickle = zip.CreateEntry("x/data.pkl").Open();
                pickle.Write([0x80, 2, (byte)'(', .. Enumerable.Repeat((byte)'}', 3_000_000), (byte)'l', (byte)'.']);
            }
            var length = new FileInfo(path).Length;
            var (allocated, refusal) = Cost(path);
            Assert.InRange(length, 0, 10_000);
            Assert.Contains($"values, out of a file of {length} bytes", refusal!.Message, StringComparison.Ordinal);
            Assert.InRange(allocated, 0, 3_000_000 + (8 << 20));   // the pickle itself, and what may be built of it
        }
        finally { File.Delete(path); }
    }

    private static (long Allocated, CheckpointException? Refusal) Cost(string path)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var refusal = GoldenFormats.Refusal(path);
        return (GC.GetAllocatedBytesForCurrentThread() - before, refusal);
    }
}
