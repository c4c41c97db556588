using NanoLora.Experiments.Verification;
using NanoLora.Nn;

namespace NanoLora.Tests.Files;

/// <summary>A disk that is full in the middle of a file loses nothing: the old file stays, nothing half is left, and the error names the file.</summary>
public sealed class FullDiskTests
{
    private static readonly float[] Large = new float[1 << 15];   // 128 KiB, twice the disk

    [FullDiskFact]
    public void AFileStaysAsItWas()
    {
        using var disk = new SmallDisk();
        var path = Path.Combine(disk.Folder, "w.safetensors");
        SafetensorsWriter.Write(path, [new("w", [3], new float[] { 1, 2, 3 })]);
        var before = File.ReadAllBytes(path);

        GoldenFormats.Refuses($"{path}: file: it cannot be written: ", () => SafetensorsWriter.Write(path, [new("w", [Large.Length], Large)]));
        GoldenFormats.Refuses($"{path}: file: it cannot be written: ", () => AtomicFile.WriteText(path, new string('x', 200_000)));

        Assert.Equal(before, File.ReadAllBytes(path));
        Assert.Equal([path], Directory.GetFileSystemEntries(disk.Folder));
        SafetensorsWriter.Write(path, [new("w", [4], new float[4])]);   // there is room again
    }

    [FullDiskFact]
    public void AnAdapterStaysAsItWas()
    {
        using var disk = new SmallDisk();
        using var backend = new CpuBackend(1);
        using var model = ExactLanguageModel.Load(Path.Combine(GoldenFormats.Folder("peft"), "base-llama"), backend);
        var path = Path.Combine(disk.Folder, "adapter");
        using (var plain = PeftFolder.Load(Path.Combine(GoldenFormats.Folder("peft"), "plain"), model)) PeftFolder.Save(path, plain, model);
        var before = Contents(path);

        var updates = new Dictionary<string, Factors> { ["model.layers.0.self_attn.q_proj"] = new(new float[512 * 32], new float[32 * 512], 32, 32) };
        var weights = Path.Combine(path, "adapter_model.safetensors");
        GoldenFormats.Refuses($"{weights}: file: it cannot be written: ", () => PeftFolder.Save(path, updates, null, model));

        Assert.Equal(before, Contents(path));
        Assert.Equal([path], Directory.GetFileSystemEntries(disk.Folder));
        using var again = PeftFolder.Load(path, model);
        Assert.NotEmpty(again.Updates);
    }

    private static string[] Contents(string folder) =>
        [.. Directory.GetFiles(folder).Order(StringComparer.Ordinal).Select(static f => $"{Path.GetFileName(f)}: {Convert.ToHexString(File.ReadAllBytes(f))}")];
}
