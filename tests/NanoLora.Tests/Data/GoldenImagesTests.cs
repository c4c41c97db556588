using NanoLora.Data;
using NanoLora.Experiments.Verification;

namespace NanoLora.Tests.Data;

/// <summary>Pixels, resizes, crops and model inputs of Pillow, torchvision, transformers and timm; hostile files.</summary>
public sealed class GoldenImagesTests : EngineTest
{
    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Golden", "images");

    private static string Files => Path.Combine(Folder, "decode", "files");

    [Theory]
    [InlineData("decode", 190), InlineData("resize", 190), InlineData("crop", 120), InlineData("processors", 90)]
    public void Agrees_with_the_reference(string name, int atLeast)
    {
        using var backend = new CpuBackend(threads: 1);
        var text = new StringWriter();
        var result = Verifier.Run([Path.Combine(Folder, name)], backend, text);
        Assert.True(result.ExitCode == 0, $"{result.FirstDeviation}\n{string.Join('\n', text.ToString().Split('\n').Where(static l => l.Contains("FAIL")))}");
        Assert.InRange(result.Ok, atLeast, int.MaxValue);
    }

    [Theory]
    [InlineData("444-40x24.jpg"), InlineData("420-40x24-progressive.jpg"), InlineData("restart.jpg"), InlineData("gray.jpg"), InlineData("color.ppm")]
    [InlineData("gray.pgm")]
    public void A_file_cut_anywhere_is_refused(string name)
    {
        var whole = File.ReadAllBytes(Path.Combine(Files, name));
        for (var length = 0; length < whole.Length; length += 1 + length / 40)
            Assert.StartsWith("cut: ", Assert.Throws<InvalidDataException>(() => Pictures.Decode(whole.AsSpan(0, length), "cut")).Message);
    }

    // Any byte of any file may be wrong: a picture comes out, or a refusal that names the file; nothing else, and not late.
    [Fact]
    public void Damaged_files_give_a_picture_or_a_refusal_by_name()
    {
        var random = new Philox(11, 3);
        ulong draw = 0;
        string[] files = [.. Directory.GetFiles(Files).Where(static f =>
            Path.GetFileName(f) is var n && !n.StartsWith("bad", StringComparison.Ordinal) && !n.StartsWith("other", StringComparison.Ordinal))];
        foreach (var file in files)
        {
            var whole = File.ReadAllBytes(file);
            for (var round = 0; round < 12; round++)
            {
                byte[] damaged = [.. whole];
                for (var i = 0; i <= round % 4; i++) damaged[random.Below(draw++, damaged.Length)] = (byte)random.Bits(draw++);
                try { Assert.InRange(Pictures.Decode(damaged, "damaged").Pixels.Length, 1, int.MaxValue); }
                catch (InvalidDataException e) { Assert.StartsWith("damaged: ", e.Message); }
            }
        }
    }

    [Fact]
    public void A_jpeg_that_claims_what_its_bytes_cannot_hold_is_refused_before_memory_is_taken()
    {
        var file = File.ReadAllBytes(Path.Combine(Files, "restart.jpg"));
        var frame = file.AsSpan().IndexOf((ReadOnlySpan<byte>)[0xFF, 0xC0]);
        (file[frame + 5], file[frame + 7]) = (0x1F, 0x1F);                            // about 8000 x 8000
        Assert.Contains("cannot be in a JPEG", Assert.Throws<InvalidDataException>(() => Pictures.Decode(file, "claim")).Message);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<InvalidDataException>(() => Pictures.Decode(file, "claim"));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
    }

    [Theory]
    [InlineData("other.webp", "WebP"), InlineData("other.gif", "GIF"), InlineData("other.bmp", "BMP"), InlineData("other.tiff", "TIFF")]
    [InlineData("bad-cmyk.jpg", "CMYK")]
    [InlineData("bad-cut.jpg", "the file is cut"), InlineData("bad-precision.jpg", "12 bits"), InlineData("bad-lossless.jpg", "lossless")]
    [InlineData("bad-arithmetic.jpg", "arithmetic")]
    public void What_is_not_read_is_called_by_its_name(string name, string kind)
    {
        var path = Path.Combine(Files, name);
        var message = Assert.Throws<InvalidDataException>(() => Pictures.Read(path)).Message;
        Assert.StartsWith(path, message);
        Assert.Contains(kind, message);
    }

    [Fact]
    public void Pictures_are_told_by_their_first_bytes()
    {
        foreach (var file in Directory.GetFiles(Files))
        {
            byte[] head = [.. File.ReadAllBytes(file).Take(Pictures.HeadBytes)];
            var loads = true;
            try { _ = Pictures.Read(file); }
            catch (InvalidDataException) { loads = false; }
            if (loads) Assert.True(Pictures.IsPicture(head), file);
        }
        Assert.False(Pictures.IsPicture([]));
        Assert.False(Pictures.IsPicture("GIF89a"u8));
        Assert.False(Pictures.IsPicture([0, 0, 8, 3]));
    }
}
